"""How long a device takes: tokens of the prompt apart from those that it samples."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from golden.words import counted
from sim.host import Link
from sim.replies import NoReply, Token

TERMINAL, FILE = 2.0, 60.0
"""Seconds between two signs of life, on a terminal and in a file."""

Bound = Callable[[int], float]
"""Cycles from a prompt of so many tokens to the first sampled one, at least."""


@dataclass
class Pace:
    """Follows one request of a link at a time.

    Parameters
    ----------
    link: to the device.  clock_hz: of the device.
    bound: what is known of it beforehand.
    """

    link: Link
    clock_hz: int
    bound: Bound | None = None
    _loss: float | None = None  # of the prompt before, over its bound

    def begin(self, prompt: int) -> None:
        """A prompt of so many tokens is sent."""
        self._prompt, self._began = prompt, self._moment()
        self._shown, self._first = time.monotonic(), None

    def waiting(self) -> None:
        """Nothing comes: show that the device lives, until it speaks."""
        terminal, now = sys.stderr.isatty(), time.monotonic()
        if self._first is not None or now - self._shown < (TERMINAL if terminal else FILE):
            return
        self._shown = now
        try:
            cycles, seconds = self._passed()
        except NoReply:  # the machine may have other things to do; a device that died is seen
            return
        said = f"  {counted(self._prompt, 'token')} of prompt: {duration(seconds)}"
        if self.bound and cycles:
            whole = self.bound(self._prompt) * (self._loss or 1.0)
            left = max(whole - cycles, 0) * seconds / cycles
            least = "about" if self._loss else "at least"
            said += f", {min(cycles / whole, 1):.0%}, {least} {duration(left)} left"
        said += f" ({cycles / seconds:,.0f} cycles a second)"
        print(f"\r\x1b[K{said}" if terminal else said, end="" if terminal else "\n",
              file=sys.stderr, flush=True)  # fmt: skip

    def hush(self) -> None:
        """Wipe the sign of life."""
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def spoke(self, token: Token) -> str:
        """The first token came; answers what the others of the prompt have cost.

        The last one of the prompt belongs to the token that was sampled after it.  Of tokens
        that are not sampled the device counts none: its time is read over the link, twice.
        """
        cycles, seconds = self._first = self._passed()
        if self.bound:
            self._loss = cycles / self.bound(self._prompt)
        before, spent = self._prompt - 1, max(cycles - token.cycles, 0)
        if not before:
            return "the prompt is a single token"
        mean = spent / before
        return (
            f"prompt: {counted(before, 'token')} before the last; about {mean:,.0f} cycles a token "
            f"with the way over the link, {rate(self.clock_hz, mean)} at "
            f"{self.clock_hz / 1e6:g} MHz; "
            f"{duration(mean * seconds / max(cycles, 1))} a token here"
        )

    def spent(self, spoken: Sequence[Token]) -> str:
        """How fast the device was simulated, and what a sampled token has taken."""
        cycles, seconds = self._passed()
        mean = statistics.fmean(token.cycles for token in spoken)
        return (
            f"simulated at {cycles / seconds:,.0f} cycles a second, "
            f"{duration(mean * seconds / max(cycles, 1))} a sampled token"
        )

    def _moment(self) -> tuple[int, float]:
        """The time in the device's cycles, and in seconds."""
        return self.link.counters()["cycles"], time.monotonic()

    def _passed(self) -> tuple[int, float]:
        return tuple(now - then for now, then in zip(self._moment(), self._began, strict=True))


def rate(clock_hz: int, cycles: float) -> str:
    """Tokens a second at so many cycles each."""
    found = clock_hz / max(cycles, 1)
    return f"{found:,.0f} tokens/s" if found >= 100 else f"{found:.3g} tokens/s"


def duration(seconds: float) -> str:
    """``0.012 s``, ``45 s``, ``12 min``, ``3.1 h``."""
    if seconds < 100:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"

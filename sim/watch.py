"""What a terminal shows of a run while it lasts, one line below the text that it says."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TextIO

from golden.generate import Request

PAUSE = 0.5
"""Seconds between two looks."""

LEAST = 1.0
"""Seconds that are measured before anything is said of the rate."""

ROOM = "\x1bD\x1b[A"
"""There is a line below that of the cursor, whose column stays."""

BELOW, BACK = "\x1b7\x1bD\r\x1b[K", "\x1b8"
"""To the line below, emptied; and back to where the cursor was."""


@dataclass(frozen=True)
class Work:
    """Tokens of a run: of prompts without the last of each, and sampled at the most.

    ``prefill_cycles``, ``decode_cycles``: what one of them takes at least, where that is known.
    """

    prefill: int
    decode: int
    prefill_cycles: float | None = None
    decode_cycles: float | None = None

    @classmethod
    def of(cls, requests: Sequence[Request], n_ctx: int | None, **cycles: float) -> Work:
        """That of requests."""
        room = [r.count if n_ctx is None else n_ctx + 1 - len(r.prompt) for r in requests]
        decode = sum(min(r.count, most) for r, most in zip(requests, room, strict=True))
        return cls(sum(len(r.prompt) - 1 - r.start for r in requests), decode, **cycles)


class Watch:
    """Follows a run: what is done, how fast, and what is left."""

    def __init__(self, work: Work, clock: Callable[[], float] = time.monotonic):
        self.work, self._clock = work, clock
        self._first: tuple[float, int] | None = None  # when which cycle was seen first
        self.cycle = 0
        self._since, self._kind = 0, None  # of the token that is on its way
        self._done = {"prefill": 0, "decode": 0}
        self._cycles = {"prefill": 0, "decode": 0}

    def accepted(self, cycle: int, sampled: bool) -> None:
        """A token is taken in, so the one before is done; whether one will be sampled after it."""
        self._end(cycle)
        self._kind = "decode" if sampled else "prefill"

    def at(self, cycle: int) -> None:
        """The simulation has come so far."""
        self._see(cycle)

    def said(self, cycle: int) -> None:
        """A token was sampled."""
        if self._kind == "decode":
            self._end(cycle)

    def _end(self, cycle: int) -> None:
        if self._kind is not None:
            self._done[self._kind] += 1
            self._cycles[self._kind] += cycle - self._since
        self._since, self._kind = cycle, None
        self._see(cycle)

    def _see(self, cycle: int) -> None:
        """What went before the first cycles, such as loading, does not count."""
        self._first = self._first or (self._clock(), cycle)
        self.cycle = cycle

    def rate(self) -> float | None:
        """Cycles a second, once that can be told."""
        if self._first is None:
            return None
        then, cycle = self._first
        seconds, cycles = self._clock() - then, self.cycle - cycle
        return cycles / seconds if seconds >= LEAST and cycles > 0 else None

    def left(self) -> float | None:
        """Seconds, as far as one can tell."""
        rate, work = self.rate(), self.work
        if rate is None:
            return None
        cycles = -(self.cycle - self._since) if self._kind else 0
        for kind, total in (("prefill", work.prefill), ("decode", work.decode)):
            done = self._done[kind]
            each = self._cycles[kind] / done if done else getattr(work, f"{kind}_cycles")
            if total > done and each is None:
                return None
            cycles += (total - done) * (each or 0)
        return max(cycles, 0) / rate

    def told(self) -> str:
        """All of it in a line."""
        parts = [f"sampled {self._done['decode']:,} of {self.work.decode:,}"]
        if self.work.prefill:
            parts.insert(0, f"prompt {self._done['prefill']:,} of {self.work.prefill:,}")
        parts.append(f"{self.cycle / 1e6:.1f} M cycles")
        if (rate := self.rate()) is not None:
            parts.append(f"{rate / 1e3:,.0f} k a second")
        if (left := self.left()) is not None:
            parts.append(f"{_duration(left)} left")
        return ", ".join(parts)


class Display(Watch):
    """A watch that is seen on a terminal, and nowhere else."""

    def __init__(
        self, work: Work, file: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ):
        super().__init__(work, clock)
        self._file = sys.stderr if file is None else file
        self._terminal = self._file.isatty()
        self._shown, self._looked = False, clock()

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *_) -> None:
        self.clear()

    def at(self, cycle: int) -> None:
        super().at(cycle)
        now = self._clock()
        if self._terminal and now - self._looked >= PAUSE:
            self._looked = now
            line = self.told()[: shutil.get_terminal_size().columns - 1]
            self._write(ROOM + BELOW + line + BACK)
            self._shown = True

    def clear(self) -> None:
        """Take the line away: what is said next may need its place."""
        if self._shown:
            self._write(BELOW + BACK)
        self._shown = False

    def _write(self, text: str) -> None:
        sys.stdout.flush()
        self._file.write(text)
        self._file.flush()


def _duration(seconds: float) -> str:
    """Seconds, minutes or hours."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"

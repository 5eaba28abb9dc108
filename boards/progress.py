"""Shows that a long step lives: how long it has run, and what its tool said last."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TERMINAL, FILE = 1.0, 30.0
"""Seconds between two signs of life, on a terminal and in a file."""

WIDTH = 100


@contextmanager
def ticking(what: str, log: Path | None = None) -> Iterator[None]:
    """Show time and the last line of ``log``, if there is one, on stderr while the block runs."""
    ended = threading.Event()
    terminal = sys.stderr.isatty()

    def tick() -> None:
        start = time.monotonic()
        while not ended.wait(TERMINAL if terminal else FILE):
            last = f": {last_line(log)}" if log else ""
            line = f"weft: {what}: {time.monotonic() - start:.0f} s{last}"[:WIDTH]
            print(f"\r\x1b[K{line}" if terminal else line, end="" if terminal else "\n",
                  file=sys.stderr, flush=True)  # fmt: skip
        if terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def last_line(log: Path) -> str:
    """The last whole line of a log that is being written."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(log.stat().st_size - 1000, 0))
        lines = file.read().decode(errors="replace").split("\n")[:-1]
    return next((line.strip() for line in reversed(lines) if line.strip()), "")

"""How far long work is, and how long it will take yet."""

from __future__ import annotations

import time
from collections.abc import Callable

PAUSE = 0.2
"""Seconds between two words."""


def progress(
    total: int, note: Callable[[str], object], clock: Callable[[], float] = time.monotonic
) -> Callable[[int], None]:
    """What is to be told of so many more of ``total``; it gives ``note`` a word of it at times.

    Fewer than none take back what was told.
    """
    began = told = clock()
    done = 0

    def more(count: int) -> None:
        nonlocal done, told
        done += count
        now = clock()
        if now - told >= PAUSE and done > 0:
            told = now
            left = (now - began) * (total - done) / done
            note(f"{done / total:.0%}, {left:.0f} s left")

    return more

"""Ctrl-C for this process alone, where ``make`` started it and would take it as its own end."""

from __future__ import annotations

import os
import signal
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from golden.cli import FROM_MAKE

TERMINAL = "/dev/tty"


@contextmanager
def alone() -> Iterator[None]:
    """While the block lasts, the terminal's signals reach this process, and not ``make``.

    The process becomes a group of its own, the terminal's foreground.  Ctrl-Z still stops it and
    ``make``, as one job of the shell.  Where ``make`` did not start it, or has no terminal, nothing
    is done.
    """
    try:
        terminal = os.open(TERMINAL, os.O_RDWR) if FROM_MAKE in os.environ else None
    except OSError:
        terminal = None
    group = os.getpgrp()
    if terminal is None or group == os.getpid() or os.tcgetpgrp(terminal) != group:
        yield
        return

    def stop(number: int, _) -> None:
        modes = termios.tcgetattr(terminal)
        _join(terminal, group)
        signal.signal(number, signal.SIG_DFL)
        os.killpg(group, number)  # it returns when the shell goes on with the job
        signal.signal(number, stop)
        if os.tcgetpgrp(terminal) == group:
            _join(terminal, os.getpid())
            termios.tcsetattr(terminal, termios.TCSADRAIN, modes)

    _join(terminal, os.getpid())
    before = signal.signal(signal.SIGTSTP, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTSTP, before)
        with suppress(OSError):  # make may be gone
            _join(terminal, group)
        os.close(terminal)


def _join(terminal: int, group: int) -> None:
    """Belong to a group, and make it the terminal's foreground."""
    # A process that is not in the foreground is stopped when it asks for this.
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        os.setpgid(0, group)
        os.tcsetpgrp(terminal, group)
    finally:
        signal.signal(signal.SIGTTOU, before)

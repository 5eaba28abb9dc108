"""Tools that only some commands need: set up when the first of these runs."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable
from pathlib import Path

from golden.errors import WeftError
from sim.setup import stamp
from sim.setup.console import SetupError


def once(
    target: Path, inputs: tuple[Path, ...], make: Callable[[Path, Path], None], what: str
) -> Path:
    """``target``, which ``make(target, log)`` fills unless its stamp says that it was filled.

    Parameters
    ----------
    target
        A folder; the one around it holds the log, and is locked meanwhile.
    inputs
        Files that decide what is made.
    make
        Fills the folder; it may raise a SetupError.
    what
        Is set up, in the plural, for the sentence that tells that it could not be.

    Raises
    ------
    WeftError
        If it could not be.
    """
    key = stamp.digest(str(target), platform.machine(), *inputs)
    if stamp.read(target)["key"] == key:
        return target
    try:
        with stamp.only_one(target.parent):
            if stamp.read(target)["key"] != key:  # nobody did it while this process waited
                shutil.rmtree(target, ignore_errors=True)
                make(target, target.parent / "setup.log")
                stamp.write(target, {"key": key})
    except (SetupError, OSError) as error:
        raise WeftError(f"{what} could not be set up: {error}") from None
    return target

"""Loads a bitstream into a board with openFPGALoader: the one on PATH, or one that is set up."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from boards.board import Board
from boards.setup import main
from boards.setup.loader import PROGRAM
from golden.errors import WeftError
from sim.setup.console import last_line, run, step

ABSENT = re.compile(
    r"device not found|no (DFU compatible )?device|unable to open ftdi device: -3|not found", re.I
)
FORBIDDEN = re.compile(r"permission|LIBUSB_ERROR_ACCESS|usb_open\(\) failed|: -4 ", re.I)
"""What openFPGALoader says when the board is not there, and when it may not be touched."""


def load(board: Board, bitstream: Path) -> None:
    """Load a file into the chip, or into the flash where the chip cannot be reached.

    Raises
    ------
    WeftError
        If the tool or the board is missing, or loading fails.
    """
    program = shutil.which(PROGRAM) or main.openfpgaloader()
    log = bitstream.with_name("program.log")
    log.unlink(missing_ok=True)
    with step(f"loading {bitstream} into {board.title}"):
        status, said = run([program, "--board", board.loader, bitstream], log)
        if status:
            raise WeftError(_why(board, said, log))


def _why(board: Board, said: str, log: Path) -> str:
    if FORBIDDEN.search(said):
        return (
            f"{board.title} is attached and this user may not open it: add openFPGALoader's udev "
            f"rules, or become root; the log is {log}"
        )
    if ABSENT.search(said):
        return f"no {board.title} is attached: plug it in, and switch it on; the log is {log}"
    return f"openFPGALoader failed: {last_line(said)}; the log is {log}"

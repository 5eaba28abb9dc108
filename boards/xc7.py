"""Bitstreams of 7-series chips: assembled, written, and read back as the proof."""

from __future__ import annotations

import re
from pathlib import Path

from boards.board import Board
from boards.fasm import Assembler, write_frames
from boards.tools import DATABASE, Tools
from golden.errors import WeftError
from sim.engines import process

READ = re.compile(r"^bit_([0-9a-f]{8})_(\d{3})_(\d{2})$", re.M)
"""A bit that is one, as bitread tells it: address of the frame, word, bit."""

FAMILIES = {"xc7a": "artix7", "xc7s": "spartan7", "xc7k": "kintex7", "xc7z": "zynq7"}
EPOCH = {b"c": b"1970/01/01\0", b"d": b"00:00:00\0"}
"""The date and the time in a bitstream's header, so that the same sources give the same bytes."""


def pack(board: Board, tools: Tools, folder: Path) -> None:
    """Make top.bit of top.fasm, and prove that exactly the assembled bits are in it.

    Raises
    ------
    WeftError
        If a feature is unknown or contradicts another, or what is read back differs.
    """
    database = tools.share / DATABASE / FAMILIES[board.device[:4]]
    part = database / board.device / "part.yaml"
    assembler = Assembler(database, board.device)
    assembler.add((folder / "top.fasm").read_text().splitlines())
    (folder / "top.frames").write_text(write_frames(assembler.frames()))
    names = ["--part_name", board.device, "--frm_file", "top.frames", "--output_file", "top.bit"]
    process.execute([tools["xc7frames2bit"], "--part_file", part, *names], folder, "xc7frames2bit")
    raw = (folder / "top.bit").read_bytes()
    (folder / "top.bit").write_bytes(without_time(raw))
    command = [tools["bitread"], "--part_file", part, "-y", "-z", "-o", "top.bits", "top.bit"]
    process.execute(command, folder, "bitread")
    check(assembler.bits(), read_bits((folder / "top.bits").read_text()))


def read_bits(text: str) -> set[tuple[int, int, int]]:
    """(address, word, bit) of every bit that bitread found."""
    found = READ.findall(text)
    return {(int(address, 16), int(word), int(bit)) for address, word, bit in found}


def check(assembled: set[tuple[int, int, int]], read: set[tuple[int, int, int]]) -> None:
    """Raise a WeftError if what was read back is not what was assembled."""
    if differing := assembled ^ read:
        address, word, bit = min(differing)
        raise WeftError(
            f"the bitstream is not what was assembled: {len(differing)} bits differ, the first is "
            f"bit {bit} of word {word} of frame 0x{address:08x}"
        )


def without_time(raw: bytes) -> bytes:
    """A bitstream whose header tells no time: fields of a letter, a length and a text."""
    end = int.from_bytes(raw[:2], "big") + 4
    parts = [raw[:end]]
    while (key := raw[end : end + 1]) != b"e":
        size = int.from_bytes(raw[end + 1 : end + 3], "big")
        text = EPOCH.get(key, raw[end + 3 : end + 3 + size])
        parts.append(key + len(text).to_bytes(2, "big") + text)
        end += 3 + size
    return b"".join((*parts, raw[end:]))

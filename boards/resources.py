"""What a netlist needs of a chip, and what the chip has."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from boards.board import Board
from boards.families import FAMILIES
from boards.synthesis import Part

NAMES = {"lut": "look-up tables", "ff": "registers", "dsp": "multipliers", "bram": "block RAMs"}
MORE_LUTS = {
    "xc7": {},
    "ecp5": {"carry": 2, "lutram": 2},  # a memory's write port takes two beside its four
    "ice40": {},
    "gowin": {"carry": 1},
}
"""Look-up tables that cells of other resources occupy, beside those that are counted as such."""

FILL = 0.95
"""Part of a chip's look-up tables that place and route can use."""


def used(family: str, netlist: Path) -> dict[str, int]:
    """What a netlist (its folder) uses of NAMES."""
    design = json.loads((netlist / "stat.json").read_text())["design"]
    counts = Part("top", design["num_cells_by_type"]).counts(FAMILIES[family])
    counts["lut"] += sum(luts * counts[name] for name, luts in MORE_LUTS[family].items())
    return {name: math.ceil(counts[name]) for name in NAMES}


def fits(board: Board, need: Mapping[str, int]) -> bool:
    """Whether a board has what is needed."""
    return not lacking(board, need)


def lacking(board: Board, need: Mapping[str, int]) -> list[str]:
    """What a board has too little of."""
    limits = board.available | {"lut": int(board.available["lut"] * FILL)}
    return [name for name, number in need.items() if number > limits[name]]


def compared(board: Board, need: Mapping[str, int]) -> str:
    """Need against what there is, in words, of everything that a board has too little of."""
    return " and ".join(
        f"{need[name]:,} {NAMES[name]} of {board.available[name]:,}"
        for name in lacking(board, need)
    )

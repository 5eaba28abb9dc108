"""What a small netlist for each board needs, as it was when somebody looked: ``tests/baselines``.

A memory that turns into registers, or a product that falls out of its DSP block, still computes the
same; only the counts tell.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from boards import build
from boards.board import Board
from boards.families import FAMILIES, RESOURCES
from boards.fit import Configuration
from boards.order import default_design, order_of
from boards.synthesis import Part
from golden.errors import WeftError
from sim.setup.paths import ROOT

FOLDER = ROOT / "tests" / "baselines"
SMALL, SERIAL = Configuration("folded", 2), Configuration("serial", 8)
BOARDS = {
    "arty": SMALL,
    "ulx3s": SMALL,
    "orangecrab": SMALL,
    "icebreaker": SERIAL,
    "tangnano9k": SERIAL,
}
"""Board -> configuration of the default model: the netlist that is made fastest, or all that fits.
"""

TOLERANCE = {"dsp": 0.0, "bram": 0.0, "lutram": 0.05, "lut": 0.05, "carry": 0.05, "ff": 0.05}
"""Part of a count by which it may differ: logic changes with every version of Yosys."""


def path_of(board: Board) -> Path:
    """The file of a board."""
    return FOLDER / f"{board.name}.json"


def measure(board: Board, cache: Path) -> dict:
    """The content of a board's file, from a netlist made now."""
    way = BOARDS[board.name]
    design = default_design(way)
    netlist = build.synthesise(order_of(board, design), cache)
    stat = json.loads((netlist / "stat.json").read_text())
    counts = Part("top", stat["design"]["num_cells_by_type"]).counts(FAMILIES[board.family])
    return {
        "model": design.plan.name,
        "schedule": way.schedule,
        "multipliers": way.multipliers,
        "clock_mhz": board.clock_mhz,
        "tolerance": TOLERANCE,
        "counts": {name: counts[name] for name in RESOURCES},
    }


def compare(baseline: Mapping, counts: Mapping[str, float]) -> None:
    """Raise a WeftError that names all counts which are too far from a baseline's."""
    wrong = [
        f"{counts[name]:,g} {name} where {expected:,g} are expected"
        for name, expected in baseline["counts"].items()
        if abs(counts[name] - expected) > baseline["tolerance"][name] * expected
    ]
    if wrong:
        raise WeftError(
            f"the netlist has {', '.join(wrong)}; if that is meant, "
            "`python -m boards baselines` writes the baselines anew"
        )

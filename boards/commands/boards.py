"""``python -m boards boards``: the boards that there are, and what fits on each."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

from boards import fit
from boards.board import Board
from boards.catalogue import BOARDS
from boards.resources import NAMES
from golden.commands import options
from golden.errors import WeftError
from golden.plan import Plan
from sim.build import Target, quantised

TABLE_WIDTH = 120


def boards(model: options.Model = options.MODEL) -> None:
    """List the boards, their chips and clocks, and how large a model's gateware can be on each."""
    _, plan = quantised(Target(model))
    table = Table(title=f"{model} on boards")
    for name in ("BOARD=", "chip", "MHz"):
        table.add_column(name)
    for name in NAMES.values():
        table.add_column(name, justify="right")
    table.add_column("fastest that fits", justify="right")
    for board in BOARDS.values():
        counts = [f"{board.available[name]:,}" for name in NAMES]
        mhz = f"{board.clock_mhz:g}"
        table.add_row(board.name, board.device, mhz, *counts, fitting(board, plan))
    Console(width=None if sys.stdout.isatty() else TABLE_WIDTH).print(table)


def fitting(board: Board, plan: Plan) -> str:
    """The fastest configuration that fits, in words."""
    try:
        found = fit.choose(board, plan)
    except WeftError:
        return "does not fit"
    return f"{found.schedule} {found.multipliers}"

"""Which configuration of a model fits which board, before anything is synthesised.

``sizes.json`` holds what netlists needed, by family and multipliers, for the default model; it is
measured anew by ``python -m boards sizes``.  Another model has at least the memories that its
weights fill; its other needs are estimated as those of the default model.
"""

from __future__ import annotations

import json
import math
from dataclasses import fields
from functools import cache
from pathlib import Path

import numpy as np

from boards.board import Board
from boards.catalogue import BOARDS
from boards.resources import compared, fits
from golden.errors import WeftError
from golden.plan import Plan

SIZES = Path(__file__).with_name("sizes.json")
BRAM_BITS = {"xc7": 36 << 10, "ecp5": 18 << 10, "ice40": 4 << 10, "gowin": 18 << 10}
LEAST_BITS = 8
"""Of a weight or an element of a table."""


@cache
def sizes() -> dict[str, dict[int, dict[str, int]]]:
    """Family -> multipliers -> what the default model needs."""
    table = json.loads(SIZES.read_text())["sizes"]
    return {f: {int(n): need for n, need in rows.items()} for f, rows in table.items()}


def need(family: str, plan: Plan, multipliers: int) -> dict[str, int]:
    """What a model needs at least, with the nearest measured number of multipliers below."""
    rows = sizes()[family]
    nearest = max((n for n in rows if n <= multipliers), default=min(rows))
    memories = math.ceil(weight_bits(plan) / BRAM_BITS[family])
    return rows[nearest] | {"bram": max(rows[nearest]["bram"], memories)}


def weight_bits(plan: Plan) -> int:
    """Bits of all weights, at least."""
    stages = {id(stage): stage for _, stage in plan.stages()}.values()
    values = (getattr(stage, each.name) for stage in stages for each in fields(stage))
    return LEAST_BITS * sum(value.size for value in values if isinstance(value, np.ndarray))


def choose(board: Board, plan: Plan) -> int:
    """The most multipliers with which a model fits a board.

    Raises
    ------
    WeftError
        If it fits with none: what it needs, what there is, and the nearest board that can.
    """
    fitting = [n for n in sizes()[board.family] if fits(board, need(board.family, plan, n))]
    if not fitting:
        least = need(board.family, plan, min(sizes()[board.family]))
        raise WeftError(refusal(board, plan, least))
    return max(fitting)


def check(board: Board, plan: Plan, multipliers: int) -> None:
    """Raise a WeftError if a model does not fit a board with so many multipliers."""
    wanted = need(board.family, plan, multipliers)
    if not fits(board, wanted):
        raise WeftError(refusal(board, plan, wanted))


def refusal(board: Board, plan: Plan, wanted: dict[str, int]) -> str:
    """Why a model does not fit a board, and where it does."""
    other = nearest(board, plan)
    advice = f"the nearest board that can is BOARD={other.name}" if other else "no board here can"
    return f"{plan.name} does not fit {board.title}: it needs {compared(board, wanted)}; {advice}"


def nearest(board: Board, plan: Plan) -> Board | None:
    """The smallest other board that a model fits; of the same family if there is one."""

    def fitting(other: Board) -> bool:
        rows = sizes()[other.family]
        return any(fits(other, need(other.family, plan, n)) for n in rows)

    others = [each for each in BOARDS.values() if each is not board and fitting(each)]
    order = {each.name: (each.family != board.family, each.available["lut"]) for each in others}
    return min(others, key=lambda each: order[each.name], default=None)

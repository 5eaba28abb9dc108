"""Which configuration of a model fits which board, before anything is synthesised.

``sizes.json`` holds what netlists of the default model needed, by family, schedule and multipliers;
it is measured anew by ``python -m boards sizes``.  Another model has at least the memories that its
weights fill; its other needs are estimated as those of the default model.  Models in an external
memory are estimated as ``smollm2``, controller included.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

import numpy as np

from boards.board import Board
from boards.catalogue import BOARDS
from boards.dram.files import PORT
from boards.resources import compared, fits
from golden.balancer import make_schedule
from golden.errors import OptionError, WeftError
from golden.plan import Plan
from golden.words import counted
from sim.external import External

SIZES = Path(__file__).with_name("sizes.json")
BRAM_BITS = {"xc7": 36 << 10, "ecp5": 18 << 10, "ice40": 4 << 10, "gowin": 18 << 10}
LEAST_BITS = 8
"""Of a weight or an element of a table."""

FASTEST_FIRST = ("folded", "serial")
"""Schedules for boards: the slowest folded core is faster than any serial one."""

EXTERNAL = "external"
"""That of plans whose weights have scales of rows or groups."""

SCHEDULES = (*FASTEST_FIRST, EXTERNAL)


@dataclass(frozen=True)
class Configuration:
    """A schedule and its multipliers."""

    schedule: str
    multipliers: int

    def __str__(self) -> str:
        return f"{self.schedule}, {counted(self.multipliers, 'multiplier')}"


@cache
def sizes() -> dict[str, dict[Configuration, dict[str, int]]]:
    """Family -> configuration -> what the default model needs; the fastest configuration first."""
    table = json.loads(SIZES.read_text())["sizes"]
    return {
        family: {
            Configuration(name, int(n)): rows[name][n]
            for name in SCHEDULES
            for n in sorted(rows.get(name, ()), key=int, reverse=True)
        }
        for family, rows in table.items()
    }


def serves(plan: Plan, schedule: str) -> bool:
    """Whether a schedule can execute a plan."""
    try:
        make_schedule(plan, schedule, port=PORT)
    except OptionError:
        return False
    return True


def need(family: str, plan: Plan, wanted: Configuration) -> dict[str, int]:
    """What a model needs at least, with the nearest measured number of multipliers below."""
    rows = {c.multipliers: n for c, n in sizes()[family].items() if c.schedule == wanted.schedule}
    nearest = max((n for n in rows if n <= wanted.multipliers), default=min(rows))
    memories = math.ceil(weight_bits(plan) / BRAM_BITS[family])
    measured = rows[nearest]
    if wanted.schedule == EXTERNAL:  # its weights are elsewhere
        return measured
    least = {"bram": memories, "dsp": wanted.multipliers}
    return measured | {name: max(measured[name], number) for name, number in least.items()}


def configurations(
    board: Board, plan: Plan, schedule: str | None = None, multipliers: int | None = None
) -> list[Configuration]:
    """What could be built, the fastest first: all that was measured, as far as nothing is asked.

    Raises
    ------
    OptionError
        If the schedule that is asked for cannot execute the plan.
    """
    if schedule is not None:
        make_schedule(plan, schedule, port=PORT)
    names = [n for n in SCHEDULES if schedule in (None, n) and serves(plan, n)]
    if EXTERNAL in names and not board.memory:
        return []
    if EXTERNAL in names and multipliers is not None:
        problem = "the external schedule has what a beat of its memory needs: leave it out"
        raise OptionError("multipliers", f"is {multipliers}; {problem}")
    if multipliers is not None:
        return [Configuration(name, multipliers) for name in names]
    return [each for each in sizes()[board.family] if each.schedule in names]


def choose(
    board: Board, plan: Plan, schedule: str | None = None, multipliers: int | None = None
) -> Configuration:
    """The fastest configuration with which a model fits a board, of those that are asked for.

    Raises
    ------
    WeftError
        If it fits with none: what it needs, what there is, and the nearest board that can.
        Or as :func:`configurations`.
    """
    possible = configurations(board, plan, schedule, multipliers)
    if not possible:
        raise WeftError(
            f"{plan.name} needs a memory beside the chip, and Weft knows none on {board.title}; "
            + advice(board, plan)
        )
    if possible[0].schedule == EXTERNAL:
        External(board.memory).check(plan)
    for each in possible:
        if fits(board, need(board.family, plan, each)):
            return each
    raise WeftError(refusal(board, plan, need(board.family, plan, possible[-1])))


def weight_bits(plan: Plan) -> int:
    """Bits of all weights, at least."""
    stages = {id(stage): stage for _, stage in plan.stages()}.values()
    values = (getattr(stage, each.name) for stage in stages for each in fields(stage))
    return LEAST_BITS * sum(value.size for value in values if isinstance(value, np.ndarray))


def refusal(board: Board, plan: Plan, wanted: dict[str, int]) -> str:
    """Why a model does not fit a board, and where it does."""
    needs = compared(board, wanted)
    return f"{plan.name} does not fit {board.title}: it needs {needs}; {advice(board, plan)}"


def advice(board: Board, plan: Plan) -> str:
    """Where else a model fits."""
    other = nearest(board, plan)
    return f"the nearest board that can is BOARD={other.name}" if other else "no board here can"


def nearest(board: Board, plan: Plan) -> Board | None:
    """The smallest other board that a model fits; of the same family if there is one."""

    def fitting(other: Board) -> bool:
        possible = configurations(other, plan)
        return any(fits(other, need(other.family, plan, each)) for each in possible)

    others = [each for each in BOARDS.values() if each is not board and fitting(each)]
    order = {each.name: (each.family != board.family, each.available["lut"]) for each in others}
    return min(others, key=lambda each: order[each.name], default=None)

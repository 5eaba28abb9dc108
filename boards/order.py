"""What is to be built for a board: from a design, or from what somebody asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from boards import gateware
from boards.board import Board
from boards.build import SEED, Order
from boards.fit import Configuration
from golden.plan import Plan
from sim.build import Design, Target, make_design, quantised, scheduled

Choose = Callable[[Board, Plan, str | None, int | None], Configuration]


def order_of(board: Board, design: Design, mhz: float | None = None, seed: int = SEED) -> Order:
    """The order of a design, at the board's clock if no other is wanted."""
    clock = board.clock_mhz if mhz is None else mhz
    return Order(board, gateware.key(design), gateware.soc(design), clock, seed)


def default_design(way: Configuration) -> Design:
    """The default model in a configuration."""
    return make_design(Target(schedule=way.schedule, multipliers=way.multipliers))


def design_of(
    board: Board, target: Target, multipliers: int | None, choose: Choose
) -> tuple[Configuration, Design]:
    """What is wanted, in the configuration that ``choose`` finds for its plan (boards.fit).

    The target's schedule and ``multipliers`` are those of what fits if None.
    """
    if board.memory:
        target = replace(target, memory=board.memory)
    checkpoint, plan = quantised(target)
    way = choose(board, plan, target.schedule, multipliers)
    target = replace(target, schedule=way.schedule, multipliers=way.multipliers)
    return way, scheduled(target, checkpoint, plan)

"""What is to be built for a board: from a design, or from what somebody asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from boards import gateware
from boards.board import Board
from boards.build import SEED, Order
from boards.fit import Configuration
from golden.numbers import MANTISSA_BITS
from golden.plan import Plan
from sim.build import Design, Target, make_design, quantised, scheduled


@dataclass(frozen=True)
class Wanted:
    """What somebody asks for; what is None is chosen.

    Parameters
    ----------
    model, checkpoint, numbers, lanes, scales, cache_bits, context, window: as in sim.build.Target.
    schedule, multipliers: of what fits.
    """

    model: str
    checkpoint: Path | None
    numbers: str | None
    schedule: str | None
    multipliers: int | None
    lanes: int | None
    scales: str | None = None
    cache_bits: int = MANTISSA_BITS
    context: int | None = None
    window: int | None = None


Choose = Callable[[Board, Plan, str | None, int | None], Configuration]


def order_of(board: Board, design: Design, mhz: float | None = None, seed: int = SEED) -> Order:
    """The order of a design, at the board's clock if no other is wanted."""
    clock = board.clock_mhz if mhz is None else mhz
    return Order(board, gateware.key(design), gateware.soc(design), clock, seed)


def default_design(way: Configuration) -> Design:
    """The default model in a configuration."""
    return make_design(Target(schedule=way.schedule, multipliers=way.multipliers))


def design_of(board: Board, wanted: Wanted, choose: Choose) -> tuple[Configuration, Design]:
    """What is wanted, in the configuration that ``choose`` finds for its plan (boards.fit)."""
    target = Target(
        wanted.model, wanted.checkpoint, wanted.numbers, wanted.schedule, lanes=wanted.lanes,
        scales=wanted.scales, cache_bits=wanted.cache_bits, context=wanted.context,
        window=wanted.window,
    )  # fmt: skip
    if board.memory:
        target = replace(target, memory=board.memory)
    checkpoint, plan = quantised(target)
    way = choose(board, plan, wanted.schedule, wanted.multipliers)
    target = replace(target, schedule=way.schedule, multipliers=way.multipliers)
    return way, scheduled(target, checkpoint, plan)

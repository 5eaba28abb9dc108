"""The netlist that place and route gets, simulated at its pins against the integer model."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from boards.build import Order, package_versions
from boards.elaborate import NAME
from boards.pins import pins_of
from boards.progress import ticking
from golden.errors import make_folder_for
from golden.generate import Request
from sim import tools
from sim.build import Design
from sim.build import build as build_bench
from sim.engines import DEFAULT
from sim.netlist.check import Checker, Outcome, hello_of, sampled_by
from sim.netlist.port import running
from sim.netlist.program import cells_of, program
from sim.session import run as simulate_core

LOG = "log.txt"


@dataclass(frozen=True)
class Result:
    """What a simulation of a netlist gave.

    simulated_cycles: of the gateware's clock.  wall_seconds: of the simulation alone.
    """

    outcome: Outcome
    cells: dict[str, int]
    simulated_cycles: int
    wall_seconds: float


def core_cycles(design: Design, requests: Sequence[Request], folder: Path) -> list[int]:
    """Cycles of every sampled token, as the core counts them before synthesis."""
    bench = build_bench(design, DEFAULT)
    with TemporaryDirectory(prefix=".core-", dir=folder) as own:
        return [
            token["cycles"] for _, token in simulate_core(design, bench, requests, Path(own)).tokens
        ]


def checker_for(order: Order, design: Design, cycles: Sequence[int]) -> Checker:
    """What compares a netlist of a design; ``cycles`` are those of every sampled token."""
    hello = hello_of(design, round(order.made_mhz * 1e6))
    return Checker(hello, functools.partial(sampled_by, design), cycles)


def simulate(
    order: Order,
    netlist: Path,
    checker: Checker,
    requests: Sequence[Request],
    folder: Path,
    cache: Path,
    say: Callable[[dict], None] = lambda token: None,
) -> Result:
    """Simulate a netlist (its JSON), and let ``checker`` compare all that it says.

    The log goes to ``folder``; ``cache`` keeps what is compiled.  Raises a Mismatch at the first
    difference.
    """
    board = order.board
    pins = pins_of(board)
    with ticking("compiling the netlist"):
        simulation = program(netlist, board.family, pins, cache)
    make_folder_for(folder / LOG)
    started = time.perf_counter()
    with running(simulation, pins, order.seed, folder / LOG) as port:
        outcome = checker.run(port, requests, say)
        simulated = round(port.seconds * order.made_mhz * 1e6)
    seconds = time.perf_counter() - started
    return Result(outcome, cells_of(netlist), simulated, seconds)


def make_report(order: Order, design: Design, result: Result) -> dict:
    """What ``make gatesim`` reports, with stable keys."""
    board = order.board
    outcome = result.outcome
    return {
        "board": board.name,
        "device": board.device,
        "model": design.plan.name,
        "plan_digest": design.plan.digest(),
        "multipliers": design.schedule.multipliers,
        "clock_mhz": order.made_mhz,
        "seed": order.seed,
        "tokens": len(outcome.tokens),
        "compared": outcome.compared,
        "mismatches": 0,
        "counters": outcome.counters,
        "cells": result.cells,
        "simulated_cycles": result.simulated_cycles,
        "simulated_cycles_per_second": result.simulated_cycles / result.wall_seconds,
        "wall_seconds": result.wall_seconds,
        "tools": tools.versions() | package_versions(),
    }


def netlist_of(folder: Path) -> Path:
    """The JSON in the folder of a netlist (boards.build.synthesise)."""
    return folder / f"{NAME}.json"

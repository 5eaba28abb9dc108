"""One run: simulate requests, print what is said as it is said, compare every tap."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from golden.errors import WeftError
from golden.generate import Request
from hdl.external.layout import Layout
from sim import bench, taps
from sim.build import IMAGES, Design
from sim.compare import Checker
from sim.engines import Simulation, Trace
from sim.memory_player import memory_words
from sim.mismatch import Mismatch
from sim.workload import request_rows

BATCH = 64
"""Tokens between two comparisons."""

WATCHDOG = 20_000
"""Cycles without any transfer after which a run counts as hung; see :func:`patience`."""

SLOWEST = 8
"""Cycles that a beat of an external memory may take before anybody worries."""


@dataclass
class Outcome:
    """What a run gave.

    tokens: (cycle, payload of the token).  counters: (busy, blocked) cycles by (unit, job).
    simulated_cycles, wall_seconds: of the simulation with the comparison on.
    checker: what was compared.
    """

    checker: Checker
    tokens: list[tuple[int, dict]] = field(default_factory=list)
    counters: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    simulated_cycles: int = 0
    wall_seconds: float = 0.0


def run(
    design: Design,
    simulation: Simulation,
    requests: Sequence[Request],
    folder: Path,
    say: Callable[[dict], None] = lambda token: None,
    trace: Trace | None = None,
    keep: bool = False,
    **settings,
) -> Outcome:
    """Simulate ``requests`` and compare every tap with the integer model.

    ``say`` is called with every sampled token as it comes.  ``keep`` keeps all taps.
    ``settings`` are those of :func:`sim.bench.settings` (idle, pressure, seed).

    Raises
    ------
    Mismatch
        At the first difference; its ``outcome`` is what there was until then.
    WeftError
        When the gateware hangs: it names what each unit was doing.
    """
    checker = Checker(design.plan, design.schedule, requests, simulation.design, keep)
    image = dict(design.loaded())
    image[bench.REQUESTS] = bench.requests(simulation.design, list(request_rows(requests)))
    image[bench.SETTINGS] = bench.settings(watchdog=patience(design), **settings)
    memory = None
    if simulation.design.port:
        memory = design.external.outside(design.plan, IMAGES, Path(folder))
    else:
        image |= memory_words(design.plan, design.schedule)
    outcome, tail = Outcome(checker), []
    started = time.perf_counter()
    try:
        for line in simulation.run(image, folder, trace, memory=memory):
            if line[0] == "@":
                checker.feed(line)
            elif line[0] == "t":
                outcome.tokens.append(taps.token(simulation.design, line))
                say(outcome.tokens[-1][1])
                if len(outcome.tokens) % BATCH == 0:
                    checker.check()
            else:
                tail.append(line)
        _end(simulation, outcome, tail)
    except Mismatch as found:
        if (cycle := found.place.get("cycle")) is not None:  # what came later comes of it
            outcome.tokens = [token for token in outcome.tokens if token[0] <= cycle]
        found.outcome = outcome
        raise
    finally:
        outcome.wall_seconds = time.perf_counter() - started
    return outcome


def patience(design: Design) -> int:
    """WATCHDOG, and what the longest matrix takes that comes from an external memory."""
    if not design.schedule.port:
        return WATCHDOG
    tensors = Layout(design.plan, design.schedule.port).tensors
    return WATCHDOG + SLOWEST * max(tensor.form.beats for tensor in tensors)


def _end(simulation: Simulation, outcome: Outcome, tail: list[str]) -> None:
    """Read the last lines, and compare what is left."""
    _, cycles, why = next(line for line in reversed(tail) if line[0] == "e").split()
    outcome.simulated_cycles = int(cycles, 16)
    outcome.checker.check(everything=True)
    if why == "hung":
        told = taps.stuck(simulation.design, tail).replace("\n", "; ")
        raise WeftError(f"the gateware hung at cycle {outcome.simulated_cycles}: {told}")
    outcome.counters = taps.counters(simulation.design, tail)
    outcome.checker.finish()

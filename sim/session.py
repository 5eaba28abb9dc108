"""One run: simulate requests, print what is said as it is said, compare every tap."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from golden.errors import WeftError
from golden.generate import Request
from hdl.external.layout import Layout
from sim import bench, payload, taps
from sim.build import IMAGES, Design
from sim.compare import ACCEPT, Checker
from sim.engines import Simulation, Trace
from sim.memory_player import memory_words
from sim.mismatch import Mismatch
from sim.watch import Watch, Work
from sim.workload import request_rows

BATCH = 64
"""Tokens between two comparisons."""

LINES = 1 << 17
"""Lines between two comparisons at the most: until then they lie in memory."""

LOOK = 512
"""Lines between two looks at how far the run is."""

WATCHDOG = 20_000
"""Cycles without any transfer after which a run counts as hung; see :func:`patience`."""

SLOWEST = 8
"""Cycles that a beat of an external memory may take before anybody worries."""


@dataclass
class Outcome:
    """What a run gave.

    tokens: (cycle, payload of the token).  counters: (busy, blocked) cycles by (unit, job).
    simulated_cycles, wall_seconds: of the simulation with the comparison on.
    checker: what was compared.  interrupted: the run did not come to its end; then there are no
    counters.
    """

    checker: Checker
    tokens: list[tuple[int, dict]] = field(default_factory=list)
    counters: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    simulated_cycles: int = 0
    wall_seconds: float = 0.0
    interrupted: bool = False


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a run; ``outcome`` is what there was until then."""

    def __init__(self, outcome: Outcome):
        super().__init__()
        self.outcome = outcome


def run(
    design: Design,
    simulation: Simulation,
    requests: Sequence[Request],
    folder: Path,
    say: Callable[[dict], None] = lambda token: None,
    trace: Trace | None = None,
    keep: bool = False,
    watch: Watch | None = None,
    **settings,
) -> Outcome:
    """Simulate ``requests`` and compare every tap with the integer model.

    ``say`` is called with every sampled token as it comes; ``watch`` follows the run.  ``keep``
    keeps all taps.  ``settings`` are those of :func:`sim.bench.settings` (idle, pressure, seed).

    Raises
    ------
    Mismatch
        At the first difference; its ``outcome`` is what there was until then.
    Interrupted
        At Ctrl-C, when what is complete was compared.
    WeftError
        When the gateware hangs: it names what each unit was doing.
    """
    checker = Checker(design.plan, design.schedule, requests, simulation.design, keep)
    image = dict(design.loaded())
    image[bench.REQUESTS] = bench.requests(simulation.design, list(request_rows(requests)))
    image[bench.SETTINGS] = bench.settings(watchdog=patience(design), **settings)
    memory, caches = None, _caches(checker, requests)
    if simulation.design.port:
        memory = design.external.outside(design.plan, IMAGES, Path(folder), caches)
    else:
        image |= memory_words(design.plan, design.schedule, caches)
    outcome = Outcome(checker)
    follower = _Follower(simulation, outcome, say, watch or Watch(Work(0, 0)))
    started = time.perf_counter()
    try:
        try:
            for line in simulation.run(image, folder, trace, memory=memory):
                follower.take(line)
            follower.end()
        except KeyboardInterrupt:
            follower.interrupt()
    except Mismatch as found:
        if (cycle := found.place.get("cycle")) is not None:  # what came later comes of it
            outcome.tokens = [token for token in outcome.tokens if token[0] <= cycle]
        found.outcome = outcome
        raise
    finally:
        outcome.wall_seconds = time.perf_counter() - started
    if outcome.interrupted:
        raise Interrupted(outcome)
    return outcome


class _Follower:
    """Takes in the lines of a run as they come."""

    def __init__(self, simulation: Simulation, outcome: Outcome, say, watch: Watch):
        names = [name for name, _ in simulation.design.taps]
        self._accept = f"@{names.index(ACCEPT):03x}" if ACCEPT in names else "none"
        self._layout = dict(simulation.design.taps).get(ACCEPT)
        self._simulation, self._outcome, self._say = simulation, outcome, say
        self._watch, self._tail = watch, []
        self._fresh = 0  # lines since the last comparison
        self._comparing, self._last = False, ""

    def take(self, line: str) -> None:
        """A line of the recorder."""
        if line[0] == "@":
            self._outcome.checker.feed(line)
            self._last = line
            self._fresh += 1
            if self._fresh % LOOK == 0:
                self._watch.at(_cycle(line))
                if self._fresh >= LINES:
                    self._compare()
            if line.startswith(self._accept):
                fields = payload.unpack(self._layout, int(line[taps.PAYLOAD :], 16))
                self._watch.accepted(_cycle(line), bool(fields["tag"]["sample"]))
        elif line[0] == "t":
            cycle, token = taps.token(self._simulation.design, line)
            self._outcome.tokens.append((cycle, token))
            self._watch.said(cycle)
            self._say(token)
            if len(self._outcome.tokens) % BATCH == 0:
                self._compare()
        else:
            self._tail.append(line)

    def _compare(self) -> None:
        self._fresh, self._comparing = 0, True
        self._outcome.checker.check()
        self._comparing = False

    def end(self) -> None:
        """Read the last lines, and compare what is left."""
        self._comparing = True
        outcome, design = self._outcome, self._simulation.design
        _, cycles, why = next(line for line in reversed(self._tail) if line[0] == "e").split()
        outcome.simulated_cycles = int(cycles, 16)
        outcome.checker.check(everything=True)
        if why == "hung":
            told = taps.stuck(design, self._tail).replace("\n", "; ")
            raise WeftError(f"the gateware hung at cycle {outcome.simulated_cycles}: {told}")
        outcome.counters = taps.counters(design, self._tail)
        outcome.checker.finish()

    def interrupt(self) -> None:
        """The run ends here; what is complete is compared, unless a comparison was interrupted."""
        self._outcome.interrupted = True
        if self._last:
            self._outcome.simulated_cycles = _cycle(self._last)
        if not self._comparing:
            self._compare()


def _cycle(line: str) -> int:
    """The cycle of a tap's line."""
    return int(line[taps.CYCLE], 16)


def _caches(checker: Checker, requests: Sequence[Request]) -> dict:
    """Keys and values that lie in the memory before the run: of the first text with a start."""
    for sequence, request in enumerate(requests):
        if request.start:
            return checker.golden.cache_before(sequence)
    return {}


def patience(design: Design) -> int:
    """WATCHDOG, and what the longest matrix takes that comes from an external memory."""
    if not design.schedule.port:
        return WATCHDOG
    tensors = Layout(design.plan, design.schedule.port).tensors
    return WATCHDOG + SLOWEST * max(tensor.form.beats for tensor in tensors)

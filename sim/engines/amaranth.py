"""Amaranth's own simulator: no tools, no Verilog, and for small designs only."""

import contextlib
import io
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from amaranth.hdl import ClockDomain, Module
from amaranth.sim import Simulator

from golden.errors import WeftError, make_folder_for
from hdl.memory import Memories
from sim import recorder
from sim.clock import PERIOD_NS, RESET_CYCLES, trace_time
from sim.engines import Factory, Trace, Words
from sim.engines.image import words_of
from sim.engines.vcd import Window

CHUNK = 64
"""Cycles between two looks at what was printed."""

FOREVER = 1 << 62

FEMTOSECONDS = 1_000_000
"""Amaranth's waveforms count femtoseconds; so many are in a nanosecond."""


class Amaranth:
    """The engine; see :class:`sim.engines.Engine`. There is nothing to build."""

    name = "amaranth"

    def build(self, factory: Factory, key: str, folder: Path) -> "Simulation":
        return Simulation(factory)


class Simulation:
    """A design; see :class:`sim.engines.Simulation`. It is elaborated anew in every run."""

    def __init__(self, factory: Factory):
        self._factory = factory
        memories = Memories()
        bench = factory(memories)
        Simulator(_top(bench)[0])
        self.design = bench.design()

    def run(
        self,
        image: Mapping[str, Words],
        run_folder: Path,
        trace: Trace | None = None,
        max_cycles: int | None = None,
        memory: None = None,
    ) -> Iterator[str]:
        if trace and trace.format != "vcd":
            raise WeftError("Amaranth's simulator writes .vcd waveforms only; name a .vcd file")
        contents = {}
        for name, (width, depth) in self.design.memories.items():
            mask = (1 << width) - 1
            contents[name] = [int(word) & mask for word in words_of(image, name, depth)]
        bench = self._factory(Memories(contents))
        top, domain = _top(bench)
        return _lines(bench, top, domain, trace, max_cycles)


def _top(bench) -> tuple[Module, ClockDomain]:
    m = Module()
    domain = ClockDomain("sync")
    m.domains += domain
    m.submodules.top = bench
    return m, domain


def _lines(bench, top, domain, trace: Trace | None, limit: int | None) -> Iterator[str]:
    period = PERIOD_NS * 1e-9
    ended: list[tuple[int, str]] = []
    simulator = Simulator(top)
    simulator.add_clock(period, phase=0)

    async def reset(ctx):
        ctx.set(domain.rst, 1)
        await ctx.delay((RESET_CYCLES - 0.5) * period)
        ctx.set(domain.rst, 0)

    async def watch(ctx):
        await ctx.posedge(bench.done)
        ended.append((ctx.get(bench.cycle), "hung" if ctx.get(bench.hung) else "done"))

    simulator.add_testbench(reset)
    simulator.add_testbench(watch, background=True)
    pending, cycle = "", 0
    with _waveform(simulator, trace):
        while not ended and (limit is None or cycle < limit):
            cycle = cycle + CHUNK if limit is None else min(cycle + CHUNK, limit)
            said = _advance(simulator, (trace_time(cycle) + PERIOD_NS / 4) * 1e-9)
            *lines, pending = (pending + said).split("\n")
            yield from lines
    cycles, why = ended[0] if ended else (cycle, "limit")
    yield f"e {cycles:08x} {why}"


def _advance(simulator: Simulator, until: float) -> str:
    """Simulate, and answer what was printed: the recorder's lines and nothing else."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        simulator.run_until(until)
    said = printed.getvalue()
    strange = [line for line in said.splitlines() if line[0] not in recorder.KINDS]
    if strange:
        print(*strange, sep="\n", file=sys.stderr)
        said = "".join(f"{x}\n" for x in said.splitlines() if x[0] in recorder.KINDS)
    return said


@contextlib.contextmanager
def _waveform(simulator: Simulator, trace: Trace | None) -> Iterator[None]:
    if trace is None:
        yield
        return
    make_folder_for(trace.path)
    start, end = trace_time(trace.start), trace_time(trace.end(FOREVER))
    with Path(trace.path).open("w") as file:
        window = Window(file, start * FEMTOSECONDS, end * FEMTOSECONDS)
        with simulator.write_vcd(window):
            yield


def create() -> Amaranth:
    """The engine."""
    return Amaranth()

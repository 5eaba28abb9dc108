"""What every core has: its ports, the loop of tokens, and what a simulation sees of it."""

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from golden.plan import Plan
from golden.schedule import Schedule
from hdl.build import core_tags
from hdl.external.port import memory_members
from hdl.generator import Generator
from hdl.observe import Counter, Tap, UnitStatus, View
from hdl.weight_ports import weight_ports


class CoreBase(wiring.Component):
    """Ports of a core; the gateware behind them is a subclass's.

    Parameters
    ----------
    plan, schedule: what to compute, and on what.
    observe: keep taps, unit status and counters (attributes ``taps``, ``units``, ``counters``,
    which exist after elaboration); off, they cost nothing.

    Members
    -------
    requests, tokens, abort, slot, idle: those of hdl.generator.Generator.
    weight_requests_<unit>, weights_<unit>: with streamed weights, for every linear unit: requests
    (base, count) for words of its memory ``<unit>.weights``, and the words, in order.
    memory: with an external memory, its port (hdl.external.port.MemoryPort).
    saturated: one sticky bit a unit, in the order of ``schedule.units``: an element was held to the
    range of its format since reset.
    """

    def __init__(self, plan: Plan, schedule: Schedule, observe: bool):
        self.plan, self.schedule, self.observe = plan, schedule, observe
        self.tags = core_tags(plan, schedule)
        self.weight_ports = weight_ports(plan, schedule)
        self.taps: list[Tap] = []
        self.units: list[UnitStatus] = []
        self.counters: list[Counter] = []
        self._generator = Generator(schedule.streams, self.tags, plan.n_vocab, plan.n_ctx)
        ports = self._generator.signature.members
        super().__init__(
            {
                "requests": ports["requests"],
                "tokens": ports["tokens"],
                "abort": ports["abort"],
                "slot": ports["slot"],
                "idle": Out(1),
                "saturated": Out(len(schedule.units)),
                **{k: v for port in self.weight_ports for k, v in port.members().items()},
                **memory_members(plan, schedule),
            }
        )

    def _begin(self, m: Module) -> Generator:
        """The loop of tokens, joined to the ports."""
        m.submodules.generator = generator = self._generator
        self._view = View(m) if self.observe else None
        wiring.connect(m, wiring.flipped(self.requests), generator.requests)
        wiring.connect(m, generator.tokens, wiring.flipped(self.tokens))
        m.d.comb += [
            generator.abort.eq(self.abort),
            self.slot.eq(generator.slot),
            self.idle.eq(generator.idle),
        ]
        self._tap("accept", generator.accept)
        return generator

    def _tap(self, name: str, stream) -> None:
        """A tap at a stream of beats or of tokens."""
        if self.observe:
            self.taps.append(Tap(name, stream.valid & stream.ready, stream.p))
            self._view.stream(name, stream)

    def _inner_tap(self, m: Module, name: str, valid: Value, **fields: Value) -> None:
        """A tap inside a stage, with fields that are no stream."""
        layout = data.StructLayout({field: value.shape() for field, value in fields.items()})
        payload = Signal(layout, name=name.replace(".", "_"))
        m.d.comb += [payload[field].eq(value) for field, value in fields.items()]
        self.taps.append(Tap(name, valid, payload))

    def _watch(self, m: Module, name: str, component, stalled: Value, jobs: int) -> None:
        """Its sticky bit, the status of a unit, and its counters for every job."""
        with m.If(component.saturated):
            number = [unit.name for unit in self.schedule.units].index(name)
            m.d.sync += self.saturated[number].eq(1)
        if not self.observe:
            return
        busy, blocked, starved = (
            Signal(name=f"{name}_{s}") for s in ("busy", "blocked", "starved")
        )
        m.d.comb += [
            busy.eq(component.busy & ~stalled),
            blocked.eq(component.busy & stalled),
            starved.eq(~component.busy),
        ]
        self.units.append(UnitStatus(name, busy, blocked, starved, component.job))
        self._view.unit(self.units[-1])
        for j in range(jobs):
            counts = [Signal(48, name=f"{name}_job{j}_{s}") for s in ("busy", "blocked")]
            for count, state in zip(counts, (busy, blocked), strict=True):
                with m.If(state & (component.job == j)):
                    m.d.sync += count.eq(count + 1)
            self.counters.append(Counter(name, j, *counts))

"""The end of a softmax: one reciprocal a head, and its product with the weighted sums."""

from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden import tables
from golden.numbers import MANTISSA_BITS
from hdl import mac, numbers, table
from hdl.attention_shape import Shape
from hdl.mac import Multiply
from hdl.memory import Memories
from hdl.stream import Queue, delay
from hdl.weighted_sum import depth, totals_layout


def latency(shape: Shape) -> int:
    """Cycles from ``totals`` (sums not later) to the products, when all is accepted at once."""
    queue = 1
    return table.LATENCY + (shape.heads - 1) + queue + mac.LATENCY


class Normalise(wiring.Component):
    """Multiplies the sums of a beat by the reciprocals of the totals of their heads.

    The heads of a beat are looked up one after the other. Throughput one beat in as many cycles as
    a beat holds heads; ``latency(shape)``. Back-pressure: ``free`` and the two multiplier ports;
    the answer cannot wait.

    Members
    -------
    totals, sums: of WeightedSum. look: the multiplier of the table. mul: of the sums.
    free: there is room for an answer. reserve: an answer is under way.
    valid, first, last: of the answer; the products stand at ``mul.p``.
    """

    def __init__(self, name: str, shape: Shape, memories: Memories):
        self._shape = shape
        self._lookup = table.Lookup(tables.reciprocal(), f"{name}.reciprocal", memories)
        sums = data.ArrayLayout(signed(MANTISSA_BITS), shape.lanes)
        super().__init__(
            {
                "totals": In(stream.Signature(totals_layout(shape))),
                "sums": In(stream.Signature(sums)),
                "look": Out(Multiply(1)),
                "mul": Out(Multiply(shape.lanes)),
                "free": In(1),
                "reserve": Out(1),
                "valid": Out(1),
                "first": Out(1),
                "last": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        shape = self._shape
        factor = unsigned(tables.UNIT)
        m.submodules.queue = queue = Queue(data.ArrayLayout(factor, shape.heads), depth(shape))
        self._reciprocals(m, queue)
        beat = Signal(range(shape.beats))
        last = beat == shape.beats - 1
        m.d.comb += [
            self.mul.valid.eq(queue.o.valid & self.sums.valid & self.free),
            self.reserve.eq(self.mul.valid & self.mul.ready),
            queue.o.ready.eq(self.reserve),
            self.sums.ready.eq(self.reserve),
        ]
        with m.If(self.reserve):
            m.d.sync += beat.eq(beat + 1)
            with m.If(last):
                m.d.sync += beat.eq(0)
        for k in range(shape.lanes):
            reciprocal = queue.o.p[k * shape.heads // shape.lanes]
            m.d.comb += [self.mul.a[k].eq(self.sums.p[k]), self.mul.b[k].eq(reciprocal)]
        flags = Signal(data.StructLayout({"valid": 1, "first": 1, "last": 1}))
        m.d.comb += [flags.valid.eq(self.reserve), flags.first.eq(beat == 0), flags.last.eq(last)]
        back = delay(m, flags, mac.LATENCY, "flags")
        m.d.comb += [self.valid.eq(back.valid), self.first.eq(back.first), self.last.eq(back.last)]
        return m

    def _reciprocals(self, m: Module, queue: Queue):
        """Cycle 0: normalise a total; 1: offer the table's factors; then collect the answers."""
        shape = self._shape
        m.submodules.lookup = lookup = self._lookup
        head, step = Signal(range(shape.heads)), Signal()
        offered, offered_last, accepted = Signal(), Signal(), Signal()
        last = head == shape.heads - 1
        total, place = self.totals.p.total[head], self.totals.p.place[head]
        normal = numbers.normalise_left(m, total, place, "total")
        m.d.comb += [
            step.eq(~offered | self.look.ready),
            lookup.x.eq(normal[:-1][-tables.UNIT :]),
            lookup.en.eq(step),
            self.look.valid.eq(offered),
            self.look.a[0].eq(lookup.a),
            self.look.b[0].eq(lookup.b),
            lookup.p.eq(self.look.p[0]),
            accepted.eq(offered & self.look.ready),
            self.totals.ready.eq(step & last),
        ]
        with m.If(step):
            m.d.sync += [offered.eq(self.totals.valid), offered_last.eq(last)]
            with m.If(self.totals.valid):
                m.d.sync += head.eq(head + 1)
                with m.If(last):
                    m.d.sync += head.eq(0)
        answered = delay(m, accepted, mac.LATENCY, "accepted")
        collected = [lookup.y[: tables.UNIT]]
        for h in reversed(range(shape.heads - 1)):  # earlier heads wait for the last one
            kept = Signal(tables.UNIT, name=f"kept{h}")
            with m.If(answered):
                m.d.sync += kept.eq(collected[0])
            collected.insert(0, kept)
        m.d.comb += queue.i.valid.eq(answered & delay(m, offered_last, mac.LATENCY, "last"))
        for h in range(shape.heads):
            m.d.comb += queue.i.p[h].eq(collected[h])

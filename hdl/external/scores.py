"""Scores of a head of keys: dot products are scaled, rounded and kept; the largest is found."""

from __future__ import annotations

from amaranth.hdl import Array, Module, Mux, Signal, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from golden import tables
from golden.numbers import Fixed
from golden.stages.attention import SCORE_BITS, score_scale
from hdl import wide_product
from hdl.external.attention_shape import Shape
from hdl.requantise import SCALE_BITS, Requantise
from hdl.stream import Tags

PRODUCT = wide_product.LATENCY
"""Cycles of a dot product times the scale."""

ROOM = 8
"""Scores on the way."""


def dots_layout(shape: Shape) -> data.StructLayout:
    """A dot product for every head that shares the key, and the exponent of all."""
    return data.StructLayout(
        {"dots": data.ArrayLayout(signed(shape.dot_bits), shape.heads), "exponent": SCALE_BITS}
    )


def scores_port(shape: Shape) -> dict:
    """Members of who reads the scores."""
    return {
        "peak": In(data.ArrayLayout(signed(SCORE_BITS), shape.heads)),
        "address": Out(range(max(shape.slots * shape.heads, 2))),
        "score": In(signed(SCORE_BITS)),
    }


class Scores(wiring.Component):
    """The scores of one head of keys after the other, slot by slot.

    Throughput: a score a cycle.

    Members
    -------
    i: stream of dots_layout, from slot 0 to ``final``.
    done: all of the head are there (one cycle).
    peak: the largest of every head that shares the keys; until the next head's first.
    address, score: read port, the score a cycle later; scores lie slot by slot.
    saturated: a score was held to its range.
    tap: every score; ``group`` counts within the heads that share the keys.
    """

    def __init__(self, shape: Shape):
        self._shape = shape
        self._depth = shape.slots * shape.heads
        super().__init__(
            {
                "i": In(stream.Signature(dots_layout(shape))),
                "final": In(range(max(shape.slots, 2))),
                "done": Out(1),
                **{name: port.flip() for name, port in scores_port(shape).items()},
                "saturated": Out(1),
                "tap": Out(shape.tap(signed(SCORE_BITS))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        factor, fraction = score_scale(self._shape.job.d_head)
        width = self._shape.dot_bits + factor.bit_length() + 1
        form = Fixed(SCORE_BITS, tables.SCORE_FRACTION)
        m.submodules.round = round_ = Requantise(1, width, form, Tags(0, 0, 0), ROOM, left=True)
        self._scale(m, round_, factor, fraction)
        self._keep(m, round_)
        m.d.comb += self.saturated.eq(round_.saturated)
        return m

    def _scale(self, m: Module, round_: Requantise, factor: int, fraction: int) -> None:
        """One dot product after the other meets the scale."""
        heads, i = self._shape.heads, self.i
        head, last = Signal(range(heads)), Signal()
        dot = Array(i.p.dots)[head]
        chosen = Signal(signed(self._shape.dot_bits))
        out = wide_product.multiply(m, chosen, factor, "score")
        shifts = [Signal(signed(SCALE_BITS), name=f"shift{k}") for k in range(PRODUCT)]
        valids = [Signal(name=f"valid{k}") for k in range(PRODUCT)]
        m.d.comb += [
            last.eq(head == heads - 1),
            round_.reserve.eq(i.valid & round_.free),
            i.ready.eq(round_.free & last),
            round_.i.valid.eq(valids[-1]),
            round_.i.p.data[0].eq(out),
            round_.i.p.scale.eq(shifts[-1]),
        ]
        with m.If(round_.reserve):
            m.d.sync += head.eq(Mux(last, 0, head + 1))
        m.d.comb += chosen.eq(dot)
        m.d.sync += [
            valids[0].eq(round_.reserve),
            shifts[0].eq(fraction - tables.SCORE_FRACTION - i.p.exponent.as_signed()),
        ]
        for k in range(1, PRODUCT):
            m.d.sync += [valids[k].eq(valids[k - 1]), shifts[k].eq(shifts[k - 1])]

    def _keep(self, m: Module, round_: Requantise) -> None:
        """Scores go to their memory, slot by slot."""
        shape, o = self._shape, round_.o
        m.submodules.kept = kept = memory.Memory(
            shape=signed(SCORE_BITS), depth=self._depth, init=[]
        )
        write, read = kept.write_port(), kept.read_port()
        head, slot = Signal(range(shape.heads)), Signal(range(max(shape.slots, 2)))
        last = head == shape.heads - 1
        ends = last & (slot == self.final)
        m.d.comb += [
            o.ready.eq(1),
            write.en.eq(o.valid),
            write.data.eq(o.p.data[0]),
            read.addr.eq(self.address),
            self.score.eq(read.data),
            self.tap.valid.eq(o.valid),
            self.tap.slot.eq(slot),
            self.tap.group.eq(head),
            self.tap.data[0].eq(o.p.data[0]),
        ]
        m.d.sync += self.done.eq(o.valid & ends)
        with m.If(o.valid):
            m.d.sync += [
                head.eq(Mux(last, 0, head + 1)),
                write.addr.eq(Mux(ends, 0, write.addr + 1)),
            ]
            with m.If(last):
                m.d.sync += slot.eq(Mux(ends, 0, slot + 1))
            for g in range(shape.heads):
                higher = (slot == 0) | (o.p.data[0] > self.peak[g])
                with m.If((head == g) & higher):
                    m.d.sync += self.peak[g].eq(o.p.data[0])

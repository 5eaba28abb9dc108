"""Weights of the softmax: two to the score below the maximum, by a table."""

from amaranth.hdl import Module, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden import tables
from golden.stages.attention import LEAST, SCORE_BITS
from hdl import mac, numbers, table
from hdl.attention_shape import Shape
from hdl.mac import Multiply
from hdl.memory import Memories
from hdl.stream import CreditQueue, delay
from hdl.walk import Walk

LATENCY = 1 + table.LATENCY + 2
"""Cycles from the read of a score to its weight: score, look-up, queue, shift."""

ROOM = 8
"""Weights between the multipliers and the shift: more than the cycles that one spends there."""

WHOLE_BITS = LEAST.bit_length()
"""Width of the shift of a weight; the largest one leaves nothing."""


def halved(weight: Value, times: Value) -> Value:
    """``golden.stages.attention.halved`` of a weight.  No cycle."""
    return (((weight << 1)[: tables.UNIT + 1] >> times) + 1 >> 1)[: tables.UNIT]


class Softmax(wiring.Component):
    """Reads the scores of a token once for each beat of values and answers unnormalised weights.

    Order: group by group, in each the beats of a head, in each slot by slot. Throughput one slot a
    cycle; latency LATENCY. Back-pressure: any, on ``o`` and ``mul``.

    Members
    -------
    go: start. final: the last slot, stable until ``done``. done: the last score is being read.
    read_group, read_slot, read_en, scores, peak_group, peak: of Scores.
    mul: for the table. o: stream of weights with tables.UNIT fraction bits, one a head.
    """

    def __init__(self, name: str, shape: Shape, memories: Memories):
        self._shape = shape
        self._lookups = [
            table.Lookup(tables.exp2(), f"{name}.exp2_{k}", memories) for k in range(shape.heads)
        ]
        scores = data.ArrayLayout(signed(SCORE_BITS), shape.heads)
        weights = data.ArrayLayout(unsigned(tables.UNIT), shape.heads)
        super().__init__(
            {
                "go": In(1),
                "final": In(range(shape.slots)),
                "done": Out(1),
                "read_group": Out(range(shape.groups)),
                "read_slot": Out(range(shape.slots)),
                "read_en": Out(1),
                "scores": In(scores),
                "peak_group": Out(range(shape.groups)),
                "peak": In(scores),
                "mul": Out(Multiply(shape.heads)),
                "o": Out(stream.Signature(weights)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        shape = self._shape
        fraction = data.StructLayout({"y": tables.UNIT, "whole": WHOLE_BITS})
        m.submodules.queue = queue = CreditQueue(data.ArrayLayout(fraction, shape.heads), ROOM)
        m.submodules.walk = walk = Walk((shape.groups, shape.head_beats, shape.slots))
        read, offered = Signal(), Signal()
        step_read, step_offer, accepted = Signal(), Signal(), Signal()
        m.d.comb += [
            walk.go.eq(self.go),
            walk.final2.eq(self.final),
            walk.step.eq(step_read),
            self.done.eq(walk.valid & walk.done & step_read),
            self.read_group.eq(walk.at0),
            self.read_slot.eq(walk.at2),
            self.read_en.eq(step_read),
            step_read.eq(~read | step_offer),
            step_offer.eq(~offered | accepted),
            self.mul.valid.eq(offered & queue.free),
            accepted.eq(self.mul.valid & self.mul.ready),
            queue.reserve.eq(accepted),
            queue.i.valid.eq(delay(m, accepted, mac.LATENCY, "accepted")),
        ]
        with m.If(step_read):  # cycle 1: the score, its distance from the maximum
            m.d.sync += [read.eq(walk.valid), self.peak_group.eq(walk.at0)]
        with m.If(step_offer):  # cycle 2: the table's factors
            m.d.sync += offered.eq(read)
        for h in range(shape.heads):
            self._head(m, h, step_offer, queue)
        self._shift(m, queue)
        return m

    def _head(self, m: Module, h: int, step, queue: CreditQueue):
        """Table the fraction of one head's distance; its whole part goes along."""
        m.submodules[f"exp2_{h}"] = lookup = self._lookups[h]
        below = Signal(SCORE_BITS, name=f"below{h}")
        above = below[tables.SCORE_FRACTION :]
        whole = Signal(WHOLE_BITS, name=f"whole{h}")
        with m.If(step):
            m.d.sync += whole.eq(numbers.clamp_shift(above, WHOLE_BITS))
        m.d.comb += [
            below.eq(self.peak[h] - self.scores[h]),
            lookup.x.eq(below[: tables.SCORE_FRACTION]),
            lookup.en.eq(step),
            self.mul.a[h].eq(lookup.a),
            self.mul.b[h].eq(lookup.b),
            lookup.p.eq(self.mul.p[h]),
            queue.i.p[h].y.eq(lookup.y),
            queue.i.p[h].whole.eq(delay(m, whole, mac.LATENCY, f"whole{h}")),
        ]

    def _shift(self, m: Module, queue: CreditQueue):
        """Shift by the whole part, to the nearest."""
        step = ~self.o.valid | self.o.ready
        m.d.comb += queue.o.ready.eq(step)
        with m.If(step):
            m.d.sync += self.o.valid.eq(queue.o.valid)
            for h in range(self._shape.heads):
                fraction = queue.o.p[h]
                m.d.sync += self.o.p[h].eq(halved(fraction.y, fraction.whole))

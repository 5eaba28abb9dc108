"""Weights of a softmax out of the scores of a head of keys."""

from __future__ import annotations

from amaranth.hdl import Array, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden import tables
from golden.stages.attention import SCORE_BITS
from hdl import numbers, table
from hdl.external.attention_shape import Shape
from hdl.external.scores import scores_port
from hdl.mac import Multiply
from hdl.memory import Memories
from hdl.softmax import WHOLE_BITS, halved
from hdl.stream import CreditQueue, delay

ROOM = 8
"""Slots whose weights are on the way or wait."""

LATENCY = 1 + table.LATENCY + 1
"""Cycles from the read of a score to its weight: score, look-up, halved."""


class Softmax(wiring.Component):
    """Tables one score a cycle; a slot is over when each head that shares its key has its weight.

    A weight is given halved as often as its value's exponent is below the largest; the totals are
    of the weights before that.

    Members
    -------
    go: start; final: the last slot, stable until ``done`` (one cycle: all weights are given).
    address, score, peak: those of Scores.  slot, down: of which slot, and how often its weights
    are halved, a cycle later.  look: the multiplier of the table.
    o: stream of weights.  totals: the sums of the weights of the heads, from ``done`` to ``go``.
    tap: every weight, not halved.
    """

    def __init__(self, name: str, shape: Shape, memories: Memories):
        self._shape = shape
        self._lookup = table.Lookup(tables.exp2(), f"{name}.exp2", memories)
        scores = scores_port(shape)
        super().__init__(
            {
                "go": In(1),
                "final": In(range(max(shape.slots, 2))),
                "done": Out(1),
                **scores,
                "slot": Out(range(max(shape.slots, 2))),
                "down": In(WHOLE_BITS),
                "look": Out(Multiply(1)),
                "o": Out(shape.weights()),
                "totals": Out(data.ArrayLayout(unsigned(shape.total_bits), shape.heads)),
                "tap": Out(shape.tap(unsigned(tables.UNIT))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.lookup = self._lookup
        m.submodules.queue = queue = CreditQueue(self.o.p.shape(), ROOM)
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        now = self._read(m, queue)
        self._collect(m, queue, *self._weigh(m, now))
        return m

    def _read(self, m: Module, queue: CreditQueue):
        """Cycle 0: which score is read: {valid, head, slot, last}."""
        shape = self._shape
        running, head = Signal(), Signal(range(shape.heads))
        slot = Signal(range(max(shape.slots, 2)))
        last_head, last_slot = head == shape.heads - 1, slot == self.final
        now = Signal(
            data.StructLayout(
                {"valid": 1, "head": range(shape.heads), "slot": slot.shape(), "last": 1}
            )
        )
        m.d.comb += [
            now.valid.eq(running & ((head != 0) | queue.free)),
            now.head.eq(head),
            now.slot.eq(slot),
            now.last.eq(last_head & last_slot),
            queue.reserve.eq(now.valid & (head == 0)),
            self.slot.eq(slot),
        ]
        with m.If(now.valid):
            m.d.sync += [
                head.eq(Mux(last_head, 0, head + 1)),
                self.address.eq(Mux(now.last, 0, self.address + 1)),
            ]
            with m.If(last_head):
                m.d.sync += slot.eq(Mux(last_slot, 0, slot + 1))
            with m.If(now.last):
                m.d.sync += running.eq(0)
        with m.If(self.go):
            m.d.sync += running.eq(1)
        return now

    def _weigh(self, m: Module, now):
        """Cycle 1: the score and its distance from the largest; then the table, then halved."""
        lookup = self._lookup
        below, whole = Signal(SCORE_BITS), Signal(WHOLE_BITS)
        head = delay(m, now.head, 1, "head")
        m.d.comb += [
            below.eq(Array(self.peak)[head] - self.score),
            lookup.x.eq(below[: tables.SCORE_FRACTION]),
            self.look.valid.eq(1),
            self.look.a[0].eq(lookup.a),
            self.look.b[0].eq(lookup.b),
            lookup.p.eq(self.look.p[0]),
        ]
        m.d.comb += whole.eq(numbers.clamp_shift(below[tables.SCORE_FRACTION :], WHOLE_BITS))
        weight = Signal(tables.UNIT)
        times = delay(m, whole, table.LATENCY, "whole")
        m.d.sync += weight.eq(halved(lookup.y[: tables.UNIT], times))
        down = delay(m, self.down, LATENCY - 1, "down")
        return delay(m, now, LATENCY, "now"), weight, down

    def _collect(self, m: Module, queue: CreditQueue, now, weight: Signal, down) -> None:
        """Weights of a slot together, and their totals."""
        shape = self._shape
        m.d.comb += [
            self.tap.valid.eq(now.valid),
            self.tap.slot.eq(now.slot),
            self.tap.group.eq(now.head),
            self.tap.data[0].eq(weight),
            queue.i.valid.eq(now.valid & (now.head == shape.heads - 1)),
        ]
        m.d.sync += self.done.eq(now.valid & now.last)
        for g in range(shape.heads):
            aligned, kept = halved(weight, down), Signal(tables.UNIT, name=f"kept{g}")
            total = self.totals[g]
            with m.If(now.valid & (now.head == g)):
                m.d.sync += [
                    kept.eq(aligned),
                    total.eq(Mux(now.slot == 0, 0, total) + weight),
                ]
            m.d.comb += queue.i.p[g].eq(aligned if g == shape.heads - 1 else kept)

"""The end of a softmax: a reciprocal for every head, and its product with the weighted sums.

Cycles of a beat, from the read of its sums: 1 chosen, 2 shifted, 3 rounded, 3 + mac into
Requantise.
"""

from __future__ import annotations

from amaranth.hdl import Array, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden import tables
from golden.numbers import MANTISSA_BITS
from hdl import mac, numbers, table
from hdl.external.attention_shape import Shape
from hdl.mac import Multiply
from hdl.memory import Memories
from hdl.stream import delay

ROUNDED = 3
"""Cycles from the read of sums to the factors of the products."""


class Normalise(wiring.Component):
    """Sums of the heads that share a key, divided by their totals; beat by beat, head by head.

    Members
    -------
    go: the sums and ``totals`` of a head of keys are complete; the sums stay until ``done`` (one
    cycle).  free: there is room for a beat.  reserve: one is under way.
    part, sums: the read port of WeightedSum.
    look: the multiplier of the table; mul: those of the products.
    valid, last: a beat of products stands at ``mul.p``; it is the last of this head of keys.
    """

    def __init__(self, name: str, shape: Shape, memories: Memories):
        self._shape = shape
        self._lookup = table.Lookup(tables.reciprocal(), f"{name}.reciprocal", memories)
        super().__init__(
            {
                "go": In(1),
                "totals": In(data.ArrayLayout(unsigned(shape.total_bits), shape.heads)),
                "done": Out(1),
                "free": In(1),
                "reserve": Out(1),
                "part": Out(range(max(shape.parts, 2))),
                "sums": In(data.ArrayLayout(signed(shape.sum_bits), shape.products)),
                "look": Out(Multiply(1)),
                "mul": Out(Multiply(shape.lanes)),
                "valid": Out(1),
                "last": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        reciprocal, place, ready = self._reciprocals(m)
        self._beats(m, reciprocal, place, ready)
        return m

    def _reciprocals(self, m: Module):
        """(reciprocal and place of the leading one of the total at hand, whether it is known)."""
        m.submodules.lookup = lookup = self._lookup
        self._head = Signal(range(self._shape.heads))
        self._ask = Signal()
        total = Signal(self._shape.total_bits)
        found = numbers.leading_one(m, total, "total")
        place, reciprocal = Signal.like(found), Signal(tables.UNIT)
        normal = numbers.normalise_left(m, total, found, "total")
        asked = delay(m, self._ask, 1, "asked")  # the total stands in its register
        answered = delay(m, asked, table.LATENCY, "answered")
        held = Signal.like(self.totals)
        with m.If(self.go):
            m.d.sync += held.eq(self.totals)
        m.d.sync += total.eq(Array(held)[self._head])
        m.d.comb += [
            lookup.x.eq(normal[:-1][-tables.UNIT :]),
            lookup.en.eq(1),
            self.look.valid.eq(1),
            self.look.a[0].eq(lookup.a),
            self.look.b[0].eq(lookup.b),
            lookup.p.eq(self.look.p[0]),
        ]
        with m.If(answered):
            m.d.sync += [reciprocal.eq(lookup.y), place.eq(found)]
        return reciprocal, place, answered

    def _beats(self, m: Module, reciprocal: Signal, place: Signal, ready: Signal) -> None:
        """One head after the other: its reciprocal, then its beats."""
        shape = self._shape
        chunks = shape.elements // shape.lanes
        chunk, left = Signal(range(chunks)), Signal(range(shape.head_beats))
        issue, ends, last = Signal(), Signal(), Signal()
        m.d.comb += [ends.eq(left == 0), last.eq(self._head == shape.heads - 1)]
        with m.FSM():
            with m.State("IDLE"), m.If(self.go):
                m.next = "ASK"
            with m.State("ASK"):
                m.d.comb += self._ask.eq(1)
                m.next = "LOOK"
            with m.State("LOOK"):
                m.d.sync += [left.eq(shape.head_beats - 1), chunk.eq(0), self.part.eq(0)]
                with m.If(ready):
                    m.next = "BEATS"
            with m.State("BEATS"):
                m.d.comb += issue.eq(self.free)
                with m.If(issue):
                    m.d.sync += [left.eq(left - 1), chunk.eq(chunk + 1)]
                    with m.If(chunk == chunks - 1):
                        m.d.sync += [chunk.eq(0), self.part.eq(self.part + 1)]
                    with m.If(ends):
                        m.next = "DRAIN"
            with m.State("DRAIN"):  # the reciprocal is in use until the last products
                m.d.sync += self._head.eq(Mux(last, 0, self._head + 1))
                m.next = "ASK"
                with m.If(last):
                    m.d.comb += self.done.eq(1)
                    m.next = "IDLE"
        m.d.comb += self.reserve.eq(issue)
        self._divide(m, issue, ends & last, chunk, reciprocal, place)

    def _divide(self, m: Module, issue, last, chunk: Signal, reciprocal, place) -> None:
        """Choose, shift, round, multiply."""
        shape = self._shape
        m.d.comb += self.mul.valid.eq(1)
        head, down = self._head, Signal(len(place) + 1)
        m.d.comb += down.eq(place + (1 - shape.job.spare_bits))
        for k in range(shape.lanes):
            at = [
                self.sums[g * shape.elements + c * shape.lanes + k]
                for g in range(shape.heads)
                for c in range(shape.elements // shape.lanes)
            ]
            chosen = Signal(signed(shape.sum_bits), name=f"chosen{k}")
            m.d.sync += chosen.eq(Array(at)[head * (shape.elements // shape.lanes) + chunk])
            moved, lost = numbers.shift_right(m, chosen, down, f"sum{k}")
            moved_r = Signal(signed(len(moved)), name=f"moved{k}")
            lost_r = Signal(name=f"lost{k}")
            rounded = Signal(signed(MANTISSA_BITS), name=f"rounded{k}")
            value, _ = numbers.round_saturate(m, moved_r, lost_r, MANTISSA_BITS, f"held{k}")
            m.d.sync += [moved_r.eq(moved), lost_r.eq(lost), rounded.eq(value)]
            m.d.comb += [self.mul.a[k].eq(rounded), self.mul.b[k].eq(reciprocal)]
        m.d.comb += [
            self.valid.eq(delay(m, issue, ROUNDED + mac.LATENCY, "issued")),
            self.last.eq(delay(m, last, ROUNDED + mac.LATENCY, "last")),
        ]

"""The passes over a cache as its beats come: keys meet the query, values their weights.

Cycles of a part of a head:
    0                   its beat comes; the query, or the weights, beside it
    1                   factors at the multipliers
    1 + mac             products
"""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden import tables
from golden.numbers import EXPONENT_BITS, MANTISSA_BITS
from hdl.external.attention_shape import Shape
from hdl.mac import Multiply


def part_layout(shape: Shape) -> data.StructLayout:
    """What a part is: number ``part`` of its head; of the first and the last slot."""
    return data.StructLayout({"part": range(max(shape.parts, 2)), "first": 1, "last": 1})


class Passes(wiring.Component):
    """For one head of keys after the other: all keys, then all values.

    Throughput a part a cycle, a header a cycle; back-pressure through ``keys_open``, ``weights``
    and ``values_open``, which are looked at when a slot begins.

    Members
    -------
    final: the last slot, stable while the passes run.
    keys, values: streams of beats of the cache.
    keys_open: another key may begin.  header: one comes: exponents of ``key`` and ``value``, for
    ``slot``.
    weights: stream of the weights of a slot.  values_open: another value may begin.
    head, part, query: those of Query; ``data`` there is ``query`` here.
    mul: products of the heads that share a key, each with ``shape.elements`` elements.
    dot, sum: a part of a key, of a value meets its factors in this cycle (part_layout; valid).
    turn: the last value of a head has come (one cycle); over: and the head was the last.
    """

    def __init__(self, shape: Shape):
        self._shape = shape
        part = data.StructLayout({"valid": 1, "place": part_layout(shape)})
        exponent = signed(EXPONENT_BITS)
        super().__init__(
            {
                "final": In(range(max(shape.slots, 2))),
                "keys": In(stream.Signature(shape.port)),
                "values": In(stream.Signature(shape.port)),
                "keys_open": In(1),
                "header": Out(data.StructLayout({"valid": 1, "key": exponent, "value": exponent})),
                "slot": Out(range(max(shape.slots, 2))),
                "weights": In(shape.weights()),
                "values_open": In(1),
                "head": Out(range(max(shape.job.kv_heads, 2))),
                "part": Out(range(max(shape.parts, 2))),
                "query": In(shape.products * MANTISSA_BITS),
                "mul": Out(Multiply(shape.products)),
                "dot": Out(part),
                "sum": Out(part),
                "turn": Out(1),
                "over": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        shape = self._shape
        head, slot, part = self.head, self.slot, self.part
        value_pass, header = Signal(), Signal(init=1)
        take_header, take = Signal(), Signal()
        keys, values = self.keys, self.values
        step_ends = part[: shape.steps - 1].all() if shape.steps > 1 else 1
        last_part, last_slot = part == shape.parts - 1, slot == self.final
        opens = part == 0
        of_value = values.valid & self.weights.valid & (self.values_open | ~opens)
        m.d.comb += [
            take_header.eq(~value_pass & header & keys.valid & self.keys_open),
            take.eq(Mux(value_pass, of_value, ~header & keys.valid)),
            keys.ready.eq(take_header | (~value_pass & take & step_ends)),
            values.ready.eq(value_pass & take & step_ends),
            self.weights.ready.eq(value_pass & take & last_part),
            self.header.valid.eq(take_header),
            self.header.key.eq(keys.p[:EXPONENT_BITS].as_signed()),
            self.header.value.eq(keys.p[EXPONENT_BITS : 2 * EXPONENT_BITS].as_signed()),
        ]
        ends = Signal()
        m.d.comb += [
            ends.eq(take & last_part & last_slot),
            self.turn.eq(ends & value_pass),
            self.over.eq(self.turn & (head == shape.job.kv_heads - 1)),
        ]
        with m.If(take_header):
            m.d.sync += header.eq(0)
        with m.If(take):
            m.d.sync += part.eq(Mux(last_part, 0, part + 1))
            with m.If(last_part):
                m.d.sync += [slot.eq(Mux(last_slot, 0, slot + 1)), header.eq(1)]
        with m.If(ends):
            m.d.sync += value_pass.eq(~value_pass)
        with m.If(self.turn):
            m.d.sync += head.eq(Mux(self.over, 0, head + 1))
        self._multiply(m, value_pass, take, last_slot)
        return m

    def _multiply(self, m: Module, value_pass: Signal, take: Signal, last_slot: Value) -> None:
        """Cycle 1: every element of the part with the query's, or with the weight of its head."""
        shape = self._shape
        elements = self._elements(m, value_pass)
        for name, of_value in (("dot", 0), ("sum", 1)):
            flags = getattr(self, name)
            m.d.sync += [
                flags.valid.eq(take & (value_pass == of_value)),
                flags.place.part.eq(self.part),
                flags.place.first.eq(self.slot == 0),
                flags.place.last.eq(last_slot),
            ]
        m.d.comb += self.mul.valid.eq(1)
        for g in range(shape.heads):
            for e, element in enumerate(elements):
                k = g * shape.elements + e
                query = self.query[k * MANTISSA_BITS : (k + 1) * MANTISSA_BITS]
                weight = self.weights.p[g][: tables.UNIT]
                m.d.sync += self.mul.a[k].eq(Mux(value_pass, weight, query))
                m.d.comb += self.mul.b[k].eq(element)

    def _elements(self, m: Module, value_pass: Signal) -> list[Value]:
        """The elements of the part that is taken, a cycle later."""
        shape = self._shape
        codes = Mux(value_pass, self.values.p, self.keys.p)
        width = shape.elements * shape.bits
        if shape.steps > 1:
            bits = (shape.steps - 1).bit_length()
            codes = codes.word_select(self.part[:bits], width)
        held = Signal(width)
        m.d.sync += held.eq(codes)
        return [
            held[e * shape.bits : (e + 1) * shape.bits].as_signed() for e in range(shape.elements)
        ]

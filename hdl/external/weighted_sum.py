"""Sums of weighted values: one for every element of the heads that share a value."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from golden.numbers import MANTISSA_BITS
from hdl.external.attention_shape import Shape
from hdl.external.passes import part_layout


class WeightedSum(wiring.Component):
    """Adds products to sums that lie part by part.

    Throughput a part a cycle; it cannot stall.

    Members
    -------
    valid, part, products: of a part (part_layout).
    done: the sums of a head are complete (one cycle).
    read: which part; sums: [head of the group][element], in the same cycle.
    """

    def __init__(self, shape: Shape):
        self._shape = shape
        sums = data.ArrayLayout(signed(shape.sum_bits), shape.products)
        super().__init__(
            {
                "valid": In(1),
                "part": In(part_layout(shape)),
                "products": In(data.ArrayLayout(signed(2 * MANTISSA_BITS), shape.products)),
                "done": Out(1),
                "read": In(range(max(shape.parts, 2))),
                "sums": Out(sums),
            }
        )

    def elaborate(self, platform):
        m = Module()
        shape = self._shape
        width = shape.sum_bits * shape.products
        m.submodules.kept = kept = memory.Memory(shape=width, depth=max(shape.parts, 2), init=[])
        write = kept.write_port()
        before, read = kept.read_port(domain="comb"), kept.read_port(domain="comb")
        part = self.part
        sums = self.sums.shape()(before.data)
        terms = [
            (Mux(part.first, 0, sums[k]) + self.products[k])[: shape.sum_bits]
            for k in range(shape.products)
        ]
        m.d.comb += [
            before.addr.eq(part.part),
            read.addr.eq(self.read),
            write.addr.eq(part.part),
            write.en.eq(self.valid),
            write.data.eq(Cat(terms)),
            self.sums.as_value().eq(read.data),
        ]
        m.d.sync += self.done.eq(self.valid & part.last & (part.part == shape.parts - 1))
        return m

"""Sums times scales: exact, one group a cycle."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.stage import SCALED_BITS
from hdl import wide_product
from hdl.external.matrix import SCALE
from hdl.stream import delay

LATENCY = wide_product.LATENCY + 3
"""Cycles from a group to the sum that holds it."""

MANTISSA = 12
"""Bits of a float16's mantissa as a signed integer."""


def half_parts(bits: Value) -> tuple[Value, Value]:
    """(mantissa, exponent) of float16 bits: the integer mantissa * 2**exponent, see half_integers.

    Numbers below the normal ones have no hidden bit and the exponent 0.
    """
    exponent = bits[10:15]
    normal = exponent.any()
    magnitude = Cat(bits[:10], normal)
    mantissa = Mux(bits[15], -magnitude, magnitude)
    return mantissa[:MANTISSA].as_signed(), Mux(normal, exponent - 1, 0)[:5]


class Scale(wiring.Component):
    """``sum over groups of scale * total + minimum * x`` of a row: exact in SCALED_BITS bits.

    Latency LATENCY; a group a cycle; it cannot stall.

    Cycles: 1 to 4 products of mantissas and sums, 5 shifted, 6 both added, 7 added to the row.

    Members
    -------
    valid, total, x, scale: a group: the sum of its products, that of its elements, its scale.
    opens, closes: it is the first, the last of its row.
    done: a row is complete: ``row``.
    """

    def __init__(self, total_bits: int, x_bits: int):
        self._bits = total_bits, x_bits
        super().__init__(
            {
                "valid": In(1),
                "opens": In(1),
                "closes": In(1),
                "total": In(signed(total_bits)),
                "x": In(signed(x_bits)),
                "scale": In(SCALE),
                "done": Out(1),
                "row": Out(signed(SCALED_BITS)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        terms = [
            self._term(m, name, value, bits)
            for name, value, bits in (
                ("scale", self.total, self.scale.scale),
                ("minimum", self.x, self.scale.minimum),
            )
        ]
        flags = Signal(3)
        m.d.comb += flags.eq(Cat(self.valid, self.opens, self.closes))
        valid, opens, closes = delay(m, flags, LATENCY - 1, "flags")
        both = Signal(signed(SCALED_BITS))
        m.d.sync += [both.eq(terms[0] + terms[1]), self.done.eq(valid & closes)]
        with m.If(valid):
            m.d.sync += self.row.eq(Mux(opens, 0, self.row) + both)
        return m

    def _term(self, m: Module, name: str, value: Value, bits: Value) -> Signal:
        """Value times float16, as an integer; a cycle more than the product."""
        mantissa, exponent = half_parts(bits)
        product = wide_product.multiply(m, value, mantissa, name)
        places = Signal(5, name=f"{name}_places")
        moved = Signal(signed(SCALED_BITS), name=f"{name}_moved")
        m.d.comb += places.eq(exponent)
        late = delay(m, places, wide_product.LATENCY, f"{name}_places")
        m.d.sync += moved.eq(product << late)
        return moved

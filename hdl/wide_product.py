"""Products of a factor that is wider than a DSP block's, with all registers of the blocks on.

The multiplier array (hdl/mac.py) forms products of 16-bit factors; where one is wider, a unit has
multipliers of its own.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed

LATENCY = 4
"""Cycles from factors to product: operands, products of the parts, their outputs, the sum."""

PART = 25
"""Bits of the wider factor of a DSP48E1, signed."""


def multiply(m: Module, a: Value, b: Value | int, name: str) -> Signal:
    """Signed ``a`` times signed ``b``, LATENCY cycles later; one a cycle, it cannot stall.

    A constant ``b`` needs no register.
    """
    low = PART - 1
    wide = len(a) > PART
    parts = [Cat(a[:low], Const(0, 1)).as_signed(), a[low:].as_signed()] if wide else [a]
    constant = isinstance(b, int)
    b_bits = b.bit_length() + 1 if constant else len(b)
    total: Value = Const(0)
    for k, part in enumerate(parts):
        x = Signal(signed(len(part)), name=f"{name}_a{k}", reset_less=True)
        y = b
        if not constant:
            y = Signal(signed(b_bits), name=f"{name}_b{k}", reset_less=True)
            m.d.sync += y.eq(b)
        formed, output = (
            Signal(signed(len(part) + b_bits), name=f"{name}_{what}{k}", reset_less=True)
            for what in ("product", "output")
        )
        m.d.sync += [x.eq(part), formed.eq(x * y), output.eq(formed)]
        total = total + (output << low * k) if k else output
    result = Signal(signed(len(a) + b_bits), name=f"{name}_result", reset_less=True)
    m.d.sync += result.eq(total)
    return result

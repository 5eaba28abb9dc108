"""Products times gains: exact, in multipliers of their own, for they are wider than a factor."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Module, Signal, Value, signed

from golden.numbers import MANTISSA_BITS

LATENCY = 3
"""Cycles from a product and its gain to their product: registers before, in and after a DSP."""


def multiply(m: Module, products: Sequence[Value], gains: Sequence[Value]) -> list[Signal]:
    """``product * gain`` of every lane, LATENCY cycles later; it cannot stall."""
    return [
        _product(m, product, gain, f"gain{k}")
        for k, (product, gain) in enumerate(zip(products, gains, strict=True))
    ]


def _product(m: Module, product: Value, gain: Value, name: str) -> Signal:
    a = Signal(signed(len(product)), name=f"{name}_a", reset_less=True)
    b = Signal(signed(MANTISSA_BITS), name=f"{name}_b", reset_less=True)
    formed = Signal(signed(len(a) + len(b)), name=f"{name}_product", reset_less=True)
    result = Signal.like(formed, name=f"{name}_result")
    m.d.sync += [a.eq(product), b.eq(gain), formed.eq(a * b), result.eq(formed)]
    return result

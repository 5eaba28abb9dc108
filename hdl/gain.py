"""Products times gains: exact, in multipliers of their own, for they are wider than a factor."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Module, Signal, Value

from hdl import wide_product

LATENCY = wide_product.LATENCY
"""Cycles from a product and its gain to their product."""


def multiply(m: Module, products: Sequence[Value], gains: Sequence[Value]) -> list[Signal]:
    """``product * gain`` of every lane, LATENCY cycles later; it cannot stall."""
    return [
        wide_product.multiply(m, product, gain, f"gain{k}")
        for k, (product, gain) in enumerate(zip(products, gains, strict=True))
    ]

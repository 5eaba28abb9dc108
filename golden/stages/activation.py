"""ReLU, and GELU as ``max(x, 0) - tail(|x|)`` with a tabulated tail."""

import numpy as np

from golden import tables
from golden.numbers import Vector, round_half_even
from golden.stage import Activation
from golden.stages import Context


def gelu(x: Vector) -> Vector:
    """Exact-erf GELU of a static format with at most GELU_FRACTION fraction bits."""
    magnitude = np.abs(x.mantissa) << (tables.GELU_FRACTION + x.exponent)
    inside = magnitude < 1 << (tables.GELU_FRACTION + tables.GELU_RANGE_BITS)
    tail = np.where(inside, tables.gelu_tail().lookup(np.where(inside, magnitude, 0)), 0)
    tail = round_half_even(tail, tables.GELU_OUTPUT_FRACTION + x.exponent)
    return Vector(np.maximum(x.mantissa, 0) - tail, x.exponent)


def execute(stage: Activation, context: Context, x: Vector) -> Vector:
    """The function of every element [size], in the format of the input."""
    if stage.function == "gelu":
        return gelu(x)
    return Vector(np.maximum(x.mantissa, 0), x.exponent)

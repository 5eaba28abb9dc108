"""The gated MLP: SiLU of one vector times another (SwiGLU of Shazeer, 2020)."""

import numpy as np

from golden import tables
from golden.numbers import Vector, round_half_even
from golden.stage import Gate
from golden.stages import Context

LARGEST = (1 << (tables.SIGMOID_FRACTION + tables.SIGMOID_RANGE_BITS)) - 1
"""Where the table of the sigmoid ends; what is larger counts as this."""


def sigmoid(x: Vector) -> np.ndarray:
    """The logistic function of every element, with UNIT fraction bits.

    The magnitude is cut to SIGMOID_FRACTION fraction bits; a negative element has the complement.
    """
    magnitude = np.abs(x.mantissa)
    shift = tables.SIGMOID_FRACTION + x.exponent
    left, right = (np.minimum(np.maximum(s, 0), most) for s, most in ((shift, 16), (-shift, 31)))
    y = tables.sigmoid().lookup(np.minimum(magnitude << left >> right, LARGEST))
    return np.where(x.mantissa < 0, (1 << tables.UNIT) - y, y)


def execute(stage: Gate, context: Context, gate: Vector, x: Vector) -> Vector:
    """``silu(gate) * x`` [size]: the SiLU is rounded to the unit of ``gate``, the product once."""
    silu = round_half_even(gate.mantissa * sigmoid(gate), tables.UNIT)
    return context.requantise(stage, silu * x.mantissa, gate.exponent + x.exponent)

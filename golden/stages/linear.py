"""Linear layer: exact integer dot products, then one requantisation."""

import numpy as np

from golden.exact import row_sums
from golden.numbers import Vector
from golden.stage import SCALE_FRACTION, Linear
from golden.stages import Context


def sums(stage: Linear, x: np.ndarray) -> np.ndarray:
    """Exact sums [..., output] of the weights' integers times ``x`` [..., input]."""
    rows = row_sums(stage, x)
    return rows * stage.scales if stage.scales is not None and stage.scales.ndim == 1 else rows


def execute(stage: Linear, context: Context, x: Vector) -> Vector:
    """``weights @ x`` [output] in the stage's format."""
    exponent = x.exponent + int(stage.weight_exponent)
    if stage.scales is not None:
        exponent = exponent - SCALE_FRACTION
    return context.requantise(stage, sums(stage, x.mantissa), exponent)

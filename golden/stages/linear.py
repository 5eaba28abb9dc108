"""Linear layer: exact integer dot products, then one requantisation."""

import numpy as np

from golden.blocks import GROUP
from golden.numbers import Vector
from golden.stage import SCALE_FRACTION, Linear
from golden.stages import Context


def scaled_sums(stage: Linear, x: np.ndarray) -> np.ndarray:
    """Exact sums [output] of scaled weights times ``x``."""
    if stage.scales.ndim == 1:
        return stage.scales * (stage.weights.astype(np.int64) @ x)
    groups = x.reshape(-1, GROUP)
    codes = stage.weights.reshape(len(stage.weights), -1, GROUP)
    sums = np.einsum("rgk,gk->rg", codes, groups, dtype=np.int64)
    total = np.sum(stage.scales * sums, axis=1)
    return total if stage.minima is None else total + stage.minima @ groups.sum(axis=1)


def execute(stage: Linear, context: Context, x: Vector) -> Vector:
    """``weights @ x`` [output] in the stage's format."""
    exponent = x.exponent + int(stage.weight_exponent)
    if stage.scales is None:
        return context.requantise(stage, stage.weights @ x.mantissa, exponent)
    return context.requantise(stage, scaled_sums(stage, x.mantissa), exponent - SCALE_FRACTION)

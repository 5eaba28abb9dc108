"""Embedding: the rows of two tables, added and saturated; or a row of codes times its scale."""

import numpy as np

from golden.numbers import Vector
from golden.stage import SCALE_FRACTION, Embed
from golden.stages import Context


def execute(stage: Embed, context: Context, token: int) -> Vector:
    """Mantissas [size] of ``tokens[token] + positions[position]`` in the stage's format."""
    row = stage.tokens[token]
    if stage.scales is not None:
        wide = row * np.expand_dims(stage.scales[token], -1)
        return context.requantise(stage, wide, int(stage.exponent) - SCALE_FRACTION)
    if stage.positions is not None:
        row = row + stage.positions[context.position]
    return context.hold(stage, row)

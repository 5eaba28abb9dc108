"""Embedding: the rows of two tables, added and saturated."""

from golden.numbers import Vector, saturate
from golden.stage import Embed
from golden.stages import Context


def execute(stage: Embed, context: Context, token: int) -> Vector:
    """Mantissas [size] of ``tokens[token] + positions[position]`` in the stage's format."""
    row = stage.tokens[token]
    if stage.positions is not None:
        row = row + stage.positions[context.position]
    held = saturate(row, stage.format.width)
    if (held != row).any():
        context.saturates(stage)
    return Vector(held, stage.format.exponent)

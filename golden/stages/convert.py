"""A change of format."""

from golden.numbers import Vector
from golden.stage import Convert
from golden.stages import Context


def execute(stage: Convert, context: Context, x: Vector) -> Vector:
    """The vector [size] in the stage's format."""
    return context.requantise(stage, x.mantissa, x.exponent)

"""The bias of a linear layer: a constant vector, added in a static format."""

from golden.numbers import Vector, round_half_even
from golden.stage import Bias
from golden.stages import Context


def execute(stage: Bias, context: Context, x: Vector) -> Vector:
    """``x + bias`` [size]; ``x`` is first rounded to the exponent of the stage's format."""
    aligned = round_half_even(x.mantissa, stage.format.exponent - x.exponent)
    return context.hold(stage, aligned + stage.bias)

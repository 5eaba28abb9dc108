"""Linear layer: exact integer dot products, then one requantisation."""

from golden.numbers import Vector
from golden.stage import Linear
from golden.stages import Context


def execute(stage: Linear, context: Context, x: Vector) -> Vector:
    """``weights @ x`` [output] in the stage's format."""
    exponent = x.exponent + int(stage.weight_exponent)
    return context.requantise(stage, stage.weights @ x.mantissa, exponent)

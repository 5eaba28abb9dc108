"""The residual stream: a saturating sum in a static format."""

from golden.numbers import Vector, round_half_even
from golden.stage import Residual
from golden.stages import Context


def execute(stage: Residual, context: Context, x: Vector, branch: Vector) -> Vector:
    """``x + branch`` [size]; the branch is first rounded to the exponent of the stream."""
    aligned = round_half_even(branch.mantissa, x.exponent - branch.exponent)
    return context.hold(stage, x.mantissa + aligned)

"""RMS normalisation: exact sum of squares, tabulated reciprocal root, one rounding."""

import numpy as np

from golden import tables
from golden.numbers import Vector
from golden.stage import Norm
from golden.stages import Context


def aligned_epsilon(stage: Norm, exponent: int) -> int:
    """``size * eps`` in units of ``2**(2 * exponent)``: rounded down, held to ``square_bits``."""
    shift = int(stage.epsilon_exponent) - 2 * exponent
    epsilon = int(stage.epsilon)
    aligned = epsilon << min(shift, stage.square_bits) if shift >= 0 else epsilon >> -shift
    return min(aligned, (1 << stage.square_bits) - 1)


def reciprocal_root(size: int, total: int) -> tuple[int, int]:
    """(r, h): ``sqrt(size / total) = r * 2**(q - 15 - h)``, q = tables.norm_exponent(size).

    ``total`` is read as ``t * 4**h`` with t in [1, 4) and cut to 15 bits below its leading one.
    """
    top = total.bit_length() - 1
    fraction = (total << 15 >> top) & 0x7FFF
    return int(tables.root(size).lookup((top & 1) << 15 | fraction)), top >> 1


def scale(stage: Norm, squares: int, exponent: int) -> tuple[int, int]:
    """:func:`reciprocal_root` of a sum of squares in units of ``2**(2 * exponent)``."""
    return reciprocal_root(stage.size, max(squares + aligned_epsilon(stage, exponent), 1))


def execute(stage: Norm, context: Context, x: Vector) -> Vector:
    """``x / rms(x) * gain`` [size] in the stage's format; a zero vector stays zero."""
    squares = np.sum(x.mantissa * x.mantissa, axis=-1)
    if squares.ndim == 0:
        r, h = scale(stage, int(squares), x.exponent)
    else:
        exponents = np.broadcast_to(x.exponent, (len(squares), 1))[:, 0]
        pairs = map(scale, [stage] * len(squares), squares.tolist(), exponents.tolist())
        r, h = np.array(list(pairs)).T[..., None]
    exponent = tables.norm_exponent(stage.size) - tables.UNIT - h
    if stage.gain is None:
        return context.requantise(stage, x.mantissa * r, exponent)
    wide = x.mantissa * r * stage.gain
    return context.requantise(stage, wide, exponent + int(stage.gain_exponent))

"""Rotary positions: every pair of neighbouring elements turns with the token's position.

RoPE of Su et al., 2021. The angle is a phase of 32 bits, in turns: exact up to the rounding of the
turn of one position, 6e-6 radians after 8,191 of them.
"""

import numpy as np

from golden import tables
from golden.numbers import Vector
from golden.stage import PHASE_BITS, Rope
from golden.stages import Context

QUARTER = PHASE_BITS - 2


def sine(phase: np.ndarray) -> np.ndarray:
    """The sine of a phase, with UNIT fraction bits: a quarter wave, mirrored and negated.

    The phase is cut to SINE_BITS bits of a quarter and taken in the middle of that step, so that
    the mirror image is the complement of its bits.
    """
    quadrant = phase >> QUARTER
    place = phase >> (QUARTER - tables.SINE_BITS) & ((1 << tables.SINE_BITS) - 1)
    place = np.where(quadrant & 1, place ^ ((1 << tables.SINE_BITS) - 1), place)
    y = tables.sine().lookup(place)
    return np.where(quadrant & 2, -y, y)


def rotation(stage: Rope, position: int | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(cosine, sine) of every pair of a head [d_head / 2], with UNIT fraction bits."""
    mask = (1 << PHASE_BITS) - 1
    phase = stage.turns * np.expand_dims(position & mask, -1) & mask
    return sine(phase + (1 << QUARTER) & mask), sine(phase)


def execute(stage: Rope, context: Context, x: Vector) -> Vector:
    """The turned heads [n_head * d_head] in the stage's format: exact products, one rounding."""
    cos, sin = (wave[..., None, :] for wave in rotation(stage, context.position))
    pairs = x.mantissa.reshape(*x.mantissa.shape[:-1], stage.n_head, stage.d_head // 2, 2)
    a, b = pairs[..., 0], pairs[..., 1]
    wide = np.stack([a * cos - b * sin, a * sin + b * cos], axis=-1).reshape(x.mantissa.shape)
    return context.requantise(stage, wide, x.exponent - tables.UNIT)

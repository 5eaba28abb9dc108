"""Sampling by the Gumbel-max trick: one pass, no sort, no division; temperature 0 is greedy."""

import numpy as np

from golden import noise, tables
from golden.numbers import Vector, round_half_even
from golden.stage import Sample
from golden.stages import Context

GUARD = 4
"""Bits below a logit's unit in which noise is added."""

LOGIT_FRACTION = noise.TEMPERATURE_FRACTION + tables.GUMBEL_FRACTION - GUARD
"""Fraction bits that logits may have: those of the noise, which is only ever shifted right."""


def scaled_noise(stage: Sample, context: Context) -> np.ndarray:
    """Noise [n_vocab] in units of 2**-GUARD logit units; zeros when the scale is 0."""
    if context.noise_scale == 0:
        return np.zeros(stage.n_vocab, dtype=np.int64)
    words = noise.random_words(context.seed, context.sequence, context.position, stage.n_vocab)
    product = noise.gumbel_noise(words) * context.noise_scale
    return round_half_even(product, LOGIT_FRACTION - stage.source.fraction)


def execute(stage: Sample, context: Context, logits: Vector) -> Vector:
    """The id of the winner, as a vector of one element."""
    race = (logits.mantissa << GUARD) + scaled_noise(stage, context)
    return Vector(np.array([int(np.argmax(race))]), 0)

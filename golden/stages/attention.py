"""Multi-head causal attention over a ring of cached keys and values.

Scores count powers of two.  The softmax takes the true maximum first, tabulates ``exp2`` of the
difference, keeps an exact integer sum, and multiplies by one reciprocal a head after the weighted
sum.
"""

from dataclasses import dataclass

import numpy as np

from golden import tables
from golden.numbers import MANTISSA_BITS, Vector, round_half_even, saturate
from golden.stage import Attention
from golden.stages import Context

SCORE_BITS = 24
"""Width of a score: powers of two up to +-2048, with tables.SCORE_FRACTION fraction bits."""

VALUE_GUARD = 12
"""Extra low bits in which block values of unequal exponents are aligned: a value whose exponent
is smaller than the largest by more than this loses its lowest bits (rounded down)."""


@dataclass
class Cache:
    """Keys and values [slots, n_head, d_head] and their exponents [slots]."""

    keys: np.ndarray
    values: np.ndarray
    key_exponents: np.ndarray
    value_exponents: np.ndarray

    @classmethod
    def empty(cls, stage: Attention) -> "Cache":
        shape = (stage.slots, stage.n_head, stage.d_head)
        zeros = np.zeros(stage.slots, dtype=np.int64)
        return cls(np.zeros(shape, np.int64), np.zeros(shape, np.int64), zeros, zeros.copy())

    def store(self, slot: int, key: Vector, value: Vector) -> None:
        self.keys[slot] = key.mantissa.reshape(self.keys.shape[1:])
        self.values[slot] = value.mantissa.reshape(self.values.shape[1:])
        self.key_exponents[slot], self.value_exponents[slot] = key.exponent, value.exponent


def softmax_weights(scores: np.ndarray) -> np.ndarray:
    """``2**(score - maximum)`` of [positions, heads] with 15 fraction bits, unnormalised.

    The whole part of the difference shifts the tabulated fraction: rounded to nearest, ties up.
    """
    below = scores.max(axis=0) - scores
    whole = np.minimum(below >> tables.SCORE_FRACTION, 31)
    fraction = tables.exp2().lookup(below & ((1 << tables.SCORE_FRACTION) - 1))
    return ((fraction << 1 >> whole) + 1) >> 1


def reciprocal(total: int) -> tuple[int, int]:
    """(r, k): ``1 / total = r * 2**-(15 + k)`` with k the place of the leading one of ``total``."""
    top = total.bit_length() - 1
    return int(tables.reciprocal().lookup((total << 15 >> top) & 0x7FFF)), top


def weighted_sum(weights: np.ndarray, values: np.ndarray, exponents: np.ndarray) -> np.ndarray:
    """Exact sums [heads, d_head] of weight * value, in units of 2**(max exponent - VALUE_GUARD)."""
    down = np.minimum(exponents.max() - exponents, MANTISSA_BITS * 2 + VALUE_GUARD)
    products = weights[:, :, None] * values << VALUE_GUARD
    return (products >> down[:, None, None]).sum(axis=0)


def normalised(sums: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """``sums / totals`` a head, as integers in units of 2**-14 of the values' unit.

    Each sum is first rounded to 16 bits (it cannot exceed the largest value), then multiplied by
    the reciprocal of its total.
    """
    quotients = np.empty_like(sums)
    for head, total in enumerate(totals):
        r, top = reciprocal(int(total))
        rounded = round_half_even(sums[head], VALUE_GUARD + top + 1)
        quotients[head] = saturate(rounded, MANTISSA_BITS) * r
    return quotients


def execute(stage: Attention, context: Context, q: Vector, k: Vector, v: Vector) -> Vector:
    """Concatenated heads [n_head * d_head] in the stage's format.

    Taps ``name.scores`` and ``name.weights``, each [slots, heads].
    """
    key = (context.layer, stage.name)
    if key not in context.cache:
        context.cache[key] = Cache.empty(stage)
    cache = context.cache[key]
    cache.store(context.position % stage.slots, k, v)
    seen = slice(0, stage.attended(context.position))
    query = q.mantissa.reshape(stage.n_head, stage.d_head)
    dots = np.einsum("hd,jhd->jh", query, cache.keys[seen])
    shift = -tables.SCORE_FRACTION - (q.exponent + cache.key_exponents[seen])
    unsaturated = round_half_even(dots, shift[:, None])
    scores = saturate(unsaturated, SCORE_BITS)
    weights = softmax_weights(scores)
    sums = weighted_sum(weights, cache.values[seen], cache.value_exponents[seen])
    wide = normalised(sums, weights.sum(axis=0)).reshape(-1)
    exponent = int(cache.value_exponents[seen].max()) - (tables.UNIT - 1)
    context.tap(f"{stage.name}.scores", Vector(scores, -tables.SCORE_FRACTION))
    context.tap(f"{stage.name}.weights", Vector(weights, -tables.UNIT))
    if (scores != unsaturated).any():
        context.saturates(stage)
    return context.requantise(stage, wide, exponent)

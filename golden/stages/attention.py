"""Multi-head causal attention over a ring of cached keys and values.

Scores count powers of two.  The softmax takes the true maximum first, tabulates ``exp2`` of the
difference, keeps an exact integer sum, and multiplies by one reciprocal a head after the weighted
sum.  Neighbouring heads may share a head of keys and values (grouped queries, Ainslie et al.,
2023).
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from golden import tables
from golden.numbers import MANTISSA_BITS, Vector, bit_lengths, round_half_even, saturate
from golden.stage import Attention
from golden.stages import Context

SCORE_BITS = 24
"""Width of a score: powers of two up to +-2048, with tables.SCORE_FRACTION fraction bits."""

LEAST = 31
"""Halvings of a weight that leave nothing of it; more count as these."""


@cache
def score_scale(d_head: int) -> tuple[int, int]:
    """(c, k): ``log2(e) / sqrt(d_head)`` is c * 2**-k, with c of MANTISSA_BITS - 1 bits."""
    fraction, exponent = math.frexp(math.log2(math.e) / math.sqrt(d_head))
    return round(math.ldexp(fraction, MANTISSA_BITS - 1)), MANTISSA_BITS - 1 - exponent


@dataclass
class Cache:
    """Keys and values [slots, kv_heads, d_head] and their exponents [slots]."""

    keys: np.ndarray
    values: np.ndarray
    key_exponents: np.ndarray
    value_exponents: np.ndarray

    @classmethod
    def empty(cls, stage: Attention) -> "Cache":
        shape = (stage.slots, stage.kv_heads, stage.d_head)
        zeros = np.zeros(stage.slots, dtype=np.int64)
        return cls(np.zeros(shape, np.int64), np.zeros(shape, np.int64), zeros, zeros.copy())

    def store(self, slot: int, key: Vector, value: Vector) -> None:
        self.keys[slot] = key.mantissa.reshape(self.keys.shape[1:])
        self.values[slot] = value.mantissa.reshape(self.values.shape[1:])
        self.key_exponents[slot], self.value_exponents[slot] = key.exponent, value.exponent

    def ordered(self, positions: np.ndarray) -> "Cache":
        """What is kept of positions, in their order."""
        slots = positions % len(self.keys)
        return Cache(
            self.keys[slots], self.values[slots], self.key_exponents[slots],
            self.value_exponents[slots],
        )  # fmt: skip

    def extended(self, other: "Cache") -> "Cache":
        """This and then the other."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Cache(*(np.concatenate(pair) for pair in pairs))

    def put(self, positions: np.ndarray, other: "Cache") -> None:
        """Keep the last entries of another in the slots of the positions that end with them."""
        last = positions[-len(self.keys) :]
        for mine, others in zip(vars(self).values(), vars(other).values(), strict=True):
            mine[last % len(self.keys)] = others[-len(last) :]


def cache_of(stage: Attention, context: Context) -> Cache:
    """The cache of the layer at work, an empty one at first."""
    key = (context.layer, stage.name)
    if key not in context.cache:
        context.cache[key] = Cache.empty(stage)
    return context.cache[key]


def softmax_weights(scores: np.ndarray) -> np.ndarray:
    """``2**(score - maximum)`` of [positions, ...] with 15 fraction bits, unnormalised.

    The whole part of the difference shifts the tabulated fraction: rounded to nearest, ties up.
    """
    below = scores.max(axis=0) - scores
    whole = below >> tables.SCORE_FRACTION
    return halved(tables.exp2().lookup(below & ((1 << tables.SCORE_FRACTION) - 1)), whole)


def halved(weights: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Weights shifted right, at the most LEAST times: rounded to nearest, ties up."""
    return ((weights << 1 >> np.minimum(times, LEAST)) + 1) >> 1


def reciprocal(total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(r, k): ``1 / total = r * 2**-(15 + k)`` with k the place of the leading one of ``total``."""
    top = bit_lengths(total) - 1
    return tables.reciprocal().lookup((total << 15 >> top) & 0x7FFF), top


def normalised(sums: np.ndarray, totals: np.ndarray, spare: int) -> np.ndarray:
    """``sums / totals`` of [..., heads, d_head] and [..., heads], in 2**-(14 + spare) of a unit.

    Each sum is first rounded to 16 bits (it cannot exceed the largest value, which has ``spare``
    fewer), then multiplied by the reciprocal of its total.
    """
    r, top = (x[..., None] for x in reciprocal(totals))
    return saturate(round_half_even(sums, top + 1 - spare), MANTISSA_BITS) * r


def score(stage: Attention, dots: np.ndarray, exponents: np.ndarray) -> tuple[np.ndarray, bool]:
    """(scores of ``dots * 2**exponents``, arrays that broadcast; whether one was held)."""
    if stage.scaled:
        factor, fraction = score_scale(stage.d_head)
        dots, exponents = dots * factor, exponents - fraction
    rounded = round_half_even(dots, -tables.SCORE_FRACTION - exponents)
    scores = saturate(rounded, SCORE_BITS)
    return scores, bool((scores != rounded).any())


def execute(stage: Attention, context: Context, q: Vector, k: Vector, v: Vector) -> Vector:
    """Concatenated heads [n_head * d_head] in the stage's format.

    Taps ``name.scores`` and ``name.weights``, each [slots, heads].  A value whose exponent is below
    the largest is multiplied by a weight that is halved as often.
    """
    cache = cache_of(stage, context)
    cache.store(context.position % stage.slots, k, v)
    seen = slice(0, stage.attended(context.position))
    query = q.mantissa.reshape(stage.kv_heads, -1, stage.d_head)
    dots = np.einsum("hgd,jhd->jhg", query, cache.keys[seen]).reshape(-1, stage.n_head)
    scores, held = score(stage, dots, (q.exponent + cache.key_exponents[seen])[:, None])
    weights = softmax_weights(scores)
    exponent = int(cache.value_exponents[seen].max())
    aligned = halved(weights, (exponent - cache.value_exponents[seen])[:, None])
    groups = aligned.reshape(len(aligned), stage.kv_heads, -1)
    sums = np.einsum("jhg,jhd->hgd", groups, cache.values[seen]).reshape(stage.n_head, -1)
    wide = normalised(sums, weights.sum(axis=0), stage.spare_bits).reshape(-1)
    context.tap(f"{stage.name}.scores", Vector(scores, -tables.SCORE_FRACTION))
    context.tap(f"{stage.name}.weights", Vector(weights, -tables.UNIT))
    if held:
        context.saturates(stage)
    return context.requantise(stage, wide, exponent - (tables.UNIT - 1) - stage.spare_bits)

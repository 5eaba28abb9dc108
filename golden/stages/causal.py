"""Attention of a run of tokens at once: that of golden.stages.attention, from the same parts.

Scores and weights are [positions in sight, tokens, heads].  Dot products are taken in float64,
which holds them: 2**30 times d_head or the number of slots is far below 2**53.
"""

from __future__ import annotations

import numpy as np

from golden import tables
from golden.numbers import Vector
from golden.stage import Attention
from golden.stages import Run
from golden.stages.attention import (
    SCORE_BITS,
    Cache,
    cache_of,
    halved,
    normalised,
    score,
    softmax_weights,
)


def execute(stage: Attention, context: Run, q: Vector, k: Vector, v: Vector) -> Vector:
    """Concatenated heads [tokens, n_head * d_head] in the stage's format."""
    cache, first = cache_of(stage, context), int(context.position[0])
    before = np.arange(first - min(first, stage.slots - 1), first)
    new = _entries(stage, k, v)
    known = cache.ordered(before).extended(new)
    # What a run writes over may still be read by its first tokens.
    cache.put(context.position, new)
    age = context.position - np.concatenate([before, context.position])[:, None]
    seen = ((age >= 0) & (age < stage.slots))[..., None]

    dots = np.where(seen, _dots(stage, q.mantissa, known.keys), 0)
    exponents = _exponents(q) + known.key_exponents[:, None]
    scores, held = score(stage, dots, exponents[..., None])
    visible = np.where(seen, scores, -1 << (SCORE_BITS - 1))
    weights = np.where(seen, softmax_weights(visible), 0)
    if held:
        context.saturates(stage)
    _tap(stage, context, scores, weights)

    own = known.value_exponents[:, None]
    top = np.where(seen[..., 0], own, np.iinfo(np.int64).min).max(axis=0)
    aligned = halved(weights, np.maximum(top - own, 0)[..., None])
    sums = _weighted(stage, aligned, known.values)
    wide = normalised(sums, weights.sum(axis=0), stage.spare_bits).reshape(len(sums), -1)
    return context.requantise(stage, wide, top[:, None] - (tables.UNIT - 1) - stage.spare_bits)


def _exponents(x: Vector) -> np.ndarray:
    """The exponent of every token [tokens]."""
    return np.broadcast_to(x.exponent, (len(x.mantissa), 1))[:, 0].astype(np.int64)


def _entries(stage: Attention, k: Vector, v: Vector) -> Cache:
    """Keys and values of the run, as a cache keeps them."""
    shape = (-1, stage.kv_heads, stage.d_head)
    return Cache(k.mantissa.reshape(shape), v.mantissa.reshape(shape), _exponents(k), _exponents(v))


def _dots(stage: Attention, queries: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Dot products [positions, tokens, heads] of [tokens, n_head * d_head] with the keys."""
    count = len(queries)
    grouped = queries.reshape(count, stage.kv_heads, -1, stage.d_head).astype(np.float64)
    rows = grouped.transpose(1, 0, 2, 3).reshape(stage.kv_heads, -1, stage.d_head)
    dots = keys.astype(np.float64).transpose(1, 0, 2) @ rows.transpose(0, 2, 1)
    parts = dots.reshape(stage.kv_heads, len(keys), count, -1).transpose(1, 2, 0, 3)
    return parts.reshape(len(keys), count, stage.n_head).astype(np.int64)


def _weighted(stage: Attention, weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sums [tokens, n_head, d_head] of weights [positions, tokens, n_head] times the values."""
    positions, count, _ = weights.shape
    grouped = weights.reshape(positions, count, stage.kv_heads, -1).astype(np.float64)
    rows = grouped.transpose(2, 1, 3, 0).reshape(stage.kv_heads, -1, positions)
    sums = rows @ values.astype(np.float64).transpose(1, 0, 2)
    parts = sums.reshape(stage.kv_heads, count, -1, stage.d_head).transpose(1, 0, 2, 3)
    return parts.reshape(count, stage.n_head, stage.d_head).astype(np.int64)


def _tap(stage: Attention, context: Run, scores: np.ndarray, weights: np.ndarray) -> None:
    """Tap scores and weights: of every token [slots, heads], as its cache has them."""
    if context.record is None:
        return
    first = int(context.position[-1]) + 1 - len(scores)
    fractions = {"scores": tables.SCORE_FRACTION, "weights": tables.UNIT}
    for (name, fraction), found in zip(fractions.items(), (scores, weights), strict=True):
        rows = []
        for token, position in enumerate(context.position.tolist()):
            slots = np.arange(stage.attended(position))
            rows.append(found[position - (position - slots) % stage.slots - first, token])
        context.tap(f"{stage.name}.{name}", Vector(rows, -fraction))

"""Bytes that a token needs from memory, and no others: padding is loss, not need.

A weight of a group costs 20 bytes in 32 (codes, scale, minimum), one of a row a byte beside the
row's scale, a bias 4 bytes; a cached key or value its mantissas, and a byte for the exponent of
each of its heads.
"""

from __future__ import annotations

import math

from golden.config import ModelConfig
from golden.numbers import EXPONENT_BITS
from golden.plan import Plan
from golden.stage import Attention, Bias, Embed, Linear, Norm, Stage

HALF_BITS = 16
"""Width of a scale, of a minimum and of a gain."""


def weight_bytes(plan: Plan, sampled: bool = True) -> float:
    """Weights, biases, gains, a row of the embedding; the head if a token is to be ``sampled``."""
    parts = [plan.prologue, *plan.layers, *([plan.epilogue] if sampled else [])]
    return sum(_weight_bits(stage) for part in parts for stage in part) / 8


def cache_bytes(plan: Plan, position: int) -> float:
    """Keys and values that a token at ``position`` reads, its own included, and writes."""
    stages = (stage for _, stage in plan.stages() if isinstance(stage, Attention))
    return sum(_entry_bits(stage) * (stage.attended(position) + 1) for stage in stages) / 8


def float_bytes(config: ModelConfig, position: int) -> tuple[float, float]:
    """Both of the float32 model."""
    whole = {name: math.prod(shape) for name, shape in config.shapes.items()}
    tables = [whole.pop(name) for name in ("wte", "wpe") if name in whole]
    rows = len(tables) * config.d_model
    weights = sum(whole.values()) + rows + (tables[0] if config.tied_head else 0)
    seen = min(position + 1, config.window or position + 1)
    entry = 2 * config.kv_heads * config.d_head
    return 4.0 * weights, 4.0 * config.n_layer * entry * (seen + 1)


def _weight_bits(stage: Stage) -> int:
    if isinstance(stage, Linear):
        halves = sum(x.size for x in (stage.scales, stage.minima) if x is not None)
        return stage.weights.size * stage.weight_bits + halves * HALF_BITS
    if isinstance(stage, Norm):
        return 0 if stage.gain is None else stage.gain.size * HALF_BITS
    if isinstance(stage, Bias):
        return stage.bias.size * stage.format.width
    if isinstance(stage, Embed):
        return _row_bits(stage)
    return 0


def _row_bits(stage: Embed) -> int:
    """The rows of a token and of its position."""
    if stage.scales is not None:
        return stage.output_size * stage.tokens.itemsize * 8 + HALF_BITS
    tables = 1 if stage.positions is None else 2
    return tables * stage.output_size * stage.format.width


def _entry_bits(stage: Attention) -> int:
    """The key and the value of a position."""
    mantissas = stage.d_head * (stage.key.width + stage.value.width)
    return stage.kv_heads * (mantissas + 2 * EXPONENT_BITS)

"""Exact sums of integer products by the floating-point units of the machine.

float64 holds every integer up to 2**53: where no sum of magnitudes exceeds that, a product of
matrices in float64 is exact in whatever order it is summed, and a library does it at full speed.
Where one could, sums are taken in 64-bit integers instead.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np

from golden.blocks import GROUP
from golden.stage import Linear

EXACT = 1 << 53
"""Up to here float64 holds every integer."""

_OPERANDS: WeakKeyDictionary[Linear, np.ndarray | None] = WeakKeyDictionary()
"""What :func:`operand` made, as long as the stage is there."""


def operand(stage: Linear) -> np.ndarray | None:
    """The integers of a stage's weights in float64 [output, input]; made once, 8 bytes a weight.

    They are codes, where groups have scales of their own ``scale * code + minimum``.  None if a
    sum of their products could exceed EXACT.
    """
    if stage not in _OPERANDS:
        weights = _integers(stage)
        peak = 1 << (stage.source.width - 1)
        largest = np.abs(weights).sum(axis=1).max() * peak
        _OPERANDS[stage] = weights if largest < EXACT else None
    return _OPERANDS[stage]


def _integers(stage: Linear) -> np.ndarray:
    weights = stage.weights.astype(np.float64)
    if stage.scales is not None and stage.scales.ndim == 2:
        groups = weights.reshape(len(weights), -1, GROUP)
        groups *= stage.scales[..., None]
        if stage.minima is not None:
            groups += stage.minima[..., None]
    return weights


def row_sums(stage: Linear, x: np.ndarray) -> np.ndarray:
    """Sums [..., output] of integers of weights times ``x`` [..., input], a vector of the source.

    Where a row has one scale, the sums are without it.
    """
    weights = operand(stage)
    if weights is None:
        return _wide_sums(stage, x)
    return (x.astype(np.float64) @ weights.T).astype(np.int64)


def _wide_sums(stage: Linear, x: np.ndarray) -> np.ndarray:
    """The same in 64-bit integers: sums of a group first, then those of a row."""
    if stage.scales is None or stage.scales.ndim == 1:
        return x @ stage.weights.T.astype(np.int64)
    groups = x.reshape(*x.shape[:-1], -1, GROUP)
    codes = stage.weights.reshape(len(stage.weights), -1, GROUP)
    sums = np.einsum("rgk,...gk->...rg", codes, groups, dtype=np.int64)
    total = np.sum(stage.scales * sums, axis=-1)
    return total if stage.minima is None else total + groups.sum(axis=-1) @ stage.minima.T

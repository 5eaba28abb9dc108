"""Formats of weights with scales: 8-bit codes with one a row, 4-bit codes with one a group.

Scales and minima are float16, held as integers in units of ``2**-SCALE_FRACTION``: what is summed
is exact, and a group that a file brings along stays as it is.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from golden.blocks import GROUP, Blocks, Rows
from golden.errors import WeftError
from golden.numbers import MANTISSA_BITS
from golden.stage import SCALE_FRACTION, SCALED_BITS, Exponent

CODE_LIMIT = 127
"""Largest magnitude of an 8-bit code: the range is symmetric."""

GROUP_TOP = 15
"""Largest code of a group."""


class Scaled(NamedTuple):
    """A matrix as codes: ``2**(exponent - SCALE_FRACTION) * (scale * code + minimum)``.

    codes [rows, columns], int8 or uint8; scales [rows] or [rows, columns / GROUP]; minima of the
    same shape, or None.
    """

    codes: np.ndarray
    scales: np.ndarray
    minima: np.ndarray | None
    exponent: Exponent
    bits: int


def half_integers(x: np.ndarray) -> np.ndarray:
    """Float16 values as integers: multiples of 2**-SCALE_FRACTION."""
    return np.ldexp(np.asarray(x, dtype=np.float64), SCALE_FRACTION).astype(np.int64)


def halves(integers: np.ndarray) -> np.ndarray:
    """The float16 values that such integers stand for."""
    return np.ldexp(np.asarray(integers, dtype=np.float64), -SCALE_FRACTION).astype(np.float16)


def values(matrix: Scaled) -> np.ndarray:
    """The weights that a matrix stands for, in float64 [rows, columns]."""
    wide = matrix.codes.reshape(*matrix.scales.shape, -1) * matrix.scales[..., None].astype(float)
    if matrix.minima is not None:
        wide += matrix.minima[..., None]
    return np.ldexp(wide, int(matrix.exponent) - SCALE_FRACTION).reshape(matrix.codes.shape)


def by_row(weights: np.ndarray) -> Scaled:
    """8-bit codes [rows, columns] with a scale a row, the largest of a row at +-CODE_LIMIT.

    Scales are rounded up to float16 and codes taken with the scale that results, to the nearest;
    the exponent brings the largest scale of the matrix below 1.
    """
    peaks = np.abs(weights).max(axis=1).astype(np.float64) / CODE_LIMIT
    _, exponent = math.frexp(float(peaks.max()))
    wanted = np.ldexp(peaks, -exponent)
    scales = wanted.astype(np.float16)
    scales = np.where(scales < wanted, np.nextafter(scales, np.float16(2)), scales)
    units = np.ldexp(np.where(scales == 0, 1, scales).astype(np.float64), exponent)
    codes = np.rint(weights / units[:, None]).astype(np.int8)
    return Scaled(codes, half_integers(scales), None, Exponent(exponent), 8)


def by_group(weights: np.ndarray) -> Scaled:
    """4-bit codes [rows, columns] with scale and minimum a group of GROUP neighbours (Q4_1)."""
    groups = weights.reshape(len(weights), -1, GROUP).astype(np.float64)
    low, high = groups.min(axis=2), groups.max(axis=2)
    _, exponent = math.frexp(float(max(np.abs(low).max(), np.abs(high).max())))
    minima = np.ldexp(low, -exponent).astype(np.float16)
    scales = np.ldexp((high - low) / GROUP_TOP, -exponent).astype(np.float16)
    units = np.where(scales == 0, 1, scales).astype(np.float64)[..., None]
    codes = np.rint((np.ldexp(groups, -exponent) - minima[..., None].astype(np.float64)) / units)
    codes = np.clip(codes, 0, GROUP_TOP).astype(np.uint8).reshape(weights.shape)
    return Scaled(codes, half_integers(scales), half_integers(minima), Exponent(exponent), 4)


def as_they_are(blocks: Blocks) -> Scaled:
    """The codes of a file, Q4_1 or Q4_0, without any rounding; Q4_0 counts from -8 scales."""
    scales = half_integers(blocks.scales)
    codes, minima = blocks.codes, -8 * scales
    if blocks.minima is not None:
        minima = half_integers(blocks.minima)
    else:
        codes = codes + 8
    return Scaled(codes.astype(np.uint8), scales, minima, Exponent(0), 4)


def groups_of(name: str, weights: np.ndarray, blocks: Blocks | Rows | None) -> Scaled:
    """A matrix in groups: those of its file where it has such, else new ones.

    Raises
    ------
    WeftError
        If a row is not a whole number of groups.
    """
    if isinstance(blocks, Blocks) and blocks.has_groups:
        return as_they_are(blocks)
    if weights.shape[1] % GROUP:
        raise WeftError(
            f"the rows of {name} have {weights.shape[1]} weights; 4-bit weights come in groups of "
            f"{GROUP}: expected a multiple, or 8-bit weights"
        )
    return by_group(weights)


def check_sums(name: str, matrix: Scaled) -> None:
    """Whether no row can exceed SCALED_BITS, whatever the vector.

    Raises
    ------
    WeftError
        If one can: names the tensor.
    """
    peak = 1 << (MANTISSA_BITS - 1)
    columns = matrix.codes.shape[1] // (matrix.scales.shape[1] if matrix.scales.ndim == 2 else 1)
    top = GROUP_TOP if matrix.minima is not None else CODE_LIMIT + 1
    bound = np.abs(matrix.scales).astype(np.float64) * top
    if matrix.minima is not None:
        bound += np.abs(matrix.minima)
    rows = bound.reshape(len(bound), -1).sum(axis=1) * columns * peak
    if rows.max() >= 2.0 ** (SCALED_BITS - 1):
        raise WeftError(
            f"the scales of {name} reach {float(halves(matrix.scales).max()):.3g} in row "
            f"{int(rows.argmax())}: its sums could exceed {SCALED_BITS} bits; expected the weights "
            "of a trained model"
        )

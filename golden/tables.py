"""Function tables, built exactly (mpmath, 60 digits): piecewise linear, one product a look-up.

A table splits its unsigned input into an index (the leading ``index_bits``) and a remainder (the
``low_bits``), and answers ``(base[index] + slope[index] * low) >> shift``.  The constant for
rounding to nearest is already in ``base``.  Every segment is the chord of the function, moved by
half of its deviation at the middle, which halves the largest error.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

import mpmath
import numpy as np

DIGITS = 60


@dataclass(frozen=True)
class Table:
    """One tabulated function.

    Parameters
    ----------
    name: what it computes.
    index_bits, low_bits: how the unsigned input is split.
    base, slope: one pair of integers a segment; ``slope`` fits 16 bits signed.
    shift: bits dropped after the addition.
    top: the largest answer; larger ones are held there.
    """

    name: str
    index_bits: int
    low_bits: int
    base: tuple[int, ...]
    slope: tuple[int, ...]
    shift: int
    top: int

    @property
    def base_bits(self) -> int:
        """Width of ``base`` in two's complement."""
        return max(int(b).bit_length() for b in self.base) + 1

    @property
    def slope_bits(self) -> int:
        """Width of ``slope`` in two's complement."""
        return max(int(s).bit_length() for s in self.slope) + 1

    @cached_property
    def _pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Base and slope of every segment, as arrays."""
        return np.asarray(self.base, dtype=np.int64), np.asarray(self.slope, dtype=np.int64)

    def lookup(self, x: np.ndarray) -> np.ndarray:
        """The table's answer for unsigned integers ``x`` below ``2**(index_bits + low_bits)``."""
        x = np.asarray(x, dtype=np.int64)
        index, low = x >> self.low_bits, x & ((1 << self.low_bits) - 1)
        base, slope = self._pairs
        return np.minimum((base[index] + slope[index] * low) >> self.shift, self.top)


def _segment(f: Callable, left, right, low_bits: int, scale: int, shift: int) -> tuple[int, int]:
    """(base, slope) of the chord from ``left`` to ``right``; answers are in units of 1/scale."""
    y0, y1, middle = f(left), f(right), f((left + right) / 2)
    offset = (middle - (y0 + y1) / 2) / 2
    unit = scale * 2**shift
    base = mpmath.nint((y0 + offset) * unit + mpmath.mpf(2) ** shift / 2)
    slope = mpmath.nint((y1 - y0) * unit / 2**low_bits)
    return int(base), int(slope)


def _build(name, f, edges, index_bits, low_bits, scale, shift, top) -> Table:
    with mpmath.workdps(DIGITS):
        pairs = [_segment(f, a, b, low_bits, scale, shift) for a, b in edges()]
    base, slope = zip(*pairs, strict=True)
    return Table(name, index_bits, low_bits, base, slope, shift, top)


def _uniform(start: int, stop: int, index_bits: int) -> Callable:
    """Edges of ``2**index_bits`` equal segments of [start, stop); made inside the precision."""

    def edges():
        step = mpmath.mpf(stop - start) / 2**index_bits
        points = [start + step * i for i in range(2**index_bits + 1)]
        return list(itertools.pairwise(points))

    return edges


UNIT = 15
"""Fraction bits of a table's answer in (0, 1]; one itself is held at 1 - 2**-15."""
ONE = (1 << UNIT) - 1

SCORE_FRACTION = 12
"""Fraction bits of an attention score (in powers of two)."""


@cache
def exp2() -> Table:
    """``2**-f`` for a fraction ``f`` of SCORE_FRACTION bits; answers have UNIT fraction bits."""
    return _build("exp2", lambda x: mpmath.mpf(2) ** -x, _uniform(0, 1, 6), 6, SCORE_FRACTION - 6,
                  1 << UNIT, 10, ONE)  # fmt: skip


@cache
def reciprocal() -> Table:
    """``1 / (1 + f)`` for a fraction ``f`` of 15 bits; answers have UNIT fraction bits."""
    return _build("reciprocal", lambda x: 1 / (1 + x), _uniform(0, 1, 8), 8, 7, 1 << UNIT, 10, ONE)


def norm_exponent(n: int) -> int:
    """The least q with ``sqrt(n) <= 2**q``."""
    return ((n - 1).bit_length() + 1) // 2


@cache
def root(n: int) -> Table:
    """``sqrt(n) * 2**-q / sqrt(t)``, q = norm_exponent(n), for t in [1, 4).

    The input is (odd, fraction of 15 bits): ``t = (1 + fraction) * 2**odd``.
    """

    def edges():
        return _uniform(1, 2, 7)() + _uniform(2, 4, 7)()

    return _build(f"root{n}", lambda t: mpmath.sqrt(n) / 2 ** norm_exponent(n) / mpmath.sqrt(t),
                  edges, 8, 8, 1 << UNIT, 10, ONE)  # fmt: skip


GELU_FRACTION = 12
GELU_RANGE_BITS = 3
GELU_OUTPUT_FRACTION = 16


@cache
def gelu_tail() -> Table:
    """``u * Phi(-u)`` for u in [0, 8) with 12 fraction bits: gelu(x) = max(x, 0) - tail(|x|).

    The exact (erf) GELU of Hendrycks and Gimpel, 2016; answers have 16 fraction bits.
    """
    return _build("gelu", lambda u: u * mpmath.ncdf(-u), _uniform(0, 8, 9), 9, 6,
                  1 << GELU_OUTPUT_FRACTION, 8, ONE)  # fmt: skip


SINE_BITS = 16


@cache
def sine() -> Table:
    """``sin(pi / 2 * x)`` for x = (n + 1/2) / 2**SINE_BITS; answers have UNIT fraction bits."""

    def edges():
        middle = mpmath.mpf(2) ** -(SINE_BITS + 1)
        return [(left + middle, right + middle) for left, right in _uniform(0, 1, 8)()]

    return _build("sine", lambda x: mpmath.sin(mpmath.pi / 2 * x), edges, 8, SINE_BITS - 8,
                  1 << UNIT, 10, ONE)  # fmt: skip


SIGMOID_FRACTION = 12
SIGMOID_RANGE_BITS = 4


@cache
def sigmoid() -> Table:
    """``1 / (1 + exp(-x))`` for x in [0, 16) with SIGMOID_FRACTION bits; UNIT fraction bits."""
    low = SIGMOID_FRACTION + SIGMOID_RANGE_BITS - 9
    return _build("sigmoid", lambda x: 1 / (1 + mpmath.exp(-x)),
                  _uniform(0, 1 << SIGMOID_RANGE_BITS, 9), 9, low, 1 << UNIT, 10, ONE)  # fmt: skip


GUMBEL_FRACTION = 10
GUMBEL_SEGMENT_BITS = 4
GUMBEL_LOW_BITS = 9


@cache
def gumbel() -> Table:
    """``-log2(-log2(u))`` by octaves, for u = (h + 1/2) / 2**32 with h of 32 bits.

    Above u = 1/2 the table counts 1 - u, which keeps the relative precision near u = 1.  Input:
    (side, octave k of 5 bits, segment of 4 bits, low of 9 bits); side 0 has u = m * 2**-(k + 2) and
    side 1 has 1 - u = m * 2**-(k + 2), m in [1, 2).  Answers have 10 fraction bits and a sign.
    """
    sides = (
        lambda u: -mpmath.log(-mpmath.log(u, 2), 2),
        lambda v: -mpmath.log(-mpmath.log1p(-v) / mpmath.log(2), 2),
    )
    segments, scale = 1 << GUMBEL_SEGMENT_BITS, 1 << GUMBEL_FRACTION
    pairs = []
    with mpmath.workdps(DIGITS):
        for f, octave, i in itertools.product(sides, range(32), range(segments)):
            unit = mpmath.mpf(2) ** -(octave + 2) / segments
            left, right = (segments + i) * unit, (segments + i + 1) * unit
            pairs.append(_segment(f, left, right, GUMBEL_LOW_BITS, scale, GUMBEL_LOW_BITS))
    base, slope = zip(*pairs, strict=True)
    return Table("gumbel", 10, GUMBEL_LOW_BITS, base, slope, GUMBEL_LOW_BITS, ONE)

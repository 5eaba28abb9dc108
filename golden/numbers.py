"""Number formats, rounding, saturation, requantisation: arithmetic is defined here, nowhere else.

A number is an integer *mantissa* times a power of two: ``value = mantissa * 2**exponent``.  A
vector shares one exponent.  :class:`Fixed` fixes the exponent when the plan is made; :class:`Block`
(block floating point) carries it with every vector.  ``hdl/numbers.py`` builds the same operations
as gates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

MANTISSA_BITS = 16
"""Width of every factor of every product: one 16 x 16 signed multiplier serves the whole model."""

EXPONENT_BITS = 8
"""Width of the exponent that a beat carries when its format is :class:`Block`."""

MAX_RIGHT = 62
MAX_LEFT = 17
"""The largest shifts: what lies beyond counts as the largest.  62 rounds everything to zero; 17
takes the largest element of a block (at least 2**14) out of 32 bits, so that a vector which would
need more saturates and is flagged, never silently too small."""


@dataclass(frozen=True)
class Fixed:
    """Two's complement with ``fraction`` bits behind the binary point; the exponent is static."""

    width: int
    fraction: int

    @property
    def exponent(self) -> int:
        return -self.fraction

    def __str__(self) -> str:
        return f"Q{self.width - self.fraction}.{self.fraction}"


@dataclass(frozen=True)
class Block:
    """Two's complement mantissas that share an exponent, chosen anew for every vector."""

    width: int = MANTISSA_BITS

    def __str__(self) -> str:
        return f"BFP{self.width}"


Format = Fixed | Block


class Vector(NamedTuple):
    """Integer mantissas (int64) and the exponent that they share.

    Vectors of a run of tokens are kept together: mantissas [tokens, n], and one exponent for all,
    or exponents [tokens, 1].
    """

    mantissa: np.ndarray
    exponent: int | np.ndarray

    def to_float(self) -> np.ndarray:
        return np.ldexp(self.mantissa.astype(np.float64), self.exponent)


def round_half_even(x: np.ndarray | int, shift: np.ndarray | int) -> np.ndarray:
    """``x / 2**shift`` rounded to the nearest integer, ties to even; a negative shift is exact."""
    x = np.asarray(x, dtype=np.int64)
    if isinstance(shift, int):  # most are: plain integers cost a fifth of arrays of one element
        shift = min(max(shift, -MAX_LEFT), MAX_RIGHT)
        return x << -shift if shift <= 0 else _round_right(x, shift, 1 << (shift - 1))
    shift = np.minimum(np.maximum(shift, -MAX_LEFT), MAX_RIGHT)
    right = np.maximum(shift, 0)
    half = np.maximum(np.int64(1) << right >> 1, 1)  # by 0, an odd x must not be rounded up
    return _round_right(x, right, half) << np.maximum(-shift, 0)


def _round_right(x: np.ndarray, right: np.ndarray | int, half: np.ndarray | int) -> np.ndarray:
    """Up if the bits that are cut off, with one more for an odd result, are above ``half``."""
    floor = x >> right
    return floor + (x - (floor << right) + (floor & 1) > half)


def limits(width: int) -> tuple[int, int]:
    """The smallest and the largest integer of ``width`` bits in two's complement."""
    return -(1 << (width - 1)), (1 << (width - 1)) - 1


def saturate(x: np.ndarray, width: int) -> np.ndarray:
    """``x`` held to the range of ``width`` bits in two's complement."""
    low, high = limits(width)
    return np.minimum(np.maximum(x, low), high)  # a third of np.clip's time on a short vector


def significant_bits(x: np.ndarray) -> int:
    """Bits that the widest element needs without its sign (so -32768 and 32767 both need 15)."""
    x = np.asarray(x, dtype=np.int64)
    return int(np.bitwise_or.reduce(x ^ (x >> 63), axis=None, initial=0)).bit_length()


def bit_lengths(x: np.ndarray) -> np.ndarray:
    """``int.bit_length`` of every element of an array of integers that are not negative."""
    x = np.asarray(x, dtype=np.int64)
    high, low = x >> 32, x & 0xFFFFFFFF  # float64 holds either half
    return np.where(high > 0, 32 + np.frexp(high)[1], np.frexp(low)[1]).astype(np.int64)


def requantise(wide: np.ndarray, exponent: int | np.ndarray, to: Format) -> Vector:
    """``wide * 2**exponent`` in the format ``to``: one rounding, half to even, then saturation.

    ``Fixed``: the shift is the difference of the exponents.  ``Block``: the smallest right shift
    after which every element has at most ``width - 1`` significant bits, so a vector that fits is
    exact and a zero vector keeps its exponent.  A largest element that rounds up to
    ``2**(width-1)`` is held at ``2**(width-1) - 1``: an error below one unit, without a second
    look.
    """
    if isinstance(to, Fixed):
        rounded = round_half_even(wide, to.exponent - exponent)
        return Vector(saturate(rounded, to.width), to.exponent)
    if wide.ndim == 1:
        shift = max(0, significant_bits(wide) - (to.width - 1))
    else:
        bits = bit_lengths(np.bitwise_or.reduce(wide ^ (wide >> 63), axis=-1, keepdims=True))
        shift = np.maximum(0, bits - (to.width - 1))
    return Vector(saturate(round_half_even(wide, shift), to.width), exponent + shift)


def overflows(wide: np.ndarray, exponent: int | np.ndarray, to: Format) -> bool:
    """Whether :func:`requantise` would saturate (``Block`` never does: see there)."""
    if not isinstance(to, Fixed):
        return False
    rounded = round_half_even(wide, to.exponent - exponent)
    return bool(np.any(rounded != saturate(rounded, to.width)))


def quantise(x: np.ndarray, to: Fixed) -> np.ndarray:
    """Float ``x`` as mantissas of the format ``to``: nearest, ties to even, saturated."""
    scaled = np.rint(np.ldexp(np.asarray(x, dtype=np.float64), to.fraction))
    return saturate(scaled, to.width).astype(np.int64)


def fitting_fraction(peak: float, width: int) -> int:
    """The largest fraction with which magnitudes up to ``peak`` fit ``width`` bits."""
    _, integer_bits = np.frexp(peak)
    return width - 1 - int(integer_bits)

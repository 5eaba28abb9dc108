from fractions import Fraction

import numpy as np
import pytest

from golden.blocks import GROUP, GROUP_BYTES, Blocks, Rows
from golden.errors import WeftError
from golden.formats import (
    CODE_LIMIT,
    GROUP_TOP,
    Scaled,
    as_they_are,
    by_group,
    by_row,
    check_sums,
    groups_of,
    half_integers,
    halves,
)
from golden.stage import SCALE_FRACTION, SCALED_BITS, Exponent

RNG = np.random.default_rng(12)


def blocks_of(kind, rows=8, groups=4, seed=3):
    """Random codes beside scales and minima of all sizes, some of them negative."""
    rng = np.random.default_rng(seed)
    raw = rng.integers(0, 256, (rows, groups, GROUP_BYTES[kind]), np.uint8)
    width = 4 if kind == "Q4_1" else 2
    floats = rng.standard_normal((rows, groups, width // 2)) * 2.0 ** rng.integers(
        -20, 12, (rows, groups, 1)
    )
    raw[..., :width] = floats.astype("<f2").view(np.uint8)
    return Blocks(kind, raw)


def exact(matrix: Scaled) -> list[list[Fraction]]:
    """The weights that a matrix stands for, one by one."""
    rows, columns = matrix.codes.shape
    per_row = matrix.scales.ndim == 1

    def weight(i, j):
        at = i if per_row else (i, j // GROUP)
        wide = int(matrix.scales[at]) * int(matrix.codes[i, j])
        wide += 0 if matrix.minima is None else int(matrix.minima[at])
        return Fraction(wide) * Fraction(2) ** (int(matrix.exponent) - SCALE_FRACTION)

    return [[weight(i, j) for j in range(columns)] for i in range(rows)]


def values(matrix: Scaled) -> np.ndarray:
    """The same in float64, which holds all of them."""
    weights = exact(matrix)
    floats = [[float(w) for w in row] for row in weights]
    assert [[Fraction(w) for w in row] for row in floats] == weights
    return np.array(floats)


def test_every_half_is_an_integer():
    bits = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    finite = bits[np.isfinite(bits)]
    integers = half_integers(finite)
    assert [Fraction(int(i), 1 << SCALE_FRACTION) for i in integers[:3000]] == [
        Fraction(float(x)) for x in finite[:3000]
    ]
    np.testing.assert_array_equal(halves(integers), finite)
    assert (np.ldexp(finite.astype(float), SCALE_FRACTION) == integers).all()


# A scale a row ----------------------------------------------------------------------------------


def test_rows_are_rounded_to_the_nearest_code():
    weights = RNG.standard_normal((40, 24)) * 2.0 ** RNG.integers(-5, 5, (40, 1))
    matrix = by_row(weights.astype(np.float32))
    assert (matrix.codes.dtype, matrix.bits, matrix.minima) == (np.int8, 8, None)
    units = np.ldexp(matrix.scales.astype(float), int(matrix.exponent) - SCALE_FRACTION)
    error = np.abs(values(matrix) - weights.astype(np.float32))
    assert (error <= units[:, None] / 2).all()
    peaks = np.abs(matrix.codes).max(axis=1)
    assert peaks.max() == CODE_LIMIT
    assert peaks.min() >= CODE_LIMIT - 1  # scales are rounded up
    assert (1 << SCALE_FRACTION) / 2 <= matrix.scales.max() <= 1 << SCALE_FRACTION


def test_scales_are_halves():
    weights = RNG.standard_normal((40, 24)).astype(np.float32)
    for matrix in (by_row(weights), by_group(RNG.standard_normal((6, 64)))):
        for integers in (matrix.scales, matrix.minima):
            if integers is not None:
                np.testing.assert_array_equal(half_integers(halves(integers)), integers)


@pytest.mark.parametrize("exponent", [-60, -3, 0, 60])
def test_a_power_of_two_is_only_an_exponent(exponent):
    weights = RNG.standard_normal((8, 32))
    for make in (by_row, by_group):
        one, other = make(weights), make(np.ldexp(weights, exponent))
        np.testing.assert_array_equal(one.codes, other.codes)
        np.testing.assert_array_equal(one.scales, other.scales)
        assert other.exponent - one.exponent == exponent


def test_rows_of_nothing_and_of_next_to_nothing():
    weights = np.zeros((4, 32), np.float32)
    assert not by_row(weights).codes.any()
    assert not values(by_group(weights)).any()
    weights[1:] = np.array([1.0, 2.0**-26, 2.0**-50])[:, None]
    matrix = by_row(weights)
    assert matrix.scales.tolist()[::2] == [0, 1]  # the least that float16 can hold: 2**-30 here
    assert matrix.codes.max(axis=1).tolist() == [0, CODE_LIMIT, 16, 0]
    assert np.abs(values(matrix) - weights)[2:].max() <= 2.0**-31


# A scale a group --------------------------------------------------------------------------------


def test_groups_are_close():
    weights = RNG.standard_normal((12, 96)) * 2.0 ** RNG.integers(-5, 5, (12, 1))
    matrix = by_group(weights)
    assert (matrix.codes.dtype, matrix.bits, matrix.codes.max()) == (np.uint8, 4, GROUP_TOP)
    assert matrix.scales.shape == matrix.minima.shape == (12, 3)
    groups = weights.reshape(12, 3, GROUP)
    spans = groups.max(axis=2) - groups.min(axis=2)
    error = np.abs(values(matrix) - weights).reshape(12, 3, GROUP).max(axis=2)
    # Half a step, and what the roundings of scale and minimum move.
    assert (error <= spans / GROUP_TOP / 2 + 2**-9 * np.abs(groups).max(axis=2)).all()


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1"])
def test_groups_of_a_file_stay_as_they_are(kind):
    blocks = blocks_of(kind)
    matrix = as_they_are(blocks)
    assert (matrix.codes.dtype, matrix.bits, matrix.exponent) == (np.uint8, 4, 0)
    assert matrix.codes.max() <= GROUP_TOP
    scales, codes = blocks.scales, blocks.codes
    minima = np.zeros_like(scales) if blocks.minima is None else blocks.minima
    for (i, j), found in np.ndenumerate(np.array(exact(matrix), dtype=object)):
        scale, minimum = Fraction(float(scales[i, j // GROUP])), float(minima[i, j // GROUP])
        assert found == scale * int(codes[i, j]) + Fraction(minimum)
    np.testing.assert_array_equal(values(matrix).astype(np.float32), blocks.dequantise())


def test_another_code_is_another_weight():
    blocks = blocks_of("Q4_1")
    before = values(as_they_are(blocks))
    blocks.raw[2, 1, -1] ^= 0x10
    assert np.argwhere(values(as_they_are(blocks)) != before).tolist() == [[2, 63]]


def test_which_groups_a_matrix_has():
    weights = RNG.standard_normal((8, 128)).astype(np.float32)
    for kind in ("Q4_0", "Q4_1"):
        kept = groups_of("t", weights, blocks_of(kind))
        np.testing.assert_array_equal(kept.scales, half_integers(blocks_of(kind).scales))
    rows = Rows(np.zeros((8, 128), np.int8), np.ones(8, np.float32), np.zeros(8, np.int8))
    for blocks in (None, rows, blocks_of("Q8_0")):
        np.testing.assert_array_equal(
            groups_of("t", weights, blocks).codes, by_group(weights).codes
        )


@pytest.mark.parametrize("columns", [1, 31, 33, 768 + 16])
def test_rows_that_are_no_whole_groups(columns):
    with pytest.raises(
        WeftError, match=rf"^the rows of layer3\.mlp_fc2 have {columns} weights; .* groups of 32"
    ):
        groups_of("layer3.mlp_fc2", np.zeros((2, columns)), None)


# Widths -----------------------------------------------------------------------------------------


def constant(code, scale, minimum, columns, bits):
    """A matrix of two rows: zeros, then equal weights."""
    codes = np.zeros((2, columns), np.uint8)
    codes[1] = code
    scales, minima = np.zeros((2, columns // GROUP), np.int64), np.zeros((2, columns // GROUP), int)
    scales[1], minima[1] = scale, minimum
    return Scaled(codes, scales, minima, Exponent(0), bits)


def test_no_sum_is_wider_than_told():
    large = 4096 << SCALE_FRACTION  # a group of such can reach 2**60: seven fit, eight do not
    assert 7 * GROUP * (GROUP_TOP + 1) * large << 15 < 1 << (SCALED_BITS - 1)
    for sign in (1, -1):
        check_sums("t", constant(15, sign * large, sign * large, 7 * GROUP, 4))
        with pytest.raises(WeftError, match="in row 1: its sums could exceed 64 bits; expected"):
            check_sums("t", constant(15, sign * large, sign * large, 8 * GROUP, 4))
    with pytest.raises(WeftError, match=r"^the scales of blk\.t reach 6\.55e\+04 in row 1: "):
        check_sums("blk.t", constant(15, 65504 << SCALE_FRACTION, 0, 2 * GROUP, 4))


@pytest.mark.parametrize("columns", [576, 1536, 1 << 16])
def test_rows_of_any_length_fit(columns):
    weights = np.where(np.arange(columns) % 2, 1.0, -1.0)[None].astype(np.float32)
    matrix = by_row(weights)
    check_sums("t", matrix)
    largest = int(matrix.scales[0]) * (CODE_LIMIT + 1) * columns << 15
    assert largest < 1 << (SCALED_BITS - 1)

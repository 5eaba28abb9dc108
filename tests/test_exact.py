"""golden/exact.py: sums in float64 against sums of Python's integers, at the largest values."""

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest

from golden import exact
from golden.blocks import GROUP
from golden.exact import EXACT, operand, row_sums
from golden.numbers import Block, Fixed
from golden.stage import SCALE_FRACTION, Exponent, Linear

RNG = np.random.default_rng(31)


def linear(codes, bits, scales=None, minima=None, source=Block(16)):
    return Linear("l", ("x",), "l", codes, bits, Exponent(0), source, Block(16), scales, minima)


def groups(shape=(5, 96), scale=1 << 20, code=15):
    codes = np.full(shape, code, np.uint8)
    scales = np.full((shape[0], shape[1] // GROUP), scale)
    return linear(codes, 4, scales, scales.copy())


def sums(stage, x):
    """Sums of rows, without the scales of rows, one product after the other."""
    weights = stage.weights.astype(object)
    if stage.scales is not None and stage.scales.ndim == 2:
        wide = np.repeat(stage.scales.astype(object), GROUP, axis=1)
        weights = weights * wide + np.repeat(stage.minima.astype(object), GROUP, axis=1)
    return [int(total) for total in weights @ np.asarray(x).astype(object)]


LARGEST = {
    "matrix of 16 bits": linear(np.full((3, 1536), -(1 << 15)), 16),
    "rows": linear(np.full((3, 1536), -128, np.int8), 8, np.array([1 << 24, 1, 0])),
    "groups": groups((3, 1536), 1 << 13),
    "large groups": groups((3, 1536), 1 << 33),
    "one large group": groups((3, 32), (65504 << SCALE_FRACTION) >> 6),
}


@pytest.mark.parametrize("name", LARGEST)
@pytest.mark.parametrize("last", [-32768, -32767, 32767, 0])
def test_the_largest_sums(name, last):
    stage = LARGEST[name]
    x = np.full(stage.input_size, -32768)
    x[-1] = last
    assert (operand(stage) is None) == ("large" in name)
    assert row_sums(stage, x).tolist() == sums(stage, x)
    run = np.stack([x, x[::-1], -(x + 1)])
    found = row_sums(stage, run)
    assert found.dtype == np.int64
    assert found.tolist() == [sums(stage, row) for row in run]


@pytest.mark.parametrize("kind", ["matrix", "rows", "groups"])
@pytest.mark.parametrize("wide", [False, True])
def test_both_ways_are_the_same(kind, wide, monkeypatch):
    codes, scales = RNG.integers(-128, 128, (9, 96)), RNG.integers(-(1 << 18), 1 << 18, (9, 3))
    stage = {
        "matrix": linear(codes, 8),
        "rows": linear(codes.astype(np.int8), 8, scales[:, 0]),
        "groups": linear((codes & 15).astype(np.uint8), 4, scales, -7 * scales + 3),
    }[kind]
    monkeypatch.setattr(exact, "EXACT", 0 if wide else EXACT)
    assert (operand(stage) is None) == wide
    x = RNG.integers(-(1 << 15), 1 << 15, (4, 96))
    assert row_sums(stage, x).tolist() == [sums(stage, row) for row in x]
    assert row_sums(stage, x[0]).tolist() == sums(stage, x[0])


def test_the_limit_is_the_largest_sum():
    # 2**(15 + 4 + 5) times the scale of a single group: 2**29 is the first that reaches 2**53.
    for scale, fits in (((1 << 29) - 1, True), (1 << 29, False)):
        stage = groups((1, 32), scale)
        x = np.full(32, -32768)
        assert (operand(stage) is not None) == fits
        assert row_sums(stage, x).tolist() == [-(scale << 24)]
    odd = groups((1, 32), (1 << 29) - 1)
    x = np.append(np.full(31, -32768), -32767)
    assert row_sums(odd, x).tolist() == sums(odd, x)


def test_a_wider_source_reaches_it_earlier():
    stage = linear(np.full((1, 64), 1 << 14), 16)
    assert operand(stage) is not None
    assert operand(replace(stage, source=Fixed(34, 0))) is None


def test_what_is_made_is_kept_as_long_as_the_stage():
    stage = groups()
    made = operand(stage)
    assert made.dtype == np.float64
    assert operand(stage) is made
    assert operand(replace(stage)) is not made
    gone = weakref.ref(made)
    del stage, made
    gc.collect()
    assert gone() is None

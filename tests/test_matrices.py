"""hdl/units/matrices.py: where every weight lies in the memory of a unit, and its parameters."""

import numpy as np
import pytest

from golden.numbers import Block, Fixed
from golden.stage import Exponent, Linear
from hdl.units.matrices import Geometry, image, scale

FIXED = Fixed(16, 10)


def linear(name, rows, columns, seed=0, exponent=-7, source=FIXED, form=FIXED):
    weights = np.random.default_rng(seed).integers(-128, 128, (rows, columns))
    return Linear(name, ("x",), name, weights, 8, Exponent(exponent), source, form)


JOBS = [
    [linear("a", 5, 6, 1), linear("a", 5, 6, 2)],
    [linear("b", 9, 3, 3, exponent=-5), linear("b", 9, 3, 4, exponent=-9)],
]


@pytest.mark.parametrize(("lanes", "rows"), [(1, 1), (4, 2), (2, 8), (8, 8)])
def test_every_weight_is_where_its_parameters_say(lanes, rows):
    words = image("u", JOBS, lanes, rows)
    geometry = Geometry([job[0] for job in JOBS], [2, 2], lanes, rows)
    assert geometry.depth == len(words["u.weights"]) == 2 * sum(geometry.counts)
    assert geometry.most == max(geometry.counts)
    seen = []
    for layer, job in np.ndindex(2, 2):
        stage, row = JOBS[job][layer], words["u.parameters"][job << 1 | layer]
        base, count, shift = unpacked(row, geometry.fields)
        assert count == geometry.counts[job]
        assert shift == scale(stage)
        seen += range(base, base + count)
        matrix = np.array([bytes_of(word, lanes * rows) for word in words["u.weights"]][base:])
        groups, beats = geometry.groups[job], geometry.beats[job]
        blocks = matrix[:count].reshape(groups, beats, rows, lanes).transpose(0, 2, 1, 3)
        whole = blocks.reshape(groups * rows, beats * lanes)
        n, m = stage.weights.shape
        np.testing.assert_array_equal(whole[:n, :m], stage.weights)
        assert not whole[n:].any()
        assert not whole[:, m:].any()
    assert sorted(seen) == list(range(geometry.depth))


def unpacked(row, fields):
    """The parameters of a row, the first in the lowest bits."""
    values = []
    for shape in fields:
        value = row & (1 << shape.width) - 1
        values.append(value - (1 << shape.width) * (shape.signed and value >> shape.width - 1))
        row >>= shape.width
    return values


def bytes_of(word, count):
    return np.frombuffer(word.to_bytes(count, "little"), dtype=np.int8)


def test_scales():
    assert scale(linear("f", 1, 1)) == -10 - (-10 - 7)
    assert scale(linear("f", 1, 1, form=Block(16))) == -17
    assert scale(linear("f", 1, 1, source=Block(16))) == -10 + 7
    with pytest.raises(ValueError, match=r"f: Q.* is finer than its sums"):
        scale(linear("f", 1, 1, form=Fixed(32, 20)))

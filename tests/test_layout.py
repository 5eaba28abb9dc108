"""golden/layout.py: heads in beats."""

import numpy as np
import pytest

from golden.layout import head_order, heads_per_beat, padded_head


@pytest.mark.parametrize(
    ("d_head", "lanes", "padded", "heads"),
    [
        (4, 16, 4, 4),
        (4, 8, 4, 2),
        (4, 4, 4, 1),
        (4, 1, 4, 1),
        (6, 16, 8, 2),
        (6, 4, 8, 1),
        (6, 1, 6, 1),
        (12, 16, 16, 1),
        (12, 8, 16, 1),
        (12, 4, 12, 1),
        (1, 16, 1, 16),
        (17, 16, 32, 1),
        (33, 16, 48, 1),
    ],
)
def test_padded_head(d_head, lanes, padded, heads):
    assert padded_head(d_head, lanes) == padded
    assert heads_per_beat(d_head, lanes) == heads


def test_order_of_small_heads():
    assert head_order(3, 3, 8).tolist() == [0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, -1, -1, -1, -1]


def test_order_of_large_heads():
    assert head_order(2, 3, 2).tolist() == [0, 1, 2, -1, 3, 4, 5, -1]


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16, 32])
@pytest.mark.parametrize("d_head", [1, 3, 4, 6, 12, 20])
@pytest.mark.parametrize("n_head", [1, 3, 4])
def test_every_element_once_and_heads_apart(n_head, d_head, lanes):
    order = head_order(n_head, d_head, lanes)
    assert len(order) % lanes == 0
    assert sorted(order[order >= 0]) == list(range(n_head * d_head))
    places = np.flatnonzero(order >= 0)
    segment = min(lanes, padded_head(d_head, lanes))
    for start in range(0, len(order), segment):  # no piece of a beat mixes heads
        inside = order[places[(places >= start) & (places < start + segment)]]
        assert len({int(x) // d_head for x in inside}) <= 1


def test_bad_arguments():
    with pytest.raises(ValueError, match="power of two"):
        padded_head(4, 6)
    with pytest.raises(ValueError, match="at least 1"):
        padded_head(0, 4)
    with pytest.raises(ValueError, match="0 heads"):
        head_order(0, 4, 4)

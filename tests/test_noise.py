"""golden/noise.py: published vectors of Threefry-2x32-20, and the Gumbel distribution."""

import math
import warnings

import numpy as np
import pytest

from golden import tables
from golden.noise import gumbel_noise, noise_scale, random_words, threefry2x32

UNIT = 1 << tables.GUMBEL_FRACTION
KNOWN = [  # Random123, kat_vectors: counter, key, answer
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_known_answers(counter, key, answer):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tuple(int(x) for x in threefry2x32(key, counter)) == answer
        assert tuple(int(x) for x in threefry2x32([key], [counter])[0]) == answer


def test_a_changed_bit_changes_about_half_of_the_answer():
    changed = threefry2x32((0, 1), (0, 0)) ^ threefry2x32((0, 0), (0, 0))
    assert 16 < sum(int(x).bit_count() for x in changed) < 48


def test_many_counters_at_once_are_each_alone():
    counters = np.arange(10, dtype=np.uint32).reshape(5, 2)
    together = threefry2x32((7, 8), counters)
    assert (together == [threefry2x32((7, 8), c) for c in counters]).all()


@pytest.mark.parametrize("count", [1, 2, 27, 64])
def test_the_word_of_an_id_does_not_depend_on_the_count(count):
    assert (random_words(5, 1, 3, 100)[:count] == random_words(5, 1, 3, count)).all()


def test_every_coordinate_matters_and_seed_zero_is_legal():
    rows = [random_words(*c, 8) for c in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))]
    assert len({tuple(row.tolist()) for row in rows}) == 4
    assert all(len(set(row.tolist())) == 8 for row in rows)
    assert int(rows[0][0]) == KNOWN[0][2][0]


def exact(words):
    """Float64 of the same u, counted from the nearer end."""
    below = (words + 0.5) / 2.0**32
    above = (2.0**32 - words - 0.5) / 2.0**32
    log = np.where(words >> 31, np.log1p(-above), np.log(below)) / math.log(2)
    return -np.log2(-log)


def test_gumbel_noise_is_close_everywhere():
    """Within 1.25 units of 2**-10; but the largest word of all is held at 32 - 2**-10."""
    rng = np.random.default_rng(1)
    edges = np.concatenate(
        [2 ** np.arange(32), 2 ** np.arange(32) - 1, 2**32 - 2 ** np.arange(1, 32)]
    )
    words = np.concatenate([rng.integers(0, 2**32, 1 << 18), edges, 2**31 + np.arange(-99, 99)])
    error = np.abs(gumbel_noise(words) - exact(words) * UNIT)
    assert error.max() < 1.25
    assert gumbel_noise(2**32 - 1) == tables.ONE


def test_gumbel_noise_grows_with_the_word():
    """But for a step of one unit down where two segments meet."""
    words = np.sort(np.random.default_rng(2).integers(0, 2**32, 1 << 18))
    assert np.diff(gumbel_noise(words)).min() >= -1


def test_the_distribution_is_gumbels():
    """Kolmogorov's distance of 2**17 words below 1.63 / sqrt(n) (one per cent), and two moments."""
    words = np.concatenate([random_words(9, s, p, 64) for s in range(32) for p in range(64)])
    noise = (np.sort(gumbel_noise(words)) + 0.5) / UNIT
    n = len(noise)
    cumulative = 2.0 ** -(2.0**-noise)
    assert np.abs(cumulative - (np.arange(n) + 0.5) / n).max() < 1.63 / math.sqrt(n)
    mean = (np.euler_gamma + math.log(math.log(2))) / math.log(2)
    assert abs(noise.mean() - mean) < 0.02
    assert abs(noise.std() - math.pi / math.sqrt(6) / math.log(2)) < 0.02


def test_noise_scale():
    assert noise_scale(0.0) == 0
    assert noise_scale(1.0) == 2839
    assert noise_scale(0.5) == 1420

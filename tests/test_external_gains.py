"""hdl/external/gains.py: beats of a memory become those of a norm."""

from functools import partial

import numpy as np
import pytest

from golden.schedules.external import PORT_BITS
from hdl.external.gains import Gains
from tests.bench import Streams, padded
from tests.external import to_beats
from tests.units import refused

SHAPES = [(port, lanes) for port in PORT_BITS for lanes in (1, 2, 4, 8) if 16 * lanes <= port]


def run(size, lanes, port, count=3, idle=0.0, flip=None):
    """(gains that came, gains that went in, cycles)."""
    rng = np.random.default_rng([size, lanes, port])
    vectors = rng.integers(-32768, 32768, (count, size))
    packed = [b for v in vectors for b in to_beats(v.astype("<i2").tobytes(), port)]
    if flip:
        packed[flip[0]] ^= 1 << flip[1]
    dut = Gains(size, lanes, port)
    bench = Streams(dut, idle, seed=size)
    bench.source("i", dut.i, packed)
    want = np.concatenate([padded(v, lanes) for v in vectors])
    cycles = []
    seen = bench.sink("o", dut.o, len(want) // lanes, cycles)
    bench.run()
    return np.array([list(p) for p in seen]).ravel(), want, cycles


@pytest.mark.parametrize("idle", [0.0, 0.4])
@pytest.mark.parametrize(("port", "lanes"), SHAPES)
def test_every_gain_comes_in_order(port, lanes, idle):
    for size in (1, 7, 16):
        got, want, cycles = run(size, lanes, port, idle=idle)
        assert got.tolist() == want.tolist()
        if not idle:
            assert cycles == list(range(len(cycles)))


def test_a_flipped_bit_is_seen():
    got, want, _ = run(16, 4, 128, flip=(1, 70))
    assert (got != want).nonzero()[0].tolist() == [12]


def test_lanes_that_do_not_fit_are_refused():
    refused("whole number of 8 gains", partial(Gains, 16, 8, 64))

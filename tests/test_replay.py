"""A vector for several readers in turn, and how many vectors can wait for them."""

import numpy as np
import pytest

from golden.numbers import Block, Fixed, Vector
from hdl.replay import VECTORS, Repeat
from hdl.stream import Tags, beat, beats
from tests.bench import Streams, collected, vector_beats

TAGS = Tags(stream=1, position=4, layer=0)
LANES = 4
COUNT = 6


def vectors(size):
    rng = np.random.default_rng(size)
    return [Vector(rng.integers(-(1 << 15), 1 << 15, size), k % 3 - 1) for k in range(COUNT)]


def rows(size):
    tags = [{"stream": n % 2, "position": n} for n in range(COUNT)]
    pairs = zip(vectors(size), tags, strict=True)
    return [row for v, tag in pairs for row in vector_beats(v, LANES, tag)]


@pytest.mark.parametrize("form", [Fixed(16, 0), Block(16)])
@pytest.mark.parametrize("size", [1, 4, 7, 16])
@pytest.mark.parametrize(("ways", "idle"), [(2, 0.0), (2, 0.5), (3, 0.4)])
def test_every_reader_gets_every_vector(form, size, ways, idle):
    count = beats(size, LANES)
    dut = Repeat(beat(LANES, form, TAGS), count, ways)
    bench = Streams(dut, idle, seed=size)
    bench.source("i", dut.i, rows(size))
    seen = [bench.sink(f"o{k}", dut.o[k], COUNT * count) for k in range(ways)]
    bench.run()
    for payloads in seen:
        got = collected(payloads, size, form)
        for mine, other in zip(got, vectors(size), strict=True):
            assert mine.mantissa.tolist() == other.mantissa.tolist()
            assert isinstance(form, Fixed) or mine.exponent == other.exponent
        assert [int(p.tag.position) for p in payloads if p.last] == list(range(COUNT))
        assert [int(p.first) for p in payloads] == ([1] + [0] * (count - 1)) * COUNT


def test_latency_and_turns():
    dut = Repeat(beat(LANES, Fixed(16, 0), TAGS), 2, 3)
    bench, cycles = Streams(dut), [[], [], []]
    bench.source("i", dut.i, rows(8))
    for k in range(3):
        bench.sink(f"o{k}", dut.o[k], 2 * COUNT, cycles[k])
    bench.run()
    assert cycles[0][:2] == [0, 1]  # as it arrives
    turns = sorted(cycle for part in cycles for cycle in part)
    assert turns == list(range(6 * COUNT))  # without a pause
    for k in range(3):
        assert cycles[k] == [6 * n + 2 * k + b for n in range(COUNT) for b in range(2)]


def test_so_many_vectors_can_wait():
    dut = Repeat(beat(LANES, Fixed(16, 0), TAGS), 2, 2)
    bench = Streams(dut)
    accepted = bench.source("i", dut.i, rows(8)[: 2 * VECTORS])
    bench.run()  # nobody reads, and all is taken in
    assert len(accepted) == 2 * VECTORS

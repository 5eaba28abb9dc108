"""From a unit to a reader: widths matched, whole vectors held, no cycle added."""

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.numbers import Fixed, Vector
from hdl.edges import Edge, Endpoint, join
from hdl.stream import Tags, beat, beats
from tests.bench import Streams, collected, vector_beats
from tests.test_fabric import Clocked

FORM = Fixed(16, 0)
TAGS = Tags(stream=1, position=4, layer=0)
SIZES = [1, 3, 8, 17]


class Joined(wiring.Component):
    def __init__(self, lanes_i, lanes_o, size, buffered=False, bypass=True, streams=2):
        super().__init__(
            {
                "i": In(stream.Signature(beat(lanes_i, FORM, TAGS))),
                "o": Out(stream.Signature(beat(lanes_o, FORM, TAGS))),
            }
        )
        self._lanes, self._size, self._streams = (lanes_i, lanes_o), size, streams
        self._reader = Endpoint(self.o, lanes_o, FORM, buffered, bypass)

    def elaborate(self, platform):
        m = Module()
        source = Endpoint(self.i, self._lanes[0], FORM)
        edge = Edge(source, (self._reader,), self._size, self._streams, TAGS)
        join(m, "edge", edge, self.i)
        return m


def vectors(size, count, seed=0):
    rng = np.random.default_rng(seed)
    return [Vector(rng.integers(-(1 << 15), 1 << 15, size), 0) for _ in range(count)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("buffered", [False, True])
@pytest.mark.parametrize(("lanes_i", "lanes_o"), [(1, 1), (4, 4), (2, 8), (8, 2), (1, 16), (16, 1)])
def test_vectors_pass(lanes_i, lanes_o, buffered, size):
    dut = Joined(lanes_i, lanes_o, size, buffered)
    sent = vectors(size, 6)
    bench = Streams(Clocked(dut), idle=0.4, seed=size)
    tags = [{"stream": n % 2, "position": n} for n in range(6)]
    rows = [b for v, tag in zip(sent, tags, strict=True) for b in vector_beats(v, lanes_i, tag)]
    bench.source("i", dut.i, rows)
    seen = bench.sink("o", dut.o, 6 * beats(size, lanes_o))
    bench.run()
    for n, (got, want) in enumerate(zip(collected(seen, size, FORM), sent, strict=True)):
        assert got.mantissa.tolist() == want.mantissa.tolist(), n
    assert [int(p.tag.position) for p in seen if p.last] == list(range(6))
    assert [int(p.first) for p in seen] == ([1] + [0] * (beats(size, lanes_o) - 1)) * 6


@pytest.mark.parametrize(
    ("buffered", "bypass", "first"), [(False, True, 0), (True, True, 0), (True, False, 1)]
)
def test_latency(buffered, bypass, first):
    dut = Joined(4, 4, 16, buffered, bypass)
    bench, cycles = Streams(Clocked(dut)), []
    bench.source("i", dut.i, [b for v in vectors(16, 3) for b in vector_beats(v, 4)])
    bench.sink("o", dut.o, 12, cycles)
    bench.run()
    assert cycles == list(range(first, first + 12))


@pytest.mark.parametrize("streams", [1, 3])
@pytest.mark.parametrize(("lanes_i", "lanes_o"), [(4, 4), (2, 8), (8, 2)])
def test_a_whole_vector_of_every_stream_can_wait(lanes_i, lanes_o, streams):
    size = 16
    dut = Joined(lanes_i, lanes_o, size, buffered=True, streams=streams)
    bench = Streams(Clocked(dut))
    rows = [b for v in vectors(size, streams) for b in vector_beats(v, lanes_i)]
    accepted = bench.source("i", dut.i, rows)
    bench.run()  # nobody reads, and all is taken in
    assert len(accepted) == len(rows)

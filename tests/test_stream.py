"""hdl/stream.py: order, completeness, throughput and back-pressure."""

import numpy as np
import pytest
from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from golden.numbers import Block, Fixed, Vector
from hdl import queue_memory
from hdl.stream import CreditQueue, Fork, Narrow, Queue, Tags, Widen, beat, beats, delay
from tests.bench import Streams, collected, vector_beats

TAGS = Tags(stream=1, position=4, layer=0)
SHAPE = beat(2, Block(16), TAGS)


def vectors(size, count, seed=0):
    rng = np.random.default_rng(seed)
    return [
        Vector(rng.integers(-(2**15), 2**15, size), int(rng.integers(-99, 99)))
        for _ in range(count)
    ]


def payloads(xs, lanes):
    return [b for n, x in enumerate(xs) for b in vector_beats(x, lanes, {"position": n % 16})]


def check(seen, xs, size):
    got = collected(seen, size, Block(16))
    for a, b in zip(got, xs, strict=True):
        assert a.mantissa.tolist() == b.mantissa.tolist()
        assert a.exponent == b.exponent
    assert [int(p.tag.position) for p in seen if p.last] == [n % 16 for n in range(len(xs))]
    assert sum(p.first for p in seen) == len(xs)


@pytest.mark.parametrize(("size", "lanes"), [(16, 16), (17, 16), (3, 4), (1, 1), (7, 1)])
def test_beats(size, lanes):
    xs = vector_beats(Vector(np.arange(size), 0), lanes)
    assert len(xs) == beats(size, lanes)


@pytest.mark.parametrize("bypass", [False, True])
@pytest.mark.parametrize("depth", [2, 3, 8])
@pytest.mark.parametrize("idle", [0.0, 0.5])
def test_queue(depth, idle, bypass):
    xs = vectors(5, 12)
    bench = Streams(dut := Queue(SHAPE, depth, bypass), idle)
    accepted, cycles = bench.source("i", dut.i, payloads(xs, 2)), []
    seen = bench.sink("o", dut.o, 36, cycles)
    bench.run()
    check(seen, xs, 5)
    if not idle:
        assert accepted == list(range(36))
        assert cycles == list(range(36) if bypass else range(1, 37))


@pytest.mark.parametrize("bypass", [False, True])
@pytest.mark.parametrize("depth", [2, 3, 5, 70, 128])
def test_queue_in_block_ram_has_the_same_timing(depth, bypass, monkeypatch):
    """Cycle by cycle, whatever comes and goes."""
    traces = []
    for large in (0, 1 << 30):
        monkeypatch.setattr(queue_memory, "DEEP", 0)
        monkeypatch.setattr(queue_memory, "LARGE", large)
        traces.append(trace(Queue(unsigned(16), depth, bypass), 2000))
    assert traces[0] == traces[1]
    taken = [value for ready, valid, value, taken in traces[0] if valid and taken]
    assert taken == list(range(len(taken)))
    assert len(taken) > 400


def trace(dut, cycles):
    """(ready, valid, what is offered, whether it is taken) in every cycle of a seeded run."""
    rng, seen = np.random.default_rng(7), []

    async def run(ctx):
        at = 0
        for k in range(cycles):
            busy = (k // 150) % 3  # filled, mixed, emptied
            ctx.set(dut.i.p, at)
            ctx.set(dut.i.valid, int(rng.random() < (0.9, 0.5, 0.2)[busy]))
            ctx.set(dut.o.ready, int(rng.random() < (0.2, 0.5, 0.9)[busy]))
            ready, valid, taken = ctx.get(dut.i.ready), ctx.get(dut.o.valid), ctx.get(dut.o.ready)
            seen.append((ready, valid, ctx.get(dut.o.p) if valid else None, taken))
            at += ready & ctx.get(dut.i.valid)
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(run)
    sim.run()
    return seen


def test_only_deep_and_large_queues_are_in_block_ram():
    assert not queue_memory.in_blocks(1024, 64)
    assert not queue_memory.in_blocks(16, 256)
    assert queue_memory.in_blocks(64, 1536)


def test_queue_holds_its_depth():
    bench = Streams(dut := Queue(unsigned(8), 5))
    ready = []

    async def run(ctx):
        for k in range(7):
            ctx.set(dut.i.p, k)
            ctx.set(dut.i.valid, 1)
            ready.append(ctx.get(dut.i.ready))
            await ctx.tick()

    bench.sim.add_testbench(run)
    bench.sim.run()
    assert ready == [1, 1, 1, 1, 1, 0, 0]


class Pipeline(wiring.Component):
    """Three cycles that cannot stall, in front of a CreditQueue."""

    def __init__(self, depth):
        shape = stream.Signature(unsigned(8))
        super().__init__({"i": In(shape), "o": Out(shape), "lost": Out(1)})
        self._depth = depth

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = CreditQueue(unsigned(8), self._depth)
        go = Signal()
        m.d.comb += [
            go.eq(self.i.valid & queue.free),
            self.i.ready.eq(queue.free),
            queue.reserve.eq(go),
            queue.i.valid.eq(delay(m, go, 3, "go")),
            queue.i.p.eq(delay(m, self.i.p, 3, "p")),
            self.lost.eq(queue.i.valid & ~queue.i.ready),
        ]
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        return m


@pytest.mark.parametrize("depth", [1, 2, 5, 8])
@pytest.mark.parametrize("idle", [0.0, 0.5])
def test_credit_queue_never_overflows(depth, idle):
    bench = Streams(dut := Pipeline(depth), idle)
    rows = [{"data": k} for k in range(50)]
    accepted, seen = [], []

    async def source(ctx):
        rng = np.random.default_rng(1)
        for k in range(len(rows)):
            while rng.random() < idle:
                await ctx.tick()
            ctx.set(dut.i.p, k)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)
            accepted.append(k)

    async def check_lost(ctx):
        async for *_, lost in ctx.tick().sample(dut.lost):
            assert not lost

    cycles = []
    bench.sim.add_testbench(source)
    bench.sim.add_testbench(check_lost, background=True)
    seen = bench.sink("o", dut.o, 50, cycles)
    bench.run()
    assert seen == list(range(50))
    if depth >= 5 and not idle:
        assert cycles == list(range(4, 54))


@pytest.mark.parametrize(
    ("size", "narrow", "wide"), [(16, 1, 4), (7, 1, 4), (24, 8, 16), (5, 4, 16)]
)
@pytest.mark.parametrize("idle", [0.0, 0.5])
def test_widen(size, narrow, wide, idle):
    xs = vectors(size, 9)
    bench = Streams(dut := Widen(Block(16), narrow, wide, TAGS, size), idle)
    sent, cycles = payloads(xs, narrow), []
    accepted = bench.source("i", dut.i, sent)
    seen = bench.sink("o", dut.o, 9 * beats(size, wide), cycles)
    bench.run()
    check(seen, xs, size)
    fill = [int(x) for p in seen if p.last for x in p.data][(size - 1) % wide + 1 : wide]
    assert not any(fill)
    if not idle:
        assert accepted == list(range(len(sent)))
        ends = [k for k, p in enumerate(sent) if p["last"]]
        assert [c for c, p in zip(cycles, seen, strict=True) if p.last] == ends


@pytest.mark.parametrize(
    ("size", "wide", "narrow"), [(16, 4, 1), (7, 4, 1), (24, 16, 8), (33, 16, 4)]
)
@pytest.mark.parametrize("idle", [0.0, 0.5])
def test_narrow(size, wide, narrow, idle):
    xs = vectors(size, 9)
    dut = Narrow(Block(16), wide, narrow, TAGS, size)
    bench = Streams(dut, idle)
    bench.source("i", dut.i, payloads(xs, wide))
    count = beats(size, narrow)
    seen = bench.sink("o", dut.o, 9 * count, cycles := [])
    bench.run()
    check(seen, xs, size)
    if not idle:
        assert cycles == list(range(9 * count))


@pytest.mark.parametrize("ways", [1, 2, 3])
@pytest.mark.parametrize("idle", [0.0, 0.5])
def test_fork(ways, idle):
    xs = vectors(5, 12)
    bench = Streams(dut := Fork(SHAPE, ways), idle)
    bench.source("i", dut.i, payloads(xs, 2))
    all_cycles = [[] for _ in range(ways)]
    seen = [bench.sink(f"o{k}", dut.o[k], 36, all_cycles[k]) for k in range(ways)]
    bench.run()
    for k in range(ways):
        check(seen[k], xs, 5)
        if not idle:
            assert all_cycles[k] == list(range(36))


def test_a_stuck_reader_is_named():
    bench = Streams(dut := Fork(SHAPE, 2))
    bench.source("i", dut.i, payloads(vectors(5, 2), 2))
    bench.sink("left", dut.o[0], 6)
    with pytest.raises(AssertionError, match="left"):
        bench.run(timeout=50)


def test_static_formats_carry_no_exponent():
    assert beat(2, Fixed(16, 3), TAGS).members["exponent"].width == 0
    assert beat(2, Block(16), TAGS).size == beat(2, Fixed(16, 3), TAGS).size + 8

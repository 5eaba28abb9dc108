"""hdl/kv_cache.py: where vectors lie, what is held, and the largest exponent."""

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator

from golden.numbers import Block, Fixed, Vector
from hdl.kv_cache import LATENCY, SCAN_LATENCY, Ring, index
from hdl.stream import Tags
from tests.bench import assign, vector_beats

TAGS = Tags(stream=1, position=32, layer=2, job=0)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 12])
def test_index(size):
    outer, inner = Signal(3), Signal(range(size))
    place = Signal(12)
    m = Module()
    m.d.comb += place.eq(index(outer, inner, size))

    async def bench(ctx):
        for a in range(8):
            for b in range(size):
                ctx.set(outer, a)
                ctx.set(inner, b)
                await ctx.delay(1e-9)
                assert ctx.get(place) == a * size + b

    sim = Simulator(m)
    sim.add_testbench(bench)
    sim.run()


class Model:
    """A dictionary by (stream, layer, slot); a sequence starts with position 0."""

    def __init__(self, slots):
        self.slots, self.kept = slots, {}

    def store(self, tag, vector):
        self.kept[tag["stream"], tag["layer"], tag["position"] % self.slots] = vector

    def read(self, tag, slot):
        return self.kept[tag["stream"], tag["layer"], slot]


@pytest.mark.parametrize("form", [Fixed(16, 9), Block(16)], ids=str)
@pytest.mark.parametrize(("slots", "lanes", "size"), [(1, 4, 4), (3, 2, 6), (4, 4, 8), (5, 1, 3)])
def test_slots(slots, lanes, size, form):
    beats, streams, layers = size // lanes, 2, 3
    dut = Ring(lanes, form, TAGS, slots, beats, streams, layers, 1, peak=True)
    rng, model = np.random.default_rng(slots), Model(slots)
    order = [
        {"stream": s, "position": p, "layer": layer}
        for count in (2 * slots + 1, 2)  # the second sequence does not see the first
        for p in range(count)
        for s in range(streams)
        for layer in range(layers)
    ]

    async def bench(ctx):
        for tag in order:
            vector = Vector(rng.integers(-32768, 32768, size), int(rng.integers(-20, 20)))
            model.store(tag, vector)
            for payload in vector_beats(vector, lanes, tag):
                assign(ctx, dut.i.p, payload)
                ctx.set(dut.i.valid, 1)
                assert ctx.get(dut.i.ready)
                await ctx.tick()
                assert ctx.get(dut.begun)
            ctx.set(dut.i.valid, 0)
            final = min(tag["position"], slots - 1)
            waited = LATENCY
            while not ctx.get(dut.held):
                assert not ctx.get(dut.i.ready)
                await ctx.tick()
                waited += 1
            assert waited == LATENCY + (SCAN_LATENCY + final if isinstance(form, Block) else 0)
            assert ctx.get(dut.final) == final
            assert ctx.get(dut.tag.position) == tag["position"]
            await check(ctx, tag, final)
            ctx.set(dut.release, 1)
            await ctx.tick()
            ctx.set(dut.release, 0)
            assert not ctx.get(dut.begun)

    async def check(ctx, tag, final):
        kept = [model.read(tag, slot) for slot in range(final + 1)]
        if isinstance(form, Block):
            assert ctx.get(dut.top) == max(vector.exponent for vector in kept)
        for slot, vector in enumerate(kept):
            for beat in range(beats):
                ctx.set(dut.read.slot, slot)
                ctx.set(dut.read.beat, beat)
                ctx.set(dut.read.en, 1)
                await ctx.tick()
                ctx.set(dut.read.en, 0)
                got = [ctx.get(dut.read.data[k]) for k in range(lanes)]
                assert got == vector.mantissa[beat * lanes :][:lanes].tolist(), (tag, slot)
                if isinstance(form, Block):
                    assert ctx.get(dut.read.exponent) == vector.exponent

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()

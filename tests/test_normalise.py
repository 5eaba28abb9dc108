"""hdl/normalise.py against golden.stages.attention.reciprocal, with stalls on all sides."""

import random

import numpy as np
import pytest
from amaranth.hdl import Elaboratable, Module
from amaranth.lib import wiring

from golden import tables
from golden.numbers import Fixed
from golden.stage import Attention as Stage
from golden.stages.attention import reciprocal
from hdl.attention_shape import Shape
from hdl.mac import MultiplierArray
from hdl.memory import Memories
from hdl.normalise import Normalise, latency
from hdl.table import table_words
from hdl.weighted_sum import depth
from tests.bench import Streams

FORM = Fixed(16, 11)


def shape_of(n_head=4, d_head=4, lanes=8, slots=16):
    return Shape(
        Stage("attention", ("q", "k", "v"), "o", n_head, d_head, slots, *[FORM] * 4), lanes
    )


class Harness(Elaboratable):
    """The part with an array for each of its ports, which a rival may take."""

    def __init__(self, unit, lanes):
        self.unit = unit
        self.arrays = MultiplierArray([1, 1]), MultiplierArray([lanes, lanes])

    def elaborate(self, platform):
        m = Module()
        m.submodules.unit = self.unit
        m.submodules += self.arrays
        wiring.connect(m, self.unit.look, self.arrays[0].user1)
        wiring.connect(m, self.unit.mul, self.arrays[1].user1)
        return m


def products(shape, totals, sums, idle=0.0):
    """Products of every beat, its (first, last), and the cycle it came in."""
    memories = Memories({"x.reciprocal": table_words(tables.reciprocal())})
    unit = Normalise("x", shape, memories)
    dut = Harness(unit, shape.lanes)
    bench = Streams(dut, idle, seed=5)
    rng, got, gone = random.Random(7), [], []
    places = [[t.bit_length() - 1 for t in beat] for beat in totals]

    def feed(port, values):
        async def run(ctx):
            for n, value in enumerate(values):
                # Of WeightedSum no more beats are under way than there is room for.
                while rng.random() < idle or n - len(gone) >= depth(shape):
                    await ctx.tick()
                ctx.set(port.p, value)
                ctx.set(port.valid, 1)
                await ctx.tick().until(port.ready)
                ctx.set(port.valid, 0)

        bench.sim.add_testbench(run, background=True)

    feed(unit.totals, [{"total": t, "place": p} for t, p in zip(totals, places, strict=True)])
    feed(unit.sums, sums)

    async def collect(ctx):
        for cycle in range(3000):
            ctx.set(unit.free, rng.random() >= idle)
            for array in dut.arrays:
                ctx.set(array.user0.valid, rng.random() < idle)
            *_, taken, valid, first, last, values = await ctx.tick().sample(
                unit.reserve, unit.valid, unit.first, unit.last, unit.mul.p
            )
            gone.extend([cycle] * taken)
            if valid:
                got.append(([int(x) for x in values], (first, last), cycle))
            if len(got) == len(totals):
                return
        raise AssertionError(f"{len(got)} of {len(totals)} beats after 3000 cycles")

    bench.sim.add_testbench(collect)
    bench.sim.run()
    return got


@pytest.mark.parametrize("idle", [0.0, 0.4])
@pytest.mark.parametrize("options", [{}, {"n_head": 2, "d_head": 8}, {"n_head": 8, "d_head": 2}])
def test_products(options, idle):
    shape, rng = shape_of(**options), np.random.default_rng(1)
    count, most = 4 * shape.beats, shape.slots << tables.UNIT
    totals = [[int(x) for x in 2 ** rng.uniform(15, 19, shape.heads)] for _ in range(count)]
    totals[1], totals[2] = [tables.ONE + 1] * shape.heads, [most - shape.slots] * shape.heads
    sums = rng.integers(-(1 << 15), 1 << 15, (count, shape.lanes)).tolist()
    got = products(shape, totals, sums, idle)
    for n, (values, ends, _) in enumerate(got):
        factors = np.repeat([reciprocal(t)[0] for t in totals[n]], shape.lanes // shape.heads)
        assert values == [s * int(r) for s, r in zip(sums[n], factors, strict=True)], f"beat {n}"
        beat = n % shape.beats
        assert ends == (beat == 0, beat == shape.beats - 1)
    if not idle:
        assert got[0][2] == latency(shape)
        cycles = [cycle for *_, cycle in got]
        assert cycles[1] - cycles[0] == shape.heads  # a head a cycle

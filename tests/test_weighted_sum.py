"""hdl/weighted_sum.py against golden.stages.attention, with stalls on all sides."""

import numpy as np
import pytest

from golden import tables
from golden.numbers import MANTISSA_BITS, Block, Fixed, limits, round_half_even, saturate
from golden.stage import Attention as Stage
from golden.stages.attention import LEAST, halved
from hdl.attention_shape import Shape
from hdl.weighted_sum import TOTAL_LATENCY, WeightedSum
from tests.bench import Streams
from tests.units import OnArray, rival

FIXED, BLOCK = Fixed(16, 11), Block(16)


def shape_of(n_head=4, d_head=4, lanes=8, slots=5, form=FIXED):
    return Shape(
        Stage("attention", ("q", "k", "v"), "o", n_head, d_head, slots, *[form] * 4), lanes
    )


def some_work(shape, slots, seed):
    """Weights [slot, head], values [slot, head, element] and their exponents."""
    rng, job = np.random.default_rng(seed), shape.job
    weights = rng.integers(0, tables.ONE + 1, (slots, job.n_head))
    weights[rng.integers(slots, size=job.n_head), range(job.n_head)] = tables.ONE  # the maximum
    low, high = limits(job.value.width)
    values = rng.integers(low, high + 1, (slots, job.n_head, job.d_head))
    values[:, 0] = low  # the largest sums
    exponents = rng.integers(-20, -8, slots) if shape.dynamic else np.full(slots, -11)
    return weights, values, exponents


def expected(shape, weights, values, exponents):
    """Totals [group, head of a beat], and sums [beat, lane]."""
    totals = weights.sum(axis=0)
    aligned = halved(weights, (exponents.max() - exponents)[:, None])
    sums = np.einsum("jh,jhd->hd", aligned, values)
    shifts = np.array([int(t).bit_length() for t in totals]) - shape.job.spare_bits
    rounded = saturate(round_half_even(sums, shifts[:, None]), MANTISSA_BITS)
    return totals.reshape(shape.groups, shape.heads), rounded.reshape(shape.beats, shape.lanes)


def sums_of(shape, weights, values, exponents, idle=0.0, greed=0.0):
    """(totals, places) and sums of every beat; cycles of the totals."""
    unit = WeightedSum(shape)
    dut = OnArray(unit)
    bench = Streams(dut, idle, seed=3)
    if greed:
        rival(bench, dut.array, greed, seed=4)
    by_group = weights.reshape(len(weights), shape.groups, shape.heads).transpose(1, 0, 2)
    beats = np.repeat(by_group, shape.head_beats, axis=0).reshape(-1, shape.heads)
    held = values.reshape(len(values), shape.beats, shape.lanes)
    counts, cycles = {"totals": 0, "sums": 0}, []
    seen = [bench.sink("totals", unit.totals, shape.beats, cycles)]
    seen.append(bench.sink("sums", unit.sums, shape.beats))

    async def feed(ctx):
        for weight in beats:
            ctx.set(unit.weights.p, weight.tolist())
            ctx.set(unit.weights.valid, 1)
            await ctx.tick().until(unit.weights.ready)
            ctx.set(unit.weights.valid, 0)

    async def memory(ctx):
        port = unit.value
        ctx.set(unit.final, len(values) - 1)
        if shape.dynamic:
            ctx.set(unit.top, int(exponents.max()))
        ctx.set(unit.go, 1)
        while True:
            *_, read, slot, beat = await ctx.tick().sample(port.en, port.slot, port.beat)
            ctx.set(unit.go, 0)
            if read and slot < len(values):
                ctx.set(port.data, held[slot, beat].tolist())
                if shape.dynamic:
                    ctx.set(port.exponent, int(exponents[slot]))

    async def count(ctx):
        """A beat is gone when both of its halves have been taken."""
        gone = 0
        while True:
            taken = [s.valid & s.ready for s in (unit.totals, unit.sums)]
            *_, total, part = await ctx.tick().sample(*taken)
            counts["totals"] += total
            counts["sums"] += part
            now = min(counts.values())
            ctx.set(unit.gone, now > gone)
            gone += now > gone

    for process in (feed, memory, count):
        bench.sim.add_testbench(process, background=True)
    bench.run()
    return *seen, cycles


SHAPES = [
    {},
    {"form": BLOCK},
    {"form": Block(8)},
    {"form": Fixed(8, 3)},
    {"n_head": 2, "d_head": 16, "lanes": 4},
    {"n_head": 2, "d_head": 8},
]
SHAPES.append({"n_head": 2, "d_head": 16, "lanes": 4, "form": BLOCK})


@pytest.mark.parametrize(("idle", "greed"), [(0, 0), (0.5, 0), (0, 0.6), (0.4, 0.4)])
@pytest.mark.parametrize("options", SHAPES)
def test_sums(options, idle, greed):
    shape = shape_of(**options)
    for seed, slots in ((1, shape.slots), (2, 1)):
        work = some_work(shape, slots, seed)
        totals, sums, cycles = sums_of(shape, *work, idle, greed)
        want_totals, want_sums = expected(shape, *work)
        for n in range(shape.beats):
            total = want_totals[n // shape.head_beats].tolist()
            assert [int(t) for t in totals[n].total] == total
            assert [int(p) for p in totals[n].place] == [t.bit_length() - 1 for t in total]
            assert [int(x) for x in sums[n]] == want_sums[n].tolist(), f"beat {n}"
        if not idle and not greed:  # the first value is read in cycle 0, and a slot follows a slot
            assert cycles[0] == slots + TOTAL_LATENCY


@pytest.mark.parametrize("apart", [1, 14, 15, 16, LEAST - 1, LEAST, LEAST + 1, 32, 64, 127, 255])
def test_values_of_exponents_far_apart(apart):
    shape = shape_of(form=BLOCK)
    weights, values, _ = some_work(shape, 4, 5)
    weights[1:] = [[1] * 4, [2] * 4, [tables.ONE] * 4]
    exponents = np.array([127 - apart, 127, 127, 127 - apart])
    totals, sums, _ = sums_of(shape, weights, values, exponents)
    want_totals, want_sums = expected(shape, weights, values, exponents)
    assert [[int(t) for t in beat.total] for beat in totals] == want_totals.tolist()
    assert [[int(x) for x in beat] for beat in sums] == want_sums.tolist()


def test_one_wrong_weight_shows():
    shape = shape_of()
    work = some_work(shape, 3, 1)
    _, want = expected(shape, *work)
    work[0][1, 2] ^= 1 << 13
    _, sums, _ = sums_of(shape, *work)
    wrong = np.array([[int(x) for x in beat] for beat in sums]) != want
    assert wrong.reshape(4, 4).any(axis=1).tolist() == [False, False, True, False]

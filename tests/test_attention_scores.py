"""hdl/attention_scores.py against the taps of golden.stages.attention.execute."""

import numpy as np
import pytest

from golden.numbers import Block, Fixed, Vector
from golden.stage import Attention as Stage
from golden.stages import Context
from golden.stages.attention import execute
from hdl.attention_image import score_shift
from hdl.attention_scores import Scores, latency
from hdl.attention_shape import Shape
from tests.bench import Streams
from tests.units import OnArray, rival

FIXED, BLOCK = Fixed(16, 11), Block(16)


def shape_of(n_head=4, d_head=4, lanes=8, slots=5, form=FIXED):
    return Shape(
        Stage("attention", ("q", "k", "v"), "o", n_head, d_head, slots, *[form] * 4), lanes
    )


def vectors(shape, slots, seed, bits):
    """The query, a key for every slot, and what the integer model makes of them."""
    rng, job, context = np.random.default_rng(seed), shape.job, None
    size, cache, keys = job.n_head * job.d_head, {}, []

    def vector():
        dynamic = isinstance(job.key, Block)
        exponent = int(rng.integers(-16, -9)) if dynamic else job.key.exponent
        return Vector(rng.integers(-(1 << bits), 1 << bits, size), exponent)

    for position in range(slots):
        query, key = vector(), vector()
        keys.append(key)
        context = Context(0, position, cache=cache)
        execute(job, context, query, key, vector())
    return query, keys, context.taps[0, "attention.scores"].mantissa, bool(context.saturated)


def scores_of(shape, query, keys, idle=0.0, seed=1):
    """Scores [slot, head], maxima [head], the cycle of ``complete``, and whether one saturated."""
    unit = Scores(shape)
    dut = OnArray(unit)
    bench = Streams(dut)
    if idle:
        rival(bench, dut.array, idle, seed)
    found = {"saturated": 0, "cycle": -1}

    def memory(port, held):
        """Beats of the vectors, a cycle after they are asked for."""

        async def run(ctx):
            while True:
                *_, read, slot, beat = await ctx.tick().sample(port.en, port.slot, port.beat)
                if read and slot < len(held):
                    part = slice(beat * shape.lanes, (beat + 1) * shape.lanes)
                    ctx.set(port.data, held[slot].mantissa[part].tolist())
                    if shape.dynamic:
                        ctx.set(port.exponent, held[slot].exponent)

        return run

    async def drive(ctx):
        ctx.set(unit.final, len(keys) - 1)
        ctx.set(unit.shift, 0 if shape.dynamic else score_shift(shape.job))
        ctx.set(unit.go, 1)
        complete = 0
        while not complete:
            *_, complete, saturated = await ctx.tick().sample(unit.complete, unit.saturated)
            ctx.set(unit.go, 0)
            found["saturated"] |= saturated
            found["cycle"] += 1
            assert found["cycle"] < 2000, "complete never came"
        *_, saturated = await ctx.tick().sample(unit.saturated)
        found["saturated"] |= saturated
        ctx.set(unit.read_en, 1)
        scores = np.zeros((len(keys), shape.groups, shape.heads), dtype=np.int64)
        peaks = np.zeros((shape.groups, shape.heads), dtype=np.int64)
        for slot, group in np.ndindex(len(keys), shape.groups):
            ctx.set(unit.read_slot, slot)
            ctx.set(unit.read_group, group)
            ctx.set(unit.peak_group, group)
            await ctx.tick()
            scores[slot, group] = [int(x) for x in ctx.get(unit.scores)]
            peaks[group] = [int(x) for x in ctx.get(unit.peak)]
        found.update(scores=scores.reshape(len(keys), -1), peaks=peaks.ravel())

    for port, held in ((unit.key, keys), (unit.query, [query])):
        bench.sim.add_testbench(memory(port, held), background=True)
    bench.sim.add_testbench(drive)
    bench.sim.run()
    return found


SHAPES = [
    {},
    {"form": BLOCK},
    {"n_head": 2, "d_head": 16, "lanes": 4},
    {"n_head": 2, "d_head": 16, "lanes": 4, "form": BLOCK},
    {"n_head": 1, "d_head": 8, "lanes": 8},
]


@pytest.mark.parametrize("bits", [10, 15])
@pytest.mark.parametrize("idle", [0, 0.5])
@pytest.mark.parametrize("options", SHAPES)
def test_scores(options, idle, bits):
    shape = shape_of(**options)
    for seed, slots in ((1, shape.slots), (2, 1)):
        query, keys, wanted, saturated = vectors(shape, slots, seed, bits)
        found = scores_of(shape, query, keys, idle)
        np.testing.assert_array_equal(found["scores"], wanted)
        np.testing.assert_array_equal(found["peaks"], wanted.max(axis=0))
        assert found["saturated"] == saturated
        if not idle:
            assert found["cycle"] == shape.beats * slots - 1 + latency(shape)


def test_a_score_out_of_range_is_told():
    shape = shape_of(form=Fixed(16, 6))
    query, keys, wanted, saturated = vectors(shape, 3, 1, 15)
    found = scores_of(shape, query, keys)
    assert found["saturated"] == saturated == 1
    np.testing.assert_array_equal(found["scores"], wanted)


def test_one_wrong_key_shows():
    shape = shape_of()
    query, keys, wanted, _ = vectors(shape, 3, 1, 15)
    keys[1].mantissa[5] ^= 1 << 12
    wrong = scores_of(shape, query, keys)["scores"] != wanted
    assert wrong.sum() == wrong[1, 1] == 1

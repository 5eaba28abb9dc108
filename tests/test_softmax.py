"""hdl/softmax.py against golden.stages.attention.softmax_weights, with stalls on both sides."""

import numpy as np
import pytest

from golden import tables
from golden.numbers import Fixed
from golden.stage import Attention as Stage
from golden.stages.attention import SCORE_BITS, softmax_weights
from hdl.attention_shape import Shape
from hdl.memory import Memories
from hdl.softmax import LATENCY, Softmax
from hdl.table import table_words
from tests.bench import Streams
from tests.units import OnArray, rival

FORM = Fixed(16, 11)


def shape_of(n_head=4, d_head=4, lanes=8, slots=6):
    return Shape(
        Stage("attention", ("q", "k", "v"), "o", n_head, d_head, slots, *[FORM] * 4), lanes
    )


def weights_of(shape, scores, idle=0.0, greed=0.0, corrupt=None):
    """Weights [beat, slot, heads of a beat] of scores [slot, head], and the cycles they left in."""
    words = {f"x.exp2_{k}": table_words(tables.exp2()) for k in range(shape.heads)}
    if corrupt:
        corrupt(words["x.exp2_0"])
    unit = Softmax("x", shape, Memories(words))
    dut = OnArray(unit)
    bench = Streams(dut, idle, seed=3)
    if greed:
        rival(bench, dut.array, greed, seed=4)
    table = scores.reshape(len(scores), shape.groups, shape.heads)
    peaks = table.max(axis=0).tolist()
    count = shape.groups * shape.head_beats * len(scores)
    cycles = []
    seen = bench.sink("o", unit.o, count, cycles)

    async def memory(ctx):
        """The scores, a cycle after they are asked for; the maxima at once."""
        ctx.set(unit.final, len(scores) - 1)
        ctx.set(unit.go, 1)
        while True:
            ctx.set(unit.peak, peaks[ctx.get(unit.peak_group)])
            *_, read, group, slot = await ctx.tick().sample(
                unit.read_en, unit.read_group, unit.read_slot
            )
            ctx.set(unit.go, 0)
            if read and slot < len(scores):
                ctx.set(unit.scores, table[slot, group].tolist())

    bench.sim.add_testbench(memory, background=True)
    bench.run()
    weights = np.array([[int(x) for x in payload] for payload in seen])
    return weights.reshape(-1, len(scores), shape.heads), cycles


def expected(shape, scores):
    """In the order of the beats: every group as often as a head has beats."""
    weights = softmax_weights(scores).reshape(len(scores), shape.groups, shape.heads)
    return np.repeat(weights.transpose(1, 0, 2), shape.head_beats, axis=0)


def some_scores(shape, seed):
    """Near each other, far apart, equal, and at both ends of the range."""
    rng = np.random.default_rng(seed)
    heads = shape.groups * shape.heads
    spread = rng.choice([1 << 12, 1 << 14, 1 << 17, 1 << (SCORE_BITS - 2)], heads)
    scores = rng.integers(-spread, spread, (shape.slots, heads))
    scores[:, 0] = scores[0, 0]
    scores[:2, -1] = (1 << SCORE_BITS - 1) - 1, -(1 << SCORE_BITS - 1)
    return scores


SHAPES = [{}, {"d_head": 8}, {"n_head": 2, "d_head": 16, "lanes": 4}, {"n_head": 1, "lanes": 2}]


@pytest.mark.parametrize(("idle", "greed"), [(0, 0), (0.5, 0), (0, 0.6), (0.4, 0.4)])
@pytest.mark.parametrize("options", SHAPES)
def test_weights(options, idle, greed):
    shape = shape_of(**options)
    for seed, slots in ((1, shape.slots), (2, 1), (3, 4)):
        scores = some_scores(shape, seed)[:slots]
        weights, cycles = weights_of(shape, scores, idle, greed)
        np.testing.assert_array_equal(weights, expected(shape, scores))
        if not idle and not greed:  # one slot a cycle
            assert cycles == list(range(LATENCY, LATENCY + len(cycles)))


def test_a_wrong_table_shows():
    shape = shape_of()
    scores = np.zeros((2, 4), dtype=np.int64)

    def corrupt(words):
        words[0] &= -1 << tables.exp2().base_bits

    weights, _ = weights_of(shape, scores, corrupt=corrupt)
    wrong = weights != expected(shape, scores)
    assert wrong[:, :, 0].all()
    assert not wrong[:, :, 1].any()

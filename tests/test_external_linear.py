"""hdl/external/linear.py against golden/stages/linear.py."""

from functools import partial

import numpy as np
import pytest
from amaranth.hdl import Cat

from golden.blocks import GROUP
from golden.formats import Scaled, by_group, by_row
from golden.numbers import Block, Fixed, Vector
from golden.schedules.external import PORT_BITS
from golden.stage import Exponent, Linear
from golden.stages import Context
from golden.stages.linear import execute
from hdl import adder, mac, requantise
from hdl.external import linear, scale
from hdl.external.layout import tensor_layout
from hdl.memory import Memories
from hdl.stream import Tags, beats
from tests.bench import Streams, collected, vector_beats
from tests.external import pack
from tests.units import OnArray, refused

TAGS = Tags(stream=0, position=4, layer=1, job=3)
LOGITS = Fixed(16, 8)


def stage(rows, columns, grouped, form, seed=1):
    """A matrix of weights of every magnitude, in groups or with a scale a row."""
    rng = np.random.default_rng([seed, rows, columns])
    weights = rng.standard_normal((rows, columns)) * 2.0 ** rng.integers(-6, 1, (rows, 1))
    matrix: Scaled = (by_group if grouped else by_row)(weights.astype(np.float32))
    return Linear(
        f"s{seed}", ("x",), "y", matrix.codes, matrix.bits, matrix.exponent, Block(), form,
        matrix.scales, matrix.minima,
    )  # fmt: skip


def jobs_of(grouped):
    """Two layers of three jobs, and a head with a scale a row."""
    shapes = [(7, 64, Block(16)), (5, 64, Block(8)), (9, 32, Block(16))]
    if not grouped:
        shapes = [(7, 40, Block(16)), (5, 40, Block(8)), (11, 9, Block(16))]
    jobs = [[stage(n, k, grouped, form, j + 10 * i) for i in range(2)]
            for j, (n, k, form) in enumerate(shapes)]  # fmt: skip
    return [*jobs, [stage(9, shapes[0][1], False, LOGITS, 5)]]


ORDER = [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1), (3, 0)]


def vectors(jobs, order, seed=2):
    """The extremes, zero, and then vectors of every magnitude."""
    rng = np.random.default_rng(seed)
    found = []
    for n, (job, layer) in enumerate(order):
        size = jobs[job][layer].input_size
        rows = [np.full(size, -32768), np.zeros(size, np.int64)]
        row = rows[n] if n < 2 else rng.integers(-32768, 32768, size) >> rng.integers(0, 12)
        found.append(Vector(row, int(rng.integers(-14, -2))))
    return found


class Bench:
    """Vectors through a unit of ``jobs``, whose weights come as fast as it takes them."""

    def __init__(self, jobs, port, order=ORDER, idle=0.0, flip=None):
        self.jobs, self.port, self.order = jobs, port, order
        self.lanes = linear.lanes(port)
        memories = Memories(linear.image("l", jobs))
        layers = [len(stages) for stages in jobs]
        self.unit = linear.Linear("l", [j[0] for j in jobs], layers, port, TAGS, memories)
        self.bench = Streams(OnArray(self.unit), idle, seed=3)
        self.xs = vectors(jobs, order)
        self.packed = [pack(jobs[job][layer], port) for job, layer in order]
        if flip:
            self.packed[flip[0]][flip[1]] ^= 1 << flip[2]
        self.over = False

    def feed(self):
        """Sources of the vectors and of their weights."""
        inputs = []
        for n, ((job, layer), x) in enumerate(zip(self.order, self.xs, strict=True)):
            inputs += vector_beats(x, self.lanes, {"job": job, "layer": layer, "position": n})
        weights = [beat for part in self.packed for beat in part]
        self.accepted = self.bench.source("i", self.unit.i, inputs)
        self.taken = self.bench.source("weights", self.unit.weights, weights)

    def run(self):
        unit, bench = self.unit, self.bench
        want, self.context = [[] for _ in self.jobs], Context(0, 0)
        for n, ((job, layer), x) in enumerate(zip(self.order, self.xs, strict=True)):
            want[job].append((n, execute(self.jobs[job][layer], self.context, x)))
        self.feed()
        self.cycles = [[] for _ in self.jobs]
        seen = [
            bench.sink(f"o{j}", port, sum(len(y.mantissa) for _, y in want[j]), self.cycles[j])
            for j, port in enumerate(unit.outputs)
        ]
        bench.sim.add_testbench(self._watch, background=True)
        bench.run()
        return seen, want

    async def _watch(self, ctx):
        unit = self.unit
        offered = [port.valid for port in unit.outputs]
        async for *_, saturated, busy, valid in ctx.tick().sample(
            unit.saturated, unit.busy, Cat(offered)
        ):
            self.over |= bool(saturated)
            assert busy or not valid, "not busy with a beat at an output"

    def check(self):
        seen, want = self.run()
        for j, (stages, answers) in enumerate(zip(self.jobs, want, strict=True)):
            s = stages[0]
            got = collected(seen[j], s.output_size, s.format)
            for (n, y), g in zip(answers, got, strict=True):
                assert g.mantissa.tolist() == y.mantissa.tolist(), f"vector {n}, job {j}"
                assert g.exponent == y.exponent, f"vector {n}, job {j}"
            lasts = [int(p.tag.position) for p in seen[j] if p.last]
            assert lasts == [n for n, _ in answers]
        assert self.over == bool(self.context.saturated)
        return self


@pytest.mark.parametrize("grouped", [False, True], ids=["rows", "groups"])
@pytest.mark.parametrize("port", PORT_BITS)
def test_stalls(port, grouped):
    Bench(jobs_of(grouped), port, idle=0.3).check()


@pytest.mark.parametrize("grouped", [False, True], ids=["rows", "groups"])
@pytest.mark.parametrize("port", PORT_BITS)
def test_a_beat_a_cycle(port, grouped):
    """Every matrix takes as many cycles as it has beats, and constant ones before."""
    jobs = jobs_of(grouped)
    bench = Bench(jobs, port).check()
    taken, accepted = bench.taken, bench.accepted
    before = adder.latency(bench.lanes, bench.lanes < GROUP) + 1
    for job, layer in ORDER:
        s = jobs[job][layer]
        count, words = tensor_layout(s, port).beats, beats(s.input_size, bench.lanes)
        first = accepted[words - 1] + before
        assert taken[:count] == list(range(first, first + count))
        taken, accepted = taken[count:], accepted[words:]
        assert not accepted or accepted[0] == first + count


@pytest.mark.parametrize("port", PORT_BITS)
def test_latency(port):
    jobs = [[stage(1, 40, False, LOGITS)]]
    bench = Bench(jobs, port, [(0, 0)]).check()
    sums = mac.LATENCY + adder.latency(bench.lanes, beats(40 * 8, port) > 1)
    late = 1 + sums + scale.LATENCY + requantise.latency(LOGITS)
    assert bench.cycles[0] == [bench.taken[-1] + late]


def test_fixed_answers_saturate():
    form = Fixed(16, 14)
    Bench([[stage(6, 32, True, form), stage(6, 32, True, form, 2)]], 32, [(0, 0), (0, 1)]).check()
    wide = Bench([[stage(6, 32, True, Fixed(32, 6))]], 64, [(0, 0)] * 3).check()
    assert not wide.over


def test_vectors_may_leave_at_once():
    jobs = [[stage(3, 32, True, form)] for form in (Block(16), Block(8), LOGITS)]
    bench = Bench(jobs, 64, [(0, 0), (1, 0), (2, 0)])
    unit, busy = bench.unit, []

    async def take_all(ctx):
        await ctx.tick().until(Cat(port.valid for port in unit.outputs).all())
        await ctx.tick().repeat(20)  # every row
        for port in unit.outputs:
            ctx.set(port.ready, 1)
        for _ in range(8):
            busy.append(ctx.get(unit.busy))
            await ctx.tick()

    bench.feed()
    bench.bench.sim.add_testbench(take_all)
    bench.bench.run()
    assert busy == [1, 1, 1, 1, 1, 0, 0, 0]  # the last beats leave in the third cycle


@pytest.mark.parametrize("beat", [0, 3])
def test_a_wrong_beat_of_weights_is_caught(beat):
    bench = Bench([[stage(6, 32, False, Block())]], 64, [(0, 0)] * 3, flip=(2, beat, 13))
    with pytest.raises(AssertionError, match="vector 2"):
        bench.check()


def test_a_wrong_parameter_is_caught():
    s = stage(6, 32, False, Block())
    bench = Bench([[s]], 64, [(0, 0)])
    bench.jobs = [[Linear(**{**vars(s), "weight_exponent": Exponent(int(s.weight_exponent) + 1)})]]
    with pytest.raises(AssertionError, match="vector 0"):
        bench.check()


def test_jobs_of_other_sources_are_refused():
    other = Linear(**{**vars(stage(6, 32, False, Block())), "source": Block(8)})
    jobs = [stage(6, 32, False, Block()), other]
    refused("source", partial(linear.Linear, "l", jobs, [1, 1], 64, TAGS, Memories()))

# amaranth: UnusedElaboratable=no
"""hdl/units/activation.py against golden/stages/activation.py."""

import numpy as np
import pytest
from amaranth.hdl import Elaboratable, Module, Signal

from golden.numbers import Block, Fixed, Vector
from golden.stage import Activation
from golden.stages import Context
from golden.stages.activation import execute
from hdl.memory import Memories
from hdl.stream import beats
from hdl.units import activation
from tests.units import TAGS, check, drive


def stage(function, size, form, name="a"):
    return Activation(name, ("x",), "y", function, size, form)


def build(jobs, lanes, corrupt=None):
    image = activation.image("a", jobs, lanes)
    for memory, address, flip in corrupt or ():
        image[memory][address] ^= flip
    memories = Memories(image)
    layers = max(len(stages) for stages in jobs)
    unit = activation.Activation("a", [s[0] for s in jobs], layers, lanes, TAGS, memories)
    assert set(memories.shapes) == set(image)
    return unit


def vectors(s, count, seed=1):
    """The extremes and zero, then values of every magnitude."""
    rng, top = np.random.default_rng(seed), 2 ** (s.format.width - 1)
    xs = []
    for _ in range(count):
        x = rng.integers(-top, top, s.size) >> rng.integers(0, s.format.width, s.size)
        x[: min(5, s.size)] = [-top, top - 1, 0, -1, 1][: s.size]
        xs.append(Vector(rng.permutation(x), getattr(s.format, "exponent", -9)))
    return xs


class Clocked(Elaboratable):
    """A unit without a register, in a clock domain."""

    def __init__(self, unit):
        self.unit = unit
        self.i, self.o, self.busy = unit.i, unit.o, unit.busy
        self.job, self.saturated = unit.job, unit.saturated

    def elaborate(self, platform):
        m = Module()
        m.submodules.unit = self.unit
        m.d.sync += Signal().eq(1)
        return m


def run(jobs, lanes, work, corrupt=None, **options):
    size, form = jobs[0][0].size, jobs[0][0].format
    tags = [
        {"stream": n & 1, "position": n % 16, "job": job, "layer": layer}
        for n, (job, layer, _) in enumerate(work)
    ]
    unit = build(jobs, lanes, corrupt)
    unit = unit if hasattr(unit, "mul") else Clocked(unit)
    got, seen, accepted, cycles, notes = drive(
        unit, {"i": [x for *_, x in work]}, tags, lanes, size, form, **options
    )
    context = Context(token=0, position=0)
    want = [execute(jobs[job][layer], context, x) for job, layer, x in work]
    if isinstance(form, Fixed):  # the exponent is not part of the beat: jobs may differ
        got = [Vector(g.mantissa, w.exponent) for g, w in zip(got, want, strict=True)]
    check(got, want, seen, tags)
    assert not notes["saturated"]
    return accepted["i"], cycles


Q8, Q9 = Fixed(12, 8), Fixed(16, 9)
CASES = [("relu", Q9), ("relu", Block(16)), ("gelu", Q9), ("gelu", Q8)]


@pytest.mark.parametrize(("idle", "greed"), [(0.0, 0.0), (0.4, 0.0), (0.2, 0.7)])
@pytest.mark.parametrize(("size", "lanes"), [(16, 4), (7, 4), (3, 1), (24, 8)])
@pytest.mark.parametrize(("function", "form"), CASES, ids=str)
def test_matches_golden(function, form, size, lanes, idle, greed):
    s = stage(function, size, form)
    run([[s]], lanes, [(0, 0, x) for x in vectors(s, 6)], idle=idle, greed=greed, seed=size)


@pytest.mark.parametrize("fraction", [12, 11, 8, 3, 0, -4, -9])
def test_gelu_over_the_whole_range(fraction):
    s = stage("gelu", 512, Fixed(16, fraction))
    x = np.concatenate([np.linspace(-32768, 32767, 256).astype(np.int64), np.arange(-128, 128)])
    if fraction > 0:
        x[:200] = np.linspace(-(8.1 * 2**fraction), 8.1 * 2**fraction, 200).astype(np.int64)
    run([[s]], 8, [(0, 0, Vector(np.clip(x, -32768, 32767), -fraction))])


def test_jobs_and_layers_have_shifts_of_their_own():
    fractions = [[12, 7, 9], [5, 10, 8]]
    jobs = [[stage("gelu", 8, Fixed(16, f)) for f in row] for row in fractions]
    work = [
        (j, k, Vector(vectors(jobs[j][k], 1, seed)[0].mantissa, -fractions[j][k]))
        for seed, (j, k) in enumerate([(0, 0), (1, 2), (0, 1), (1, 0), (1, 1), (0, 2)])
    ]
    run(jobs, 4, work, idle=0.2, greed=0.3)


@pytest.mark.parametrize(("function", "form"), CASES, ids=str)
def test_latency_and_throughput(function, form):
    s = stage(function, 16, form)
    accepted, cycles = run([[s]], 4, [(0, 0, x) for x in vectors(s, 8)])
    count = 8 * beats(16, 4)
    assert accepted == list(range(count))
    waits = {b - a for a, b in zip(accepted, cycles, strict=True)}
    assert waits == {activation.latency(function)}
    assert activation.latency("relu") == 0
    assert activation.latency("gelu") == 6


def test_a_slow_reader_loses_nothing():
    s = stage("gelu", 16, Q9)
    run([[s]], 1, [(0, 0, x) for x in vectors(s, 12)], idle=0.8)


def test_relu_has_no_multiplier_and_no_memory():
    memories = Memories()
    unit = activation.Activation("a", [stage("relu", 8, Fixed(16, 9))], 1, 4, TAGS, memories)
    assert not hasattr(unit, "mul")
    assert memories.shapes == {}


def test_a_corrupted_table_is_caught():
    s = stage("gelu", 4, Fixed(16, 12))
    x = [(0, 0, Vector(np.array([-4096, 0, 100, 300]), -12))]
    run([[s]], 4, x)
    with pytest.raises(AssertionError, match="vector 0"):
        run([[s]], 4, x, corrupt=[("a.gelu0", 64, 1 << 12)])


@pytest.mark.parametrize(
    ("jobs", "message"),
    [
        ([], "has no job"),
        ([stage("gelu", 4, Block(16))], "GELU cannot work on BFP16"),
        ([stage("gelu", 4, Fixed(20, 9))], "GELU cannot work on Q11.9"),
        ([stage("gelu", 4, Q9), stage("relu", 4, Q9, "b")], "function of b is relu"),
    ],
)
def test_what_cannot_be_built(jobs, message):
    with pytest.raises(ValueError, match=message):
        activation.Activation("a", jobs, 1, 4, TAGS, Memories())


def test_a_finer_format_than_the_table_is_refused():
    with pytest.raises(ValueError, match="finer than the table"):
        activation.image("a", [[stage("gelu", 4, Fixed(16, 13))]], 4)

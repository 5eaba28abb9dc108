"""hdl/units/convert.py against golden/stages/convert.py."""

import itertools
from functools import partial

import numpy as np
import pytest

from golden.numbers import Block, Fixed, Vector
from golden.stage import Convert
from golden.stages import Context
from golden.stages.convert import execute
from hdl.memory import Memories
from hdl.stream import beats
from hdl.units import convert
from tests.bench import collected
from tests.test_residual import values
from tests.units import TAGS, check, drive, refused

FORMS = [Fixed(16, 10), Fixed(16, 3), Fixed(32, 20), Block(16), Block(8)]
PAIRS = [pair for pair in itertools.product(FORMS, repeat=2) if pair[0] != pair[1]]


def stage(size, source, form):
    return Convert("convert", ("x",), "y", size, source, form)


def run(stages, jobs, lanes, xs, tags, flip=0, **options):
    image = convert.image("c", jobs)
    if flip:
        image["c.parameters"][0] ^= flip
    layers = max(len(row) for row in jobs)
    dut = convert.Convert("c", [row[0] for row in jobs], layers, lanes, TAGS, Memories(image))
    form, size = stages[0].format, stages[0].size
    got, seen, accepted, cycles, notes = drive(dut, {"i": xs}, tags, lanes, size, form, **options)
    context = Context(token=0, position=0)
    want = [execute(s, context, x) for s, x in zip(stages, xs, strict=True)]
    return got, want, seen, accepted["i"], cycles, notes["saturated"], bool(context.saturated)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair[0]}-{pair[1]}")
def test_matches_golden(pair):
    s = stage(7, *pair)
    xs = [
        x
        for x in values(7, s.source, 60, 5)
        if isinstance(s.format, Fixed) or -100 < x.exponent < 100
    ]
    tags = [{"position": n % 16, "stream": n & 1} for n in range(len(xs))]
    for lanes, idle in ((4, 0.0), (2, 0.3)):
        got, want, seen, *_, held, expected = run([s] * len(xs), [[s]], lanes, xs, tags, idle=idle)
        check(got, want, seen, tags)
        assert held == expected


@pytest.mark.parametrize(("size", "lanes"), [(16, 16), (24, 8), (48, 16), (32, 1), (7, 1), (1, 8)])
@pytest.mark.parametrize("pair", [PAIRS[2], PAIRS[-2]], ids=lambda pair: f"{pair[0]}-{pair[1]}")
def test_sizes(size, lanes, pair):
    s = stage(size, *pair)
    xs = values(size, s.source, 5, 6)
    for idle in (0.0, 0.4):
        got, want, seen, *_ = run([s] * 5, [[s]], lanes, xs, [{}] * 5, idle=idle)
        check(got, want, seen, [{}] * 5)


def test_every_exponent_of_a_block():
    s = stage(4, Block(16), Fixed(16, 10))
    xs = [Vector(np.array([1, -3, 32767, -32768]), e) for e in range(-128, 128)]
    got, want, seen, *_ = run([s] * 256, [[s]], 4, xs, [{}] * 256)
    check(got, want, seen, [{}] * 256)


def test_jobs_and_layers_have_rows_of_their_own():
    source = [Fixed(16, 12), Fixed(16, 4), Fixed(16, 8)]
    grid = [[stage(4, f, Fixed(16, 8)) for f in source], [stage(4, Fixed(16, 1), Fixed(16, 8))]]
    order = [(0, 0), (1, 0), (0, 2), (0, 1), (0, 2), (1, 0)]
    stages = [grid[job][layer] for job, layer in order]
    xs = [Vector(np.array([5, -7, 900, 12345]), s.source.exponent) for s in stages]
    tags = [{"job": job, "layer": layer} for job, layer in order]
    got, want, seen, *_ = run(stages, grid, 2, xs, tags)
    check(got, want, seen, tags)


def test_jobs_may_differ_in_size():
    jobs, order = [[stage(size, Fixed(32, 20), Block(16))] for size in (4, 20)], (0, 1, 1, 0)
    stages = [jobs[job][0] for job in order] * 2
    xs = [values(s.size, s.source, 5, 7)[4] for s in stages]
    tags = [{"job": job} for job in order * 2]
    image = Memories(convert.image("c", jobs))
    dut = convert.Convert("c", [row[0] for row in jobs], 1, 4, TAGS, image)
    want = [execute(s, Context(0, 0), x) for s, x in zip(stages, xs, strict=True)]
    _, seen, *_ = drive(dut, {"i": xs}, tags, 4, 12, Block(16), idle=0.3)
    check(collected(seen, 20, Block(16)), want, seen, tags)


@pytest.mark.parametrize("form", [Fixed(16, 3), Block(16)], ids=str)
@pytest.mark.parametrize(("size", "lanes"), [(24, 8), (16, 16), (7, 1)])
def test_latency_and_throughput(size, lanes, form):
    s, count = stage(size, Fixed(32, 20), form), beats(size, lanes) * 8
    *_, accepted, cycles, _, _ = run([s] * 8, [[s]], lanes, values(size, s.source, 8, 1), [{}] * 8)
    assert accepted == list(range(count))
    start = convert.latency(size, lanes, form)
    assert cycles == list(range(start, start + count))


def test_a_corrupted_word_is_caught():
    s = stage(4, Fixed(16, 10), Fixed(16, 3))
    got, want, *_ = run([s] * 8, [[s]], 4, values(4, s.source, 8, 1), [{}] * 8, flip=1)
    assert any((a.mantissa != b.mantissa).any() for a, b in zip(got, want, strict=True))


def test_what_cannot_share_is_refused():
    a = stage(4, Fixed(16, 10), Block(16))
    for jobs in (
        [],
        [a, stage(4, Fixed(32, 10), Block(16))],
    ):
        refused("unit c", partial(convert.Convert, "c", jobs, 1, 4, TAGS, Memories()))

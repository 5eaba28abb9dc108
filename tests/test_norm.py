"""hdl/units/norm.py against golden/stages/norm.py."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from golden.numbers import Block, Fixed, Vector
from golden.stage import Exponent, Norm
from golden.stages import Context
from golden.stages.norm import execute
from hdl.memory import Memories
from hdl.stream import beats
from hdl.units import norm
from tests.bench import Streams, collected, padded, vector_beats
from tests.units import TAGS, OnArray, check, drive, refused

Q10, Q13 = Fixed(16, 10), Fixed(16, 13)


def stage(size, source=Q10, form=Q13, eps=1e-5, name="norm"):
    mantissa, exponent = np.frexp(size * eps)
    epsilon = int(mantissa * 2**15)
    return Norm(
        name, ("x",), "y", size, Exponent(epsilon), Exponent(int(exponent) - 15), source, form
    )


def gained(s, seed=5, exponent=-13):
    """The stage with gains: the largest of both signs, zero, then any."""
    rng = np.random.default_rng([seed, s.size])
    gain = np.array([-32768, 32767, 0, 1, *rng.integers(-32768, 32768, s.size)])[: s.size]
    return replace(s, gain=gain, gain_exponent=Exponent(exponent))


def gain_beats(stages, lanes):
    """What the port ``gains`` gets for vectors of such stages."""
    return [
        row
        for s in stages
        if s.gain is not None
        for row in padded(s.gain, lanes).reshape(-1, lanes).tolist()
    ]


def build(jobs, lanes, corrupt=None):
    image = norm.image("n", jobs)
    for memory, address, flip in corrupt or ():
        image[memory][address] ^= flip
    layers = max(len(stages) for stages in jobs)
    templates = [stages[0] for stages in jobs]
    return norm.Norm("n", templates, layers, lanes, TAGS, Memories(image))


def vectors(size, source, count, seed=3):
    """Extremes first: zero, all -32768, one-hot, ones; then vectors of every magnitude."""
    rng = np.random.default_rng(seed)
    one_hot = np.zeros(size, dtype=np.int64)
    one_hot[size // 2] = 32767
    rows = [np.zeros(size, dtype=np.int64), np.full(size, -32768), one_hot, np.ones(size, np.int64)]
    while len(rows) < count:
        top = 2 ** rng.integers(1, 16)
        rows.append(rng.integers(-top, top, size))
    limit = 2 ** (source.width - 1)
    rows = [np.clip(row, -limit, limit - 1).astype(np.int64) for row in rows[:count]]
    if isinstance(source, Fixed):
        return [Vector(row, source.exponent) for row in rows]
    return [Vector(row, int(rng.integers(-30, 4))) for row in rows]


def golden(stages, xs):
    context = Context(token=0, position=0)
    return [execute(s, context, x) for s, x in zip(stages, xs, strict=True)], context


def run(s, lanes, count=12, seed=3, xs=None, **options):
    xs = xs or vectors(s.size, s.source, count, seed)
    tags = [{"stream": n & 1, "position": n % 16} for n in range(len(xs))]
    payloads = {"gains": gain_beats([s] * len(xs), lanes)} if s.gain is not None else {}
    got, seen, accepted, cycles, notes = drive(
        build([[s]], lanes), {"i": xs}, tags, lanes, s.size, s.format, payloads=payloads, **options
    )
    want, context = golden([s] * len(xs), xs)
    check(got, want, seen, tags)
    assert notes["saturated"] == bool(context.saturated)
    return accepted["i"], cycles


@pytest.mark.parametrize("form", [Q13, Block(16), Fixed(16, 11), Fixed(24, 14)], ids=str)
@pytest.mark.parametrize("source", [Q10, Block(16), Fixed(12, 6)], ids=str)
@pytest.mark.parametrize(("size", "lanes"), [(7, 4), (1, 1), (24, 16)])
def test_matches_golden(size, lanes, source, form):
    run(stage(size, source, form), lanes, count=8)


@pytest.mark.parametrize(
    ("size", "lanes"), [(16, 1), (32, 8), (48, 16), (24, 8), (7, 1), (1, 16), (16, 16)]
)
@pytest.mark.parametrize("form", [Q13, Block(16)], ids=str)
def test_arbitrary_stalls_and_a_contended_array(size, lanes, form):
    source = Block(16) if size % 3 else Q10
    run(stage(size, source, form), lanes, count=8, idle=0.3, greed=0.5, seed=size)


@pytest.mark.parametrize("form", [Block(16), Q13], ids=str)
@pytest.mark.parametrize("source", [Q10, Block(16)], ids=str)
@pytest.mark.parametrize(("size", "lanes"), [(7, 4), (24, 8), (5, 1)])
def test_gains(size, lanes, source, form):
    s = gained(stage(size, source, form))
    run(s, lanes, count=8, idle=0.4, greed=0.4, seed=size)


def test_gains_come_late():
    s, lanes = gained(stage(16, Block(16), Block(16))), 4
    bench = Streams(OnArray(dut := build([[s]], lanes)))
    xs, soon = vectors(16, s.source, 5), 60
    bench.source("i", dut.i, [b for x in xs for b in vector_beats(x, lanes)])
    bench.source("gains", dut.gains, gain_beats([s] * 5, lanes), start=soon)
    cycles = []
    seen = bench.sink("o", dut.o, 20, cycles)
    bench.run()
    check(collected(seen, 16, s.format), golden([s] * 5, xs)[0], seen, [{}] * 5)
    assert cycles[0] > soon


@pytest.mark.parametrize("exponent", [-30, 0, 5])
def test_powers_of_two_of_gains(exponent):
    run(gained(stage(16, Q10, Block(16)), exponent=exponent), 8, count=6)
    run(gained(stage(16, Block(16), Fixed(16, 9 - exponent)), exponent=exponent - 13), 8, count=6)


@pytest.mark.parametrize("greed", [0.2, 0.9])
def test_the_sink_is_slow(greed):
    run(stage(16), 4, count=9, idle=0.7, greed=greed)


@pytest.mark.parametrize("source", [Q10, Block(16)], ids=str)
def test_every_epsilon(source):
    rng = np.random.default_rng(8)
    for eps in (2.0**-60, 0.4, 2.0**40):
        form = Block(16) if eps < 1e-9 else Q13
        small = [Vector(rng.integers(-3, 4, 16), x.exponent) for x in vectors(16, source, 2)]
        run(stage(16, source, form, eps), 4, xs=small)
    zero = Norm("n", ("x",), "y", 16, Exponent(0), Exponent(0), source, Block(16))
    run(zero, 4, count=6)


def test_left_shift_of_the_answer():
    tiny = [Vector(np.array(row), -10) for row in ([1, 0, 0], [1, 1, 0], [-1, 2, 1], [3, -3, 3])]
    s = Norm("n", ("x",), "y", 3, Exponent(0), Exponent(0), Q10, Fixed(24, 17))
    run(s, 4, xs=tiny)
    with pytest.raises(ValueError, match="finer"):
        norm.image("n", [[Norm("n", ("x",), "y", 3, Exponent(0), Exponent(0), Q10, Fixed(24, 20))]])


@pytest.mark.parametrize("form", [Q13, Block(16)], ids=str)
def test_jobs_and_layers_have_gains_of_their_own(form):
    base = [stage(12, Block(16), form, eps) for eps in (1e-5, 0.2, 0.01)]
    grid = [
        [gained(base[0], 1, -9), gained(base[1], 2, -15)],
        [gained(base[2], 3, -12)],
    ]
    order = [(0, 0), (0, 1), (1, 0), (0, 0), (1, 0), (0, 1)]
    stages = [grid[job][layer] for job, layer in order]
    xs = vectors(12, Block(16), len(order))
    tags = [{"job": job, "layer": layer} for job, layer in order]
    got, seen, *_ = drive(
        build(grid, 4), {"i": xs}, tags, 4, 12, form, payloads={"gains": gain_beats(stages, 4)}
    )
    check(got, golden(stages, xs)[0], seen, tags)


def test_jobs_and_layers_have_rows_of_their_own():
    grid = [
        [stage(16, Q10, Fixed(16, 13), eps) for eps in (1e-5, 0.1, 30.0)],
        [stage(16, Fixed(16, 8), Fixed(16, 11), 3.0)],
    ]
    order = [(0, 0), (1, 0), (0, 2), (0, 1), (1, 0), (0, 0), (0, 2)] * 2
    stages = [grid[job][layer] for job, layer in order]
    xs = [
        Vector(x.mantissa, s.source.exponent)
        for s, x in zip(stages, vectors(16, Q10, 14), strict=True)
    ]
    tags = [{"job": job, "layer": layer} for job, layer in order]
    for idle in (0.0, 0.3):
        got, seen, *_ = drive(build(grid, 8), {"i": xs}, tags, 8, 16, Q13, idle=idle, greed=idle)
        check([Vector(v.mantissa, 0) for v in got],
              [Vector(v.mantissa, 0) for v in golden(stages, xs)[0]], seen, tags)  # fmt: skip


@pytest.mark.parametrize("source", [Q10, Block(16)], ids=str)
@pytest.mark.parametrize("form", [Q13, Block(16)], ids=str)
@pytest.mark.parametrize(
    ("size", "lanes", "with_gains"),
    [(16, 16, False), (48, 16, False), (16, 4, False), (7, 1, False), (20, 8, True)],
)
def test_latency(size, lanes, source, form, with_gains):
    s = stage(size, source, form)
    s = gained(s) if with_gains else s
    accepted, cycles = run(s, lanes, xs=vectors(size, source, 9)[8:])
    assert accepted == list(range(beats(size, lanes)))
    start = accepted[-1] + norm.latency(size, lanes, form, with_gains)
    assert cycles == list(range(start, start + beats(size, lanes)))
    if isinstance(form, Fixed) and lanes <= 16 and not with_gains:
        assert norm.latency(size, lanes, form) <= 15


@pytest.mark.parametrize(
    ("size", "lanes", "with_gains"),
    [(16, 16, False), (16, 8, False), (24, 8, False), (48, 4, False), (24, 8, True)],
)
def test_interval(size, lanes, with_gains):
    s = gained(stage(size)) if with_gains else stage(size)
    accepted, _ = run(s, lanes, count=8)
    lasts = accepted[beats(size, lanes) - 1 :: beats(size, lanes)]
    average = (lasts[-1] - lasts[1]) / (len(lasts) - 2)
    assert norm.interval(size, lanes) / 2 < average <= norm.interval(size, lanes)


@pytest.mark.parametrize(
    "corrupt", [("n.parameters", 0, 1 << 12), ("n.root", slice(None), 1 << 14)]
)
def test_a_corrupted_word_is_caught(corrupt):
    memory, address, flip = corrupt
    addresses = range(256) if isinstance(address, slice) else [address]
    s = stage(16)
    xs = [Vector(np.arange(16) * 3 - 20, -10)]
    dut = build([[s]], 8, [(memory, a, flip) for a in addresses])
    got, *_ = drive(dut, {"i": xs}, [{}], 8, 16, Q13)
    assert got[0].mantissa.tolist() != golden([s], xs)[0][0].mantissa.tolist()


@pytest.mark.parametrize("place", [3, 11])
def test_a_wrong_gain_is_caught(place):
    s = gained(stage(16))
    xs = [Vector(np.arange(16) * 30 - 200, -10)]
    rows = gain_beats([s], 8)
    rows[place // 8][place % 8] ^= 1 << 14
    got, *_ = drive(build([[s]], 8), {"i": xs}, [{}], 8, 16, Q13, payloads={"gains": rows})
    wrong = got[0].mantissa != golden([s], xs)[0][0].mantissa
    assert wrong.nonzero()[0].tolist() == [place]


def test_what_cannot_share_is_refused():
    for jobs in (
        [],
        [stage(16), gained(stage(16))],
        [stage(16), stage(8)],
        [stage(16), stage(16, Block(16))],
        [stage(16, Fixed(32, 9))],
    ):
        refused(r"unit n|wider", partial(norm.Norm, "n", jobs, 1, 4, TAGS, Memories()))

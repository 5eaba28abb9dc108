"""hdl/units/gate.py against golden/stages/gate.py."""

import random
from functools import partial

import numpy as np
import pytest

from golden import tables
from golden.numbers import Block, Fixed, Vector
from golden.stage import Gate
from golden.stages import Context
from golden.stages.gate import execute
from hdl import mac, requantise
from hdl.memory import Memories
from hdl.stream import beats
from hdl.units import gate
from tests.bench import Streams, collected, vector_beats
from tests.units import TAGS, OnArray, check, drive, refused, rival

FORM = Block(16)


def stage(size, name="gate", source=FORM, form=FORM, of_gate=FORM):
    return Gate(name, ("g", "x"), "y", size, of_gate, source, form)


def build(jobs, lanes, layers=1, corrupt=None):
    image = gate.image("g", [[job] * layers for job in jobs], lanes)
    for memory, address, flip in corrupt or ():
        image[memory] = [
            word ^ (flip if n == address else 0) for n, word in enumerate(image[memory])
        ]
    memories = Memories(image)
    unit = gate.Gate("g", jobs, layers, lanes, TAGS, memories)
    assert set(memories.shapes) == set(image)
    return unit


def vectors(size, count, seed, form=FORM):
    """Extremes of the range first, then vectors of every magnitude; exponents from -30 to 8."""
    rng, top = np.random.default_rng(seed), 2 ** (form.width - 1)
    rows = [np.full(size, value) for value in (-top, top - 1, 0, 1, -1)]
    while len(rows) < count:
        row = rng.integers(-top, top, size) >> rng.integers(0, form.width, size)
        row[: min(4, size)] = [-top, top - 1, 0, -1][: min(4, size)]
        rows.append(rng.permutation(row))
    return [Vector(rng.permuted(row), int(rng.integers(-30, 9))) for row in rows[:count]]


def golden(s, gate, x):
    context = Context(token=0, position=0)
    return [execute(s, context, *pair) for pair in zip(gate, x, strict=True)]


def run(s, lanes, gates, xs, tags=None, corrupt=None, **options):
    tags = tags or [{"stream": n & 1, "position": n % 16} for n in range(len(xs))]
    jobs = [s] * (1 + max(tag.get("job", 0) for tag in tags))
    unit = build(jobs, lanes, 4, corrupt)
    got, seen, accepted, cycles, notes = drive(
        unit, {"gate": gates, "x": xs}, tags, lanes, s.size, s.format, **options
    )
    check(got, golden(s, gates, xs), seen, tags)
    assert not notes["saturated"]
    assert accepted["gate"] == accepted["x"]
    return accepted["x"], cycles


@pytest.mark.parametrize(("idle", "greed"), [(0.0, 0.0), (0.3, 0.6)])
@pytest.mark.parametrize(
    ("size", "lanes"), [(16, 4), (7, 4), (1, 1), (3, 8), (24, 8), (48, 4), (9, 2), (13, 1)]
)
def test_matches_golden(size, lanes, idle, greed):
    run(stage(size), lanes, vectors(size, 8, 1), vectors(size, 8, 2)[::-1],
        idle=idle, greed=greed, seed=size)  # fmt: skip


@pytest.mark.parametrize("extreme", [-32768, 32767, 0, 1, -1])
def test_extremes_at_every_exponent(extreme):
    of_gate = [Vector(np.full(4, extreme), e) for e in range(-30, 9)]
    others = [-32768, 32767, 1, -12345]
    run(stage(4), 4, of_gate, [Vector(np.array(others), 8 - n) for n in range(39)])


def test_every_shift_of_the_gate():
    rng = np.random.default_rng(5)
    exponents = [*range(-110, -40, 10), *range(-40, 20), *range(20, 111, 10)]
    of_gate = [Vector(rng.integers(-32768, 32768, 8), e) for e in exponents]
    for row, _ in of_gate:
        row[:4] = [-32768, 1, 0, -1]
    run(stage(8), 8, of_gate, [Vector(rng.integers(-32768, 32768, 8), 0) for _ in exponents])


def test_over_the_whole_table():
    steps = [np.linspace(-32768, 32767, 256).astype(np.int64), np.arange(-128, 128)]
    of_gate = [Vector(row, e) for e in (-12, -11) for row in steps]
    run(stage(256), 8, of_gate, [Vector(np.full(256, 32767), -15)] * len(of_gate))


def test_narrower_blocks():
    s = stage(8, source=Block(9), form=Block(14), of_gate=Block(12))
    run(s, 4, vectors(8, 9, 3, s.gate), vectors(8, 9, 4, s.source), idle=0.2, greed=0.3)


@pytest.mark.parametrize("greed", [0.0, 0.7])
@pytest.mark.parametrize(("size", "lanes"), [(16, 4), (3, 1)])
def test_a_slow_reader_loses_nothing(size, lanes, greed):
    """A beat is read every 40 cycles, so the unit is full of those that follow."""
    s, count = stage(size), 20 // beats(size, lanes)
    inputs = {"gate": vectors(size, count, 6), "x": vectors(size, count, 7)}
    unit, seen = build([s], lanes), []
    dut = OnArray(unit)
    bench = Streams(dut)
    rival(bench, dut.array, greed, size)
    for name, xs in inputs.items():
        bench.source(name, getattr(unit, name), [p for x in xs for p in vector_beats(x, lanes)])

    async def read(ctx):
        await ctx.tick().repeat(100)
        for _ in range(count * beats(size, lanes)):
            await ctx.tick().repeat(39)
            ctx.set(unit.o.ready, 1)
            *_, valid, payload = await ctx.tick().sample(unit.o.valid, unit.o.p)
            ctx.set(unit.o.ready, 0)
            seen.extend([payload] * valid)

    bench.sim.add_testbench(read)
    bench.run()
    check(collected(seen, size, s.format), golden(s, **inputs), seen, [{}] * count)


def test_jobs_and_layers_share_the_unit():
    order = [(0, 0), (1, 0), (0, 2), (1, 3), (0, 1), (1, 0), (0, 0)] * 2
    tags = [{"job": job, "layer": layer, "position": layer} for job, layer in order]
    for idle in (0.0, 0.3):
        run(stage(6), 2, vectors(6, 14, 8), vectors(6, 14, 9), tags, idle=idle, greed=idle)


@pytest.mark.parametrize(
    ("count", "lanes"),
    [(1, 1), (2, 8), (4, 1), (5, 4), (6, 1), (8, 1), (9, 2), (13, 1)],
)
def test_latency(count, lanes):
    size = count * lanes
    accepted, cycles = run(stage(size), lanes, vectors(size, 6, 1)[5:], vectors(size, 6, 2)[5:])
    start = accepted[-1] + gate.latency(size, lanes)
    assert cycles == list(range(start, start + count))
    if count <= gate.ROOM:
        assert accepted == list(range(count))
        assert gate.latency(size, lanes) == 15


@pytest.mark.parametrize("greed", [0.0, 0.4])
@pytest.mark.parametrize(("size", "lanes"), [(4, 4), (7, 4), (8, 1)])
def test_a_beat_every_three_cycles_of_the_array(size, lanes, greed):
    count, final = 48 // beats(size, lanes), beats(size, lanes)
    xs = vectors(size, count, 2)
    accepted, cycles = run(stage(size), lanes, xs, xs[::-1], greed=greed, seed=3)
    products = cycles[-final] - requantise.latency(FORM) - mac.LATENCY  # the cycle of the last ones
    rng = random.Random(3)  # the rival's
    granted = sum(rng.random() >= greed for _ in range(products + 1)) - (greed == 0)
    idle = granted - 3 * len(accepted)
    assert 0 <= idle <= (mac.LATENCY + 1 if greed else 0)


@pytest.mark.parametrize("lane", [0, 1])
def test_a_corrupted_table_is_caught(lane):
    of_gate, xs = [Vector(np.full(2, 4096), -12)], [Vector(np.full(2, 20000), -12)]
    run(stage(2), 2, of_gate, xs)
    segment = 4096 >> tables.sigmoid().low_bits
    with pytest.raises(AssertionError, match="vector 0"):
        run(stage(2), 2, of_gate, xs, corrupt=[(f"g.sigmoid{lane}", segment, 1 << 20)])


@pytest.mark.parametrize(
    ("jobs", "message"),
    [
        ([], "unit g has no job"),
        ([stage(4), stage(5, "b")], "unit g: size of b is 5"),
        ([stage(4), stage(4, "b", of_gate=Block(12))], "unit g: gate of b is block12"),
        ([stage(4), stage(4, "b", source=Block(12))], "unit g: source of b is block12"),
        ([stage(4), stage(4, "b", form=Block(12))], "unit g: format of b is block12"),
        ([stage(4, of_gate=Fixed(16, 9))], "unit g: a gate cannot work on Q7.9"),
        ([stage(4, source=Block(17))], "unit g: a gate cannot work on BFP17"),
        ([stage(4, form=Fixed(16, 9))], "unit g: a gate cannot work on Q7.9"),
    ],
)
def test_what_cannot_be_built_is_refused(jobs, message):
    refused(message, partial(gate.Gate, "g", jobs, 1, 4, TAGS, Memories()))

"""hdl/external/scale.py: sums of scaled groups against Python's integers."""

import random
from fractions import Fraction

import numpy as np
import pytest

from hdl.external import scale
from hdl.external.scale import Scale
from tests.bench import Streams

TOTAL, X = 22, 20
EXPONENTS, MANTISSAS = range(31), (0, 1, 2, 511, 512, 1023)
CLASSES = [
    sign << 15 | exponent << 10 | mantissa
    for sign in (0, 1)
    for exponent in EXPONENTS
    for mantissa in MANTISSAS
]
"""Zeros, subnormal and normal numbers of every exponent, both signs, up to the largest."""


def integer(bits):
    """A float16 in units of 2**-24, by NumPy's own reading of it."""
    value = Fraction(float(np.array(bits, dtype=np.uint16).view(np.float16))) * 2**24
    assert value.denominator == 1
    return value.numerator


def run(rows, idle=0.0, flip=0):
    """Sums of rows of groups (total, x, scale, minimum); and the cycles they took to come."""
    dut, rng = Scale(TOTAL, X), random.Random(4)
    bench = Streams(dut)
    bench._left["rows"] = len(rows)
    found, started, came = [], [], []

    async def feed(ctx):
        cycle = 0
        for row in rows:
            for k, (total, x, scaled, minimum) in enumerate(row):
                while rng.random() < idle:
                    ctx.set(dut.valid, 0)
                    await ctx.tick()
                    cycle += 1
                ctx.set(dut.valid, 1)
                ctx.set(dut.opens, k == 0)
                ctx.set(dut.closes, k == len(row) - 1)
                ctx.set(dut.total, total)
                ctx.set(dut.x, x)
                ctx.set(dut.scale, {"scale": scaled ^ flip, "minimum": minimum})
                await ctx.tick()
                cycle += 1
            started.append(cycle - 1)
        ctx.set(dut.valid, 0)

    async def collect(ctx):
        cycle = 0
        async for *_, done, row in ctx.tick().sample(dut.done, dut.row):
            if done:
                found.append(row)
                came.append(cycle)
                bench._left["rows"] -= 1
            cycle += 1

    bench.sim.add_testbench(feed)
    bench.sim.add_testbench(collect, background=True)
    bench.run()
    return found, [b - a for a, b in zip(started, came, strict=True)]


def wanted(rows):
    return [sum(integer(s) * total + integer(m) * x for total, x, s, m in row) for row in rows]


def test_every_kind_of_float16_as_scale_and_as_minimum():
    rows = [[(-(1 << TOTAL - 1), 3, bits, 0)] for bits in CLASSES]
    rows += [[(5, (1 << X - 1) - 1, 0, bits)] for bits in CLASSES]
    found, latencies = run(rows)
    assert found == wanted(rows)
    assert set(latencies) == {scale.LATENCY}


@pytest.mark.parametrize("idle", [0.0, 0.4])
def test_groups_of_rows_are_added(idle):
    rng = random.Random(9)
    rows = [
        [
            (
                rng.randrange(-(1 << TOTAL - 1), 1 << TOTAL - 1),
                rng.randrange(-(1 << X - 1), 1 << X - 1),
                rng.choice(CLASSES),
                rng.choice(CLASSES),
            )
            for _ in range(rng.randrange(1, 5))
        ]
        for _ in range(60)
    ]
    found, latencies = run(rows, idle)
    assert found == wanted(rows)
    assert set(latencies) == {scale.LATENCY}


def test_a_sum_of_nearly_64_bits():
    largest = 0x7BFF
    rows = [[(sign * ((1 << TOTAL - 1) - 1), 0, largest, 0)] * 3 for sign in (1, -1)]
    assert max(wanted(rows)).bit_length() == 63
    assert run(rows)[0] == wanted(rows)


def test_a_flipped_bit_is_seen():
    rows = [[(7, 1, 0x3C00, 0)]]
    assert run(rows, flip=1)[0] != wanted(rows)

"""hdl/adder.py: exact sums, and when they are there."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from hdl.adder import LEVELS, Adders, latency


def run(dut, lanes, rows, work):
    """``work``: (valid, first, products [rows, lanes]) a cycle.  Sums [rows] of every cycle."""
    sums = []
    sim = Simulator(dut)
    sim.add_clock(1e-6, if_exists=True)  # one lane, one beat: there is no register

    async def bench(ctx):
        for valid, first, products in work:
            ctx.set(dut.valid, valid)
            ctx.set(dut.first, first)
            ctx.set(dut.products, [int(p) for p in products.ravel()])
            await ctx.delay(0.4e-6)
            sums.append([int(s) for s in ctx.get(dut.sums)])
            await ctx.delay(0.6e-6)

    sim.add_testbench(bench)
    sim.run()
    return sums


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize(("lanes", "rows"), [(1, 1), (2, 3), (4, 1), (8, 2), (16, 2)])
def test_sums(lanes, rows, accumulate):
    rng = np.random.default_rng(lanes)
    width, total = 24, 32
    dut = Adders(rows, lanes, width, total, accumulate)
    steps, wait = 40, latency(lanes, accumulate)
    products = rng.integers(-(2**23), 2**23, (steps, rows, lanes))
    products[3:6] = -(2**23)  # the largest sums
    valid, first = rng.random(steps) < 0.7, rng.random(steps) < 0.3
    first[0] = valid[0] = True
    idle = [(0, 0, np.zeros((rows, lanes)))] * wait
    work = [(int(v), int(f), p) for v, f, p in zip(valid, first, products, strict=True)] + idle
    sums = run(dut, lanes, rows, work)
    want = np.zeros(rows, dtype=np.int64)
    for k in range(steps):
        if not accumulate:
            want = products[k].sum(axis=1)
        elif valid[k]:
            want = want * (not first[k]) + products[k].sum(axis=1)
        if k + wait < len(sums):
            assert sums[k + wait] == want.tolist(), f"cycle {k}"


def test_latency_is_a_register_every_two_additions():
    assert LEVELS == 2
    assert [latency(n, False) for n in (1, 2, 4, 8, 16)] == [0, 1, 1, 2, 2]
    assert [latency(n, True) for n in (1, 2, 4, 8, 16)] == [1, 1, 2, 2, 3]

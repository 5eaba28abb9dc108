"""hdl/norm_turns.py: the order in which the vectors of a norm get the multipliers."""

import random

import pytest
from amaranth.sim import Simulator

from hdl.norm_turns import Turns

BEATS, VECTORS = 3, 30


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("seed", [1, 2])
def test_vectors_pass_in_order(stall, seed):
    """A norm in small: sums are whole, and roots back, two cycles after they were asked for."""
    dut, rng = Turns(), random.Random(seed)
    squared, asked, scaled = [], [], []
    totals, roots = {}, {}

    async def bench(ctx):
        cycle = 0
        while len(scaled) < VECTORS * BEATS:
            assert cycle < 5000, "no turn any more"
            arrives = len(squared) < VECTORS * BEATS and rng.random() >= stall
            ctx.set(dut.beat, arrives)
            ctx.set(dut.beat_last, arrives and len(squared) % BEATS == BEATS - 1)
            ctx.set(dut.total, cycle in totals)
            ctx.set(dut.root, cycle in roots)
            ctx.set(dut.free, rng.random() >= stall)
            ctx.set(dut.kept_last, len(scaled) % BEATS == BEATS - 1)
            ready = rng.random() >= stall
            ctx.set(dut.ready, ready)
            await ctx.delay(0)
            offers = [name for name in ("square", "ask", "scale") if ctx.get(getattr(dut, name))]
            assert len(offers) <= 1
            assert ctx.get(dut.square) == (arrives and ctx.get(dut.open))
            for name in offers if ready else ():
                if name == "square":
                    squared.append(cycle)
                    if len(squared) % BEATS == 0:
                        totals[cycle + 2] = True
                elif name == "ask":
                    asked.append(cycle)
                    roots[cycle + 2] = True
                else:
                    scaled.append(cycle)
            await ctx.tick()
            cycle += 1

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    assert (len(squared), len(asked)) == (VECTORS * BEATS, VECTORS)
    for n in range(VECTORS):
        last, first = squared[(n + 1) * BEATS - 1], scaled[n * BEATS]
        assert last + 2 < asked[n] <= first - 2  # a sum, its root, and then its vector
        if n:
            assert asked[n] > scaled[n * BEATS - 1]  # the older vector is done with its root
            assert last > asked[n - 1]  # the younger one's last beat waits for the older

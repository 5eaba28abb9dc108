"""hdl/walk.py: the order of visits."""

import itertools
import random

import pytest
from amaranth.sim import Simulator

from hdl.walk import Walk


@pytest.mark.parametrize("pause", [0.0, 0.5])
@pytest.mark.parametrize("sizes", [(1, 1, 1), (2, 3, 1), (1, 5, 2), (3, 1, 4)])
def test_visits_in_order(sizes, pause):
    dut, rng = Walk(sizes), random.Random(1)
    finals = [rng.randrange(sizes[1]), sizes[1] - 1]
    seen, cycles = [], 0

    async def bench(ctx):
        nonlocal cycles
        for final in finals:
            ctx.set(dut.final1, final)
            ctx.set(dut.go, 1)
            visits, finished = [], False
            while not finished:
                step = rng.random() >= pause
                ctx.set(dut.step, step)
                assert ctx.get(dut.valid)
                at = tuple(ctx.get(getattr(dut, f"at{k}")) for k in range(3))
                if step:
                    visits.append(at)
                    finished = ctx.get(dut.done)
                await ctx.tick()
                ctx.set(dut.go, 0)
                cycles += 1
            assert not ctx.get(dut.valid)
            seen.append(visits)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    wanted = [
        list(itertools.product(range(sizes[0]), range(final + 1), range(sizes[2])))
        for final in finals
    ]
    assert seen == wanted
    if not pause:
        assert cycles == sum(map(len, wanted))

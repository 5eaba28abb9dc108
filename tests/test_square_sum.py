"""hdl/square_sum.py: exact sums of squares with gaps between beats, and when they are whole."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from hdl.square_sum import GROUP, SquareSum, cycles


@pytest.mark.parametrize("gap", [0.0, 0.5])
@pytest.mark.parametrize("lanes", [1, 4, 8, 16, 128])
def test_sums(lanes, gap):
    rng, bits = np.random.default_rng(lanes), 46
    dut, wait = SquareSum(lanes, bits), cycles(lanes)
    vectors = [rng.integers(-(1 << 15), 1 << 15, (n, lanes)) for n in (1, 3, 2)]
    vectors.append(np.full((2, lanes), -(1 << 15)))  # the largest sum
    starts = [0, 12345, (1 << bits) - 1 - (3 << 40), 7]
    beats = []
    for vector, start in zip(vectors, starts, strict=True):
        for k, beat in enumerate(vector):
            beats += [None] * int(rng.random() < gap) + [
                (beat, k == 0, start, k + 1 == len(vector))
            ]
    begins: dict[int, int] = {}
    whole: dict[int, int] = {}
    got = {}

    async def bench(ctx):
        for cycle, beat in enumerate([*beats, *[None] * (wait + 1)]):
            ctx.set(dut.valid, beat is not None)
            if beat is not None:
                ctx.set(dut.squares, [int(x) ** 2 for x in beat[0]])
                ctx.set(dut.first, beat[1])
                if beat[1]:
                    begins[cycle + wait - 1] = beat[2]
                if beat[3]:
                    whole[cycle + wait] = len(whole)
            ctx.set(dut.start, begins.get(cycle, 99))  # looked at in one cycle only
            if cycle in whole:
                got[whole[cycle]] = ctx.get(dut.total)
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    want = [int((v.astype(object) ** 2).sum()) + s for v, s in zip(vectors, starts, strict=True)]
    assert [got[k] for k in range(len(want))] == want


def test_a_register_every_so_many_products():
    assert [cycles(n) for n in (1, GROUP, GROUP + 1, GROUP**2, GROUP**2 + 1)] == [1, 1, 2, 2, 3]

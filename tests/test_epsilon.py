"""hdl/epsilon.py against golden.stages.norm.aligned_epsilon."""

import random

import pytest
from amaranth.hdl import signed
from amaranth.sim import Simulator

from golden.numbers import Block
from golden.stage import Exponent, Norm
from golden.stages.norm import aligned_epsilon
from hdl.epsilon import LATENCY, AlignEpsilon


@pytest.mark.parametrize("size", [1, 16, 24, 576])
def test_every_exponent(size):
    rng, form = random.Random(size), Block(16)
    template = Norm("norm", ("x",), "y", size, Exponent(1), Exponent(0), form, form)
    bits = template.square_bits
    dut = AlignEpsilon(15, signed(10), bits)
    work = [(rng.randrange(1 << 14, 1 << 15), shift) for shift in range(-80, 130)]
    work += [(0, 5), ((1 << 15) - 1, bits - 15), (1, bits - 1), (1, bits)]
    got = []

    async def bench(ctx):
        for mantissa, shift in [*work, *[(0, 0)] * LATENCY]:
            ctx.set(dut.mantissa, mantissa)
            ctx.set(dut.shift, shift)
            await ctx.tick()
            got.append(ctx.get(dut.epsilon))

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    want = []
    for mantissa, shift in work:
        stage = Norm("n", ("x",), "y", size, Exponent(mantissa), Exponent(shift), form, form)
        want.append(aligned_epsilon(stage, 0))
    assert got[LATENCY - 1 :][: len(want)] == want

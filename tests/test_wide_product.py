"""hdl/wide_product.py: exact products of factors wider than a DSP block's."""

import numpy as np
import pytest
from amaranth.hdl import Module, Signal, signed
from amaranth.sim import Simulator

from hdl import wide_product


@pytest.mark.parametrize("constant", [None, 0, 1, 1477])
@pytest.mark.parametrize("width", [2, 16, 25, 26, 31, 38, 49])
def test_products(width, constant):
    rng = np.random.default_rng(width)
    most = 1 << width - 1
    wide = [-most, most - 1, 0, *(int(x) for x in rng.integers(-most, most, 40))]
    narrow = [-(1 << 15), (1 << 15) - 1, -1, *(int(x) for x in rng.integers(-9999, 9999, 40))]
    m = Module()
    a, b = Signal(signed(width)), Signal(signed(16))
    product = wide_product.multiply(m, a, b if constant is None else constant, "x")
    seen = []

    async def run(ctx):
        for k in range(len(wide) + wide_product.LATENCY):
            ctx.set(a, wide[k % len(wide)])
            ctx.set(b, narrow[k % len(narrow)])
            if k >= wide_product.LATENCY:
                seen.append(ctx.get(product))
            await ctx.tick()

    sim = Simulator(m)
    sim.add_clock(1e-6)
    sim.add_testbench(run)
    sim.run()
    others = narrow if constant is None else [constant] * len(wide)
    assert seen == [x * y for x, y in zip(wide, others, strict=True)]

"""hdl/mac_share.py: who wins a cycle, and that every product comes back to who asked for it."""

import random

import pytest
from amaranth.hdl import Elaboratable, Module
from amaranth.lib import wiring
from amaranth.sim import Simulator

from hdl.mac import LATENCY, MultiplierArray, Multiply
from hdl.mac_share import share

BANKS = ((2, 3), (1,), (2, 1, 2))
"""Lanes of the users of every bank."""


class Shared(Elaboratable):
    """Users in banks on one port of an array that somebody else takes in some cycles."""

    def __init__(self):
        self.banks = [[Multiply(n).create() for n in bank] for bank in BANKS]
        lanes = sum(map(max, BANKS))
        self.array, self.port = MultiplierArray([1, lanes]), Multiply(lanes).create()

    def elaborate(self, platform):
        m = Module()
        m.submodules.array = self.array
        share(m, self.port, *self.banks)
        wiring.connect(m, self.port, self.array.user1)
        return m


@pytest.mark.parametrize("greed", [0.0, 0.5])
def test_products_come_back_to_the_first_that_asked(greed):
    dut, rng = Shared(), random.Random(greed)
    due: dict[int, list] = {}
    wins = [[0] * len(bank) for bank in BANKS]

    async def bench(ctx):
        for cycle in range(400):
            for user, products in due.pop(cycle, ()):
                assert [int(p) for p in ctx.get(user.p)] == products
            taken = rng.random() < greed
            ctx.set(dut.array.user0.valid, taken)
            for k, bank in enumerate(dut.banks):
                free = not taken
                for n, user in enumerate(bank):
                    a, b = ([rng.randrange(-(1 << 15), 1 << 15) for _ in user.a] for _ in range(2))
                    asks = rng.random() < 0.4
                    ctx.set(user.a, a)
                    ctx.set(user.b, b)
                    ctx.set(user.valid, asks)
                    if asks and free:
                        products = [x * y for x, y in zip(a, b, strict=True)]
                        due.setdefault(cycle + LATENCY, []).append((user, products))
                        wins[k][n] += 1
                    assert asks <= free or not ctx.get(user.ready)
                    free = free and not asks
            for bank in dut.banks:
                accepted = [u for u in bank if ctx.get(u.valid) and ctx.get(u.ready)]
                asking = [u for u in bank if ctx.get(u.valid)]
                assert accepted == ([] if taken else asking[:1])
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    assert min(map(min, wins)) > 10

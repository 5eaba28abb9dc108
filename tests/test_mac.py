"""hdl/mac.py: products, latency and priority."""

import random

import pytest
from amaranth.hdl import Fragment, signed
from amaranth.sim import Simulator

from golden.numbers import MANTISSA_BITS
from hdl import dsp
from hdl.mac import LATENCY, MultiplierArray

EXTREMES = [-32768, 32767, -1, 0, 1, 12345]


def simulate(users, greed, cycles=120, seed=1):
    """(user, lane) -> cycle, factors and product of what was accepted; and who was ready when."""
    dut = MultiplierArray(users)
    rng = random.Random(seed)
    sim = Simulator(dut)
    sim.add_clock(1e-6)
    due: dict[int, list] = {}
    grants = []

    async def run(ctx):
        for cycle in range(cycles + LATENCY):
            asks = [cycle < cycles and rng.random() < share for share in greed]
            for user, port in enumerate(dut.users):
                ctx.set(port.valid, int(asks[user]))
                for lane in range(users[user]):
                    ctx.set(port.a[lane], rng.choice([*EXTREMES, rng.randint(-32768, 32767)]))
                    ctx.set(port.b[lane], rng.choice([*EXTREMES, rng.randint(-32768, 32767)]))
            ready = [ctx.get(port.ready) for port in dut.users]
            winners = [k for k, ask in enumerate(asks) if ask and ready[k]]
            grants.append((asks, ready))
            for k in winners:
                port = dut.users[k]
                due[cycle + LATENCY] = [
                    (k, lane, ctx.get(port.a[lane]) * ctx.get(port.b[lane]))
                    for lane in range(users[k])
                ]
            for k, lane, product in due.pop(cycle, []):
                assert ctx.get(dut.users[k].p[lane]) == product, (cycle, k, lane)
            await ctx.tick()

    sim.add_testbench(run)
    sim.run()
    assert not due
    return grants


@pytest.mark.parametrize("users", [[1], [4], [4, 4], [8, 1], [1, 8, 4]])
def test_products_come_after_latency(users):
    simulate(users, [0.5] * len(users))
    simulate(users, [1.0] * len(users))


def test_the_first_that_asks_wins():
    for asks, ready in simulate([2, 2, 2], [0.4, 0.5, 0.9]):
        assert sum(a and r for a, r in zip(asks, ready, strict=True)) == any(asks)
        for k in range(3):
            assert ready[k] == (not any(asks[:k]))


def test_a_loser_gets_the_next_free_cycle():
    grants = simulate([2, 2], [0.5, 1.0])
    assert any(not ready[1] for _, ready in grants)
    assert all(ready[1] != asks[0] for asks, ready in grants)


@pytest.mark.parametrize("users", [[1], [4, 4], [1, 8, 4]])
def test_a_block_gets_signed_factors_whoever_uses_it(users, monkeypatch):
    """A wider block fills up what it has more of with the sign."""
    seen = []
    monkeypatch.setattr(dsp, "body", lambda _: lambda m, lane, a, b, output: seen.extend([a, b]))
    Fragment.get(MultiplierArray(users), None)
    assert len(seen) == 2 * max(users)
    assert all(factor.shape() == signed(MANTISSA_BITS) for factor in seen)


@pytest.mark.parametrize("a", EXTREMES)
def test_extreme_factors(a):
    dut = MultiplierArray([len(EXTREMES)])
    sim = Simulator(dut)
    sim.add_clock(1e-6)

    async def run(ctx):
        port = dut.users[0]
        for lane, b in enumerate(EXTREMES):
            ctx.set(port.a[lane], a)
            ctx.set(port.b[lane], b)
        ctx.set(port.valid, 1)
        await ctx.tick()
        for lane in range(len(EXTREMES)):
            ctx.set(port.a[lane], 0)
        await ctx.tick().repeat(LATENCY - 1)
        assert [ctx.get(p) for p in port.p] == [a * b for b in EXTREMES]
        await ctx.tick()
        assert [ctx.get(p) for p in port.p] == [0] * len(EXTREMES)

    sim.add_testbench(run)
    sim.run()

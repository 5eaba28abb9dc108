"""hdl/external/share.py: a memory for a core and a loader, in turn."""

import random

import pytest
from amaranth.sim import Simulator

from hdl.external.share import Share
from tests.played_memory import PlayedMemory

BEATS = 64


class User:
    """Writes and reads beats of its half of a memory, and knows what it must find.

    Commands and write data are offered apart, either one first.
    """

    def __init__(self, port, first, rng):
        self.port, self.first, self.rng = port, first, rng
        self.known, self.wanted, self.found = {}, [], []

    async def work(self, ctx, count):
        """So many commands, until all is answered."""
        commands, data = [], []
        for _ in range(count):
            address = self.first + self.rng.randrange(BEATS // 2)
            write = self.rng.random() < 0.5 or address not in self.known
            if write:
                self.known[address] = self.rng.getrandbits(16)
                data.append(self.known[address])
            else:
                self.wanted.append(self.known[address])
            commands.append({"address": address, "write": write})
        hold = [self.rng.choice([0, 0, 30]) for _ in range(2)]
        streams = [(self.port.command, commands), (self.port.wdata, data)]
        while commands or data or len(self.found) < len(self.wanted):
            for k, (stream, items) in enumerate(streams):
                hold[k] -= 1
                ctx.set(stream.valid, bool(items) and hold[k] < 0)
                if items:
                    ctx.set(stream.p, items[0])
            (command, items), (wdata, beats) = streams
            *_, asked, given, valid, beat = await ctx.tick().sample(
                command.valid & command.ready, wdata.valid & wdata.ready,
                self.port.rvalid, self.port.rdata,
            )  # fmt: skip
            if asked:
                items.pop(0)
            if given:
                beats.pop(0)
            if valid:
                self.found.append(beat)
        ctx.set(self.port.command.valid, 0)
        ctx.set(self.port.wdata.valid, 0)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("busy", [0.0, 0.6])
def test_each_gets_its_own_answers(busy, seed):
    dut, rng = Share(6, 16), random.Random(seed)
    core, loader = User(dut.core, 0, rng), User(dut.loader, BEATS // 2, rng)
    memory = PlayedMemory(dut.memory, BEATS, 16, busy=busy, latency=(1, 11), seed=seed)
    sim = Simulator(dut)
    sim.add_clock(1e-6)

    async def work(ctx):
        for _ in range(12):
            for _ in range(rng.randrange(40)):
                await ctx.tick()
            await core.work(ctx, rng.randint(1, 8))

    async def load(ctx):
        for _ in range(12):
            for _ in range(rng.randrange(60)):
                await ctx.tick()
            ctx.set(dut.busy, 1)
            await loader.work(ctx, rng.randint(1, 8))
            ctx.set(dut.busy, 0)

    async def stuck(ctx):
        for _ in range(20_000):
            await ctx.tick()
        raise AssertionError("somebody waits for good")

    sim.add_testbench(work)
    sim.add_testbench(load)
    sim.add_testbench(memory.run, background=True)
    sim.add_testbench(stuck, background=True)
    sim.run()
    for user in (core, loader):
        assert user.found == user.wanted
        for address, beat in user.known.items():
            assert memory.words[address] == beat


def test_the_core_waits_while_the_loader_has_the_memory():
    dut = Share(6, 16)
    sim = Simulator(dut)
    sim.add_clock(1e-6)

    async def check(ctx):
        ctx.set(dut.memory.command.ready, 1)
        ctx.set(dut.busy, 1)
        await ctx.tick()
        ctx.set(dut.core.command.valid, 1)
        await ctx.tick().repeat(3)
        assert not ctx.get(dut.core.command.ready)
        assert not ctx.get(dut.memory.command.valid)
        assert ctx.get(dut.loader.command.ready)
        ctx.set(dut.busy, 0)
        await ctx.tick()
        assert ctx.get(dut.core.command.ready)
        assert ctx.get(dut.memory.command.valid)

    sim.add_testbench(check)
    sim.run()

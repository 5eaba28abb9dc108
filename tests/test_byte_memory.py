"""hdl/byte_memory.py: what is written is read, by every reader."""

import random

from amaranth.sim import Simulator

from hdl.byte_memory import ByteMemory


def test_against_a_list():
    dut = ByteMemory(4, readers=2, init=[7, 8, 9])
    sim = Simulator(dut)
    sim.add_clock(1e-6)
    rng, content = random.Random(1), [7, 8, 9, *[0] * 13]

    async def play(ctx):
        for _ in range(300):
            address, value, write = rng.randrange(16), rng.randrange(256), rng.getrandbits(1)
            asked = [rng.choice([a for a in range(16) if a != address]) for _ in range(2)]
            ctx.set(dut.address, address)
            ctx.set(dut.data, value)
            ctx.set(dut.write, write)
            for port, place in zip(dut.reads, asked, strict=True):
                ctx.set(port, place)
            await ctx.tick()
            assert [ctx.get(answer) for answer in dut.answers] == [content[a] for a in asked]
            if write:
                content[address] = value

    sim.add_testbench(play)
    sim.run()

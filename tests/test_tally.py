"""hdl/tally.py against counters in Python."""

import random

from amaranth.sim import Simulator

from golden import protocol
from golden.protocol import Refusal, pack, unpack
from hdl import tally
from hdl.byte_memory import ByteMemory
from hdl.tally import EVENTS, ROUND, Tally

HELLO = bytes(range(1, 27))


class Bench:
    """Plays events and tokens, and reads the memory."""

    def __init__(self):
        self.dut = Tally(HELLO)
        self.sim = Simulator(self.dut)
        self.sim.add_clock(1e-6)

    def run(self, process):
        self.sim.add_testbench(process)
        self.sim.run()

    async def until(self, ctx, name):
        """Wait for a strobe; the cycles it took."""
        for cycle in range(3 * ROUND):
            *_, there = await ctx.tick().sample(getattr(self.dut, name))
            if there:
                return cycle + 1
        raise AssertionError(f"{name} never came")

    async def read(self, ctx, address, count):
        data = []
        for k in range(count):
            ctx.set(self.dut.address, address + k)
            await ctx.tick()
            data.append(ctx.get(self.dut.data))
        return bytes(data)

    async def counters(self, ctx):
        ctx.set(self.dut.copy, 1)
        await self.until(ctx, "copied")
        ctx.set(self.dut.copy, 0)
        content = await self.read(ctx, tally.SNAPSHOT, protocol.size(protocol.COUNTERS))
        return unpack(protocol.COUNTERS, content)

    async def tell(self, ctx, token):
        ctx.set(self.dut.token, token)
        ctx.set(self.dut.token_valid, 1)
        took = await self.until(ctx, "told")
        ctx.set(self.dut.token_valid, 0)
        content = await self.read(ctx, tally.TOKEN, protocol.size(protocol.TOKEN))
        assert content == pack(protocol.TOKEN, token)
        return took


FRESH = dict.fromkeys(protocol.COUNTERS, 0) | {"fewest_cycles": 0xFFFFFFFF}
del FRESH["cycles"]


def some_token(rng):
    cycles = rng.choice([rng.getrandbits(32), rng.getrandbits(16), 255, 256, 0xFFFFFFFF])
    position = rng.getrandbits(32)
    return {"cycles": cycles, "position": position, "token": rng.getrandbits(16), "last": 1}


def test_tokens():
    bench, rng = Bench(), random.Random(3)

    async def play(ctx):
        seen = []
        for _ in range(12):
            token = some_token(rng)
            assert await bench.tell(ctx, token) <= 2 * ROUND
            seen.append(token["cycles"])
            found = await bench.counters(ctx)
            cycles = found.pop("cycles")
            assert cycles % ROUND == 0
            assert found == FRESH | {
                "tokens": len(seen),
                "token_cycles": sum(seen),
                "fewest_cycles": min(seen),
                "most_cycles": max(seen),
                "last_cycles": seen[-1],
            }

    bench.run(play)


def test_events_and_cycles():
    bench, rng = Bench(), random.Random(4)

    async def play(ctx):
        counts = dict.fromkeys(EVENTS.members, 0)
        before = await bench.counters(ctx)
        before.pop("cycles")
        assert before == FRESH
        for _ in range(40):
            events = {name: rng.getrandbits(1) for name in counts}
            ctx.set(bench.dut.events, events)
            await ctx.tick()
            ctx.set(bench.dut.events, dict.fromkeys(counts, 0))
            await ctx.tick().repeat(ROUND + rng.randrange(40))
            counts = {name: counts[name] + events[name] for name in counts}
        after = await bench.counters(ctx)
        assert {name: after[name] for name in counts} == counts
        assert after["tokens"] == 0

    bench.run(play)


def test_cycles_are_those_of_the_clock():
    bench = Bench()

    async def play(ctx):
        cycle = 0

        async def snapshot():
            nonlocal cycle
            ctx.set(bench.dut.copy, 1)
            cycle += await bench.until(ctx, "copied")
            ctx.set(bench.dut.copy, 0)
            content = await bench.read(ctx, tally.SNAPSHOT, 8)
            cycle += 8
            return int.from_bytes(content, "little")

        for wait in (1, 1000, 70_000):
            counted = await snapshot()
            assert 0 <= cycle - counted <= 2 * ROUND
            await ctx.tick().repeat(wait)
            cycle += wait

    bench.run(play)


def test_a_copy_is_of_one_moment():
    """Without ``copy`` the snapshot stays, whatever is counted."""
    bench = Bench()

    async def play(ctx):
        first = await bench.counters(ctx)
        await bench.tell(ctx, some_token(random.Random(1)))
        await ctx.tick().repeat(2 * ROUND)
        content = await bench.read(ctx, tally.SNAPSHOT, protocol.size(protocol.COUNTERS))
        assert unpack(protocol.COUNTERS, content) == first
        assert (await bench.counters(ctx))["tokens"] == 1

    bench.run(play)


def test_constants():
    bench = Bench()

    async def play(ctx):
        assert await bench.read(ctx, tally.HELLO, len(HELLO)) == HELLO
        codes = await bench.read(ctx, tally.ERROR, max(Refusal) + 1)
        assert all(codes[refusal] == refusal for refusal in Refusal)

    bench.run(play)


def test_the_regions_do_not_overlap():
    counters, hello = protocol.size(protocol.COUNTERS), protocol.size(protocol.HELLO)
    assert tally.TOKEN + protocol.size(protocol.TOKEN) <= tally.SNAPSHOT
    assert tally.SNAPSHOT + counters <= tally.HELLO
    assert tally.HELLO + hello <= tally.ERROR
    assert tally.ERROR + max(Refusal) < 1 << tally.ADDRESS_BITS


def test_the_light_that_shows_life_changes_with_bit_24_of_the_cycles(monkeypatch):
    """Half of its period is 2**24 cycles; the counter is set to just before each change."""
    made = []

    def remembered(*arguments):
        made.append(ByteMemory(*arguments))
        return made[-1]

    monkeypatch.setattr(tally, "ByteMemory", remembered)
    bench = Bench()

    async def play(ctx):
        await ctx.tick().repeat(2 * ROUND)
        words, seen = made[0]._memory.data, []
        for k in range(4):
            before = (k << 24) - 2 * ROUND & 0xFFFFFFFF
            for byte, value in enumerate(before.to_bytes(4, "little")):
                ctx.set(words[tally.LIVE + byte], value)
            for _ in range(4):
                await ctx.tick().repeat(ROUND)
                seen.append(ctx.get(bench.dut.beat))
        assert seen == [1, 0, 0, 0, 0, 1, 1, 1] * 2

    bench.run(play)

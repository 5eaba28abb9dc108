"""hdl/uart.py: every byte, clocks that differ, glitches, missing stop bits and breaks."""

import gc
import random
import re

import pytest
from amaranth.sim import Simulator

from golden.errors import WeftError
from hdl.uart import FRAME_BITS, LEAST_CYCLES, Receiver, Transmitter, bit_cycles

PERIOD = 1e-6


def levels(byte, stop=1):
    return [0, *(byte >> k & 1 for k in range(8)), stop]


def received(cycles, line, settle=20):
    """(bytes, framing errors) for a line of (level, duration in cycles, any fraction)."""
    dut = Receiver(cycles)
    sim = Simulator(dut)
    sim.add_clock(PERIOD)
    seen, errors = [], []
    total = sum(duration for _, duration in line) + settle

    async def drive(ctx):
        for level, duration in line:
            ctx.set(dut.rx, level)
            await ctx.delay(duration * PERIOD)
        ctx.set(dut.rx, 1)

    async def watch(ctx):
        for _ in range(int(total)):
            *_, valid, byte, error = await ctx.tick().sample(
                dut.o.valid, dut.o.p, dut.framing_error
            )
            if valid:
                seen.append(byte)
            errors.extend([1] if error else [])

    sim.add_testbench(drive)
    sim.add_testbench(watch)
    sim.run()
    return seen, len(errors)


def frames(data, cycles, gap=0):
    wave = []
    for byte in data:
        wave += [(level, cycles) for level in levels(byte)]
        wave += [(1, gap)] if gap else []
    return wave


@pytest.mark.parametrize("cycles", [8, 13, 104])
def test_every_byte(cycles):
    data = list(range(256)) if cycles < 20 else [0, 0x55, 0xAA, 0xFF, 0x7E]
    assert received(cycles, [(1, 5), *frames(data, cycles)]) == (data, 0)


@pytest.mark.parametrize("skew", [0.98, 0.99, 1.01, 1.02])
@pytest.mark.parametrize("cycles", [8, 16, 104])
def test_a_clock_that_differs(cycles, skew):
    rng = random.Random(1)
    data = [0x00, 0xFF, 0x80, 0x01, *(rng.randrange(256) for _ in range(20))]
    assert received(cycles, [(1, 5.3), *frames(data, cycles * skew)]) == (data, 0)


def test_a_clock_that_differs_too_much_is_seen():
    data = [0x00] * 5
    seen, errors = received(16, [(1, 5), *frames(data, 16 * 1.15)])
    assert errors
    assert seen != data


def test_glitches():
    """A short pulse starts no byte; one inside a bit is outvoted."""
    quiet = [(1, 30), (0, 5), (1, 100), (0, 1), (1, 40)]
    assert received(16, quiet) == ([], 0)
    wave = [(1, 5)]
    for level in levels(0xA5):
        wave += [(level, 8), (1 - level, 1), (level, 7)]
    assert received(16, wave) == ([0xA5], 0)


def test_a_missing_stop_bit_and_a_break():
    bad = [(level, 16) for level in levels(0x12, stop=0)]
    good = [(1, 20), *frames([0x34], 16)]
    assert received(16, [(1, 5), *bad, *good]) == ([0x34], 1)
    assert received(16, [(1, 5), (0, 2000), *good]) == ([0x34], 1)  # a break is one error


def sent(cycles, data, pauses=()):
    """The bits at their middles, and the cycles in which bytes were taken."""
    dut = Transmitter(cycles)
    sim = Simulator(dut)
    sim.add_clock(PERIOD)
    line, taken = [], []

    async def drive(ctx):
        for k, byte in enumerate(data):
            ctx.set(dut.i.p, byte)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)
            if pauses:
                await ctx.tick().repeat(pauses[k])

    async def watch(ctx):
        for k in range((FRAME_BITS * cycles + 1) * len(data) + sum(pauses) + 5):
            *_, ready, valid, level = await ctx.tick().sample(dut.i.ready, dut.i.valid, dut.tx)
            line.append(level)
            taken.extend([k] if ready and valid else [])

    sim.add_testbench(drive)
    sim.add_testbench(watch)
    sim.run()
    return line, taken


@pytest.mark.parametrize("cycles", [8, 11])
def test_transmitter(cycles):
    data = [0x00, 0xFF, 0x7E, 0xA5]
    line, taken = sent(cycles, data)
    pace = FRAME_BITS * cycles + 1
    assert taken == [pace * k for k in range(len(data))]
    for start, byte in zip(taken, data, strict=True):
        bits = [line[start + 1 + k * cycles : start + 1 + (k + 1) * cycles] for k in range(10)]
        assert bits == [[level] * cycles for level in levels(byte)]
    assert line[-1] == 1


def test_transmitter_with_pauses():
    line, taken = sent(8, [1, 2], pauses=(200, 1))
    assert all(line[81 : taken[1]])  # high between bytes


def test_what_was_sent_is_received():
    data = random.Random(2).randbytes(30)
    line, _ = sent(9, data)
    assert received(9, [(level, 1) for level in line]) == (list(data), 0)


def test_bit_cycles():
    assert bit_cycles(12e6, 115_200) == 104
    assert bit_cycles(12e6, 1e6) == 12
    assert bit_cycles(100e6, 3e6) == 33
    for clock, baud, said in [
        (12e6, 1.1e6 * 8, "8,800,000 baud are too fast for a clock of 12,000,000 Hz; choose at"),
        (12e6, 1.15e6, "misses 1,150,000 baud by 4.2%; choose 1,200,000"),
        (12e6, 1e9, "too fast"),
    ]:
        with pytest.raises(WeftError, match=re.escape(said)):
            bit_cycles(clock, baud)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_too_few_cycles():
    with pytest.raises(ValueError, match="expected at least 8"):
        Receiver(LEAST_CYCLES - 1)
    gc.collect()

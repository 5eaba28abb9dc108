"""hdl/memory.py: contents, timing, names and errors."""

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Fragment
from amaranth.sim import Simulator
from amaranth_boards.arty_a7 import ArtyA7_35Platform

from hdl.memory import NARROW_DEPTH, Memories, verilog_name

WORDS = [7, 0, 255, 128, 1]


def read(rom, synchronous, addresses, platform=None):
    sim, seen = Simulator(Fragment.get(rom, platform)), []
    if synchronous:
        sim.add_clock(1e-6)

    async def run(ctx):
        for address in addresses:
            ctx.set(rom.addr, address)
            if synchronous:
                await ctx.tick()
            else:
                await ctx.delay(1e-7)
            seen.append(ctx.get(rom.data))
        if synchronous:  # the data stay while `en` is low
            ctx.set(rom.en, 0)
            ctx.set(rom.addr, addresses[0])
            await ctx.tick().repeat(2)
            assert ctx.get(rom.data) == seen[-1]
            ctx.set(rom.en, 1)
            assert ctx.get(rom.data) == seen[-1]
            await ctx.tick()
            assert ctx.get(rom.data) == seen[0]

    sim.add_testbench(run)
    sim.run()
    return seen


@pytest.mark.parametrize("wires", [False, True])
@pytest.mark.parametrize("synchronous", [False, True])
@pytest.mark.parametrize("depth", [5, 7])
def test_contents(synchronous, wires, depth):
    rom = Memories({"a.b": WORDS}, wires).rom("a.b", 8, depth, synchronous)
    assert read(rom, synchronous, list(range(depth))) == WORDS + [0] * (depth - 5)


@pytest.mark.parametrize("size", [NARROW_DEPTH - 1, NARROW_DEPTH + 1, NARROW_DEPTH + 2])
def test_narrow_words_share_a_place_where_narrow_block_rams_are_not_trusted(size):
    words = [(37 * k) % 256 for k in range(size)]
    rom = Memories({"a": words}).rom("a", 8, NARROW_DEPTH + 3)
    pairs = Fragment.get(rom, ArtyA7_35Platform())
    assert "width 16" in rtlil.convert(pairs, ports=[rom.addr, rom.en, rom.data])
    addresses = [*range(20, 40), 3, *range(NARROW_DEPTH - 5, NARROW_DEPTH + 3)]
    expected = [*words, 0, 0, 0, 0][: NARROW_DEPTH + 3]
    found = read(rom, True, addresses, ArtyA7_35Platform())
    assert found == [expected[k] for k in addresses]


@pytest.mark.parametrize("wires", [False, True])
def test_a_single_word_needs_no_address(wires):
    rom = Memories({"a": [9]}, wires).rom("a", 4, 1, synchronous=False)
    assert len(rom.addr) == 0
    assert "attribute \\src" in (text := rtlil.convert(rom, ports=[rom.addr, rom.en, rom.data]))
    assert ("$mem" in text) != wires


def test_without_an_image_the_words_come_later():
    memories = Memories()
    rom = memories.rom("unit.weights", 12, 5)
    parameters = memories.rom("unit.parameters", 3, 2, synchronous=False)
    assert memories.shapes == {"unit.weights": (12, 5), "unit.parameters": (3, 2)}
    assert read(rom, True, [0, 4]) == [0, 0]
    assert read(parameters, False, [0, 1]) == [0, 0]


def test_the_memory_has_its_name_in_verilog():
    assert verilog_name("linear.weights") == "weft_linear__weights"
    rom = Memories({"linear.weights": WORDS}).rom("linear.weights", 8, 5)
    text = rtlil.convert(rom, ports=[rom.addr, rom.en, rom.data])
    assert "weft_linear__weights" in text


def test_errors_name_the_memory():
    memories = Memories({"a": WORDS, "b": [1]})
    assert read(memories.rom("b", 8, 5), True, [0]) == [1]
    with pytest.raises(ValueError, match="called b"):
        memories.rom("b", 8, 5)
    with pytest.raises(ValueError, match="memory a: 5 words do not fit 4"):
        memories.rom("a", 8, 4)
    with pytest.raises(KeyError, match="c"):
        memories.rom("c", 8, 4)
    with pytest.raises(ValueError, match="constants"):
        Memories(wires=True)

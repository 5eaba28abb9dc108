"""What synthesis makes of units: every product a DSP block, every large memory a block RAM."""

import json

import pytest
from amaranth.hdl import Elaboratable, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from boards.__main__ import app
from boards.commands.count import array_multipliers, count_design, make_report
from boards.families import FAMILIES
from boards.synthesis import FABRIC, synthesise
from golden.cli import run
from hdl.mac import MultiplierArray
from hdl.memory import Memories
from sim.build import Target
from tests import models

XC7 = FAMILIES["xc7"]
LANES = 4
BUDGET = 80


class Parts(wiring.Component):
    """An array for two users, a wide memory, and a product that somebody forgot in the fabric."""

    x: In(signed(16))
    y: Out(signed(40))
    addr: In(6)
    data: Out(512)

    def elaborate(self, platform):
        m = Module()
        m.submodules.array = array = MultiplierArray([LANES, 2])
        words = [pow(3, 320 + k, 1 << 512) for k in range(55)]
        m.submodules.rom = rom = Memories({"rom": words}).rom("rom", 512, 55)
        user = array.users[0]
        stray = Signal(signed(8))
        m.d.comb += [user.valid.eq(1), rom.addr.eq(self.addr), self.data.eq(rom.data)]
        for k in range(LANES):
            m.d.comb += [user.a[k].eq(self.x + k), user.b[k].eq(self.x - k)]
        m.d.sync += stray.eq(self.x[:3] * self.x[3:5])
        m.d.comb += self.y.eq(sum(user.p[k] for k in range(LANES)) + stray)
        return m


@pytest.fixture(scope="module")
def parts():
    return {part.name: part for part in synthesise(Parts(), XC7, ["array", "rom"], processes=2)}


def test_every_multiplier_is_a_dsp_block_with_its_registers(parts):
    array = parts["array"]
    assert array.counts(XC7)["dsp"] == LANES == len(array.products)
    assert array.unregistered == 0
    assert array.counts(XC7)["ff"] == 0
    assert array.soft == []
    assert all("hdl/dsp.py:" in product.line for product in array.products)


def test_a_wide_shallow_memory_is_block_ram(parts):
    (memory,) = parts["rom"].memories
    assert (memory.width, memory.depth, memory.kind) == (512, 55, "block")
    counts = parts["rom"].counts(XC7)
    assert counts["bram"] >= 7
    assert counts["ff"] == 0


def test_a_product_in_logic_is_found(parts):
    (product,) = parts[FABRIC].soft
    assert "tests/test_synthesis.py:" in product.line
    assert {product.a, product.b} <= {2, 3, 4}
    assert not product.constant
    assert parts[FABRIC].counts(XC7)["dsp"] == 0


class Bare(Elaboratable):
    """A product without registers beside the block's own."""

    def __init__(self):
        self.a, self.b, self.p = Signal(signed(16)), Signal(signed(16)), Signal(signed(32))

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.p.eq(self.a * self.b)
        return m


class Unregistered(wiring.Component):
    a: In(signed(16))
    b: In(signed(16))
    p: Out(signed(32))

    def elaborate(self, platform):
        m = Module()
        m.submodules.bare = bare = Bare()
        m.d.comb += [bare.a.eq(self.a), bare.b.eq(self.b), self.p.eq(bare.p)]
        return m


def test_a_block_without_its_registers_is_reported():
    (part,) = synthesise(Unregistered(), XC7)
    assert part.counts(XC7)["dsp"] == 1
    assert part.unregistered == 1


def test_other_families_count_blocks_too():
    for name in ("ecp5", "ice40", "gowin"):
        family = FAMILIES[name]
        (part,) = synthesise(MultiplierArray([2]), family)
        assert part.counts(family)["dsp"] == 2, name


def test_unknown_family_is_refused(capsys):
    with pytest.raises(SystemExit) as end:
        run(app, "python -m boards", ["count", "--family", "abacus"])
    assert end.value.code == 2
    assert "expected one of xc7, ecp5, ice40, gowin" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("multipliers", [64, 8])
def test_core_needs_the_multipliers_of_its_schedule_and_no_more(multipliers, tmp_path):
    design = models.microgpt(multipliers=multipliers)
    found = count_design(design, XC7, processes=2)
    report = make_report(Target(multipliers=multipliers), design, XC7, found)
    total = report["total"]
    assert total["dsp"] == array_multipliers(design.schedule) == multipliers <= BUDGET
    assert report["unregistered_dsp"] == 0
    assert [p for part in found for p in part.soft] == []
    assert sum(part["dsp"] for part in report["parts"].values()) == total["dsp"]
    big = [m for part in found for m in part.memories if m.width * m.depth >= 1 << 14]
    assert big
    assert {memory.kind for memory in big} == {"block"}
    assert json.loads(json.dumps(report)) == report

"""A core with an external memory on a board: its project for Vivado, and its report."""

import json
import re

import pytest

from boards import build, gateware, vivado
from boards.alone import Alone
from boards.catalogue import BOARDS
from boards.commands import bitstream
from boards.dram.files import Files, check_clock
from boards.elaborate import elaborate
from boards.fit import Configuration
from boards.report import project_report
from golden.balancer import make_schedule
from golden.errors import OptionError, WeftError
from golden.quantize import Options, quantize
from hdl.build import memory_image
from sim.build import Design
from tests.llama import BASE, random_llama
from tests.test_dram import REGISTERS

FILES = Files("module litedram; endmodule\n", "", REGISTERS, [])
MHZ = 100
WAY = Configuration("external", 79)


@pytest.fixture(scope="module")
def design():
    checkpoint = random_llama(BASE, 0)
    plan = quantize(checkpoint, Options(scales="row"))
    schedule = make_schedule(plan, "external", port=128)
    return Design(checkpoint, plan, schedule, memory_image(plan, schedule))


@pytest.fixture
def order(design, monkeypatch):
    monkeypatch.setattr("boards.top.generate", {"arty": FILES}.get)
    board = BOARDS["arty-100"]
    return build.Order(board, gateware.key(design), gateware.soc(design), MHZ)


def test_the_project_has_the_memory_and_all_its_pins(order, tmp_path):
    vivado.write_project(order, tmp_path)
    assert (tmp_path / "litedram.v").read_text() == FILES.verilog
    assert "REF_PIN_NAME == PRE" in (tmp_path / "memory.xdc").read_text()
    tcl = (tmp_path / "top.tcl").read_text()
    assert 'add_files "litedram.v"' in tcl
    assert 'read_xdc "memory.xdc"' in tcl
    verilog, pins = ((tmp_path / name).read_text() for name in ("top.v", "top.xdc"))
    assert re.search(r"^  litedram \S+ \(", verilog, re.M)
    assert "RAMB" not in verilog
    for name, port, pin in (
        ("a", "a__io", "R2"), ("dq", "dq__io", "K5"), ("dqs_p", "dqs__p", "N2"),
        ("dqs_n", "dqs__n", "N1"), ("clk_p", "clk__p", "U9"), ("cke", "clk_en__io", "N5"),
    ):  # fmt: skip
        assert re.search(rf"\.ddram_{name}\(ddr3_0__{port}\)", verilog)
        assert re.search(rf'LOC {pin} \[get_ports "ddr3_0__{port}', pins)
    assert pins.count("SSTL135") == 48
    assert "INTERNAL_VREF 0.675 [get_iobanks 34]" in pins


def test_the_report_says_what_is_assumed(order, design, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WeftError, match="Vivado is not on PATH; the whole project is in"):
        bitstream.with_vivado(order, tmp_path, lambda: project_report(order, design, WAY))
    report = json.loads((tmp_path / "vivado/report.json").read_text())
    assert report["bitstream"] is None
    assert report["clock_source"] == "assumed"
    assert report["fmax_mhz"] is None
    assert report["schedule"] == "external"
    assert report["used"]["dsp"] > 0


def test_the_memory_has_one_clock():
    check_clock(100)
    with pytest.raises(OptionError, match="clock is 50; the memory beside the chip needs 100"):
        check_clock(50)


def test_a_core_alone_needs_no_memory(design):
    made = gateware.soc(design)
    rtlil, limits, others = elaborate(BOARDS["arty"], Alone(made(MHZ)), MHZ, "Vivado", "xdc")
    assert "ddr3" not in limits
    assert "litedram" not in rtlil
    assert not others

"""Projects for Vivado: complete without it, and read when it has run."""

import re

import pytest

from boards import build, vivado
from boards.catalogue import BOARDS
from boards.commands import bitstream
from golden.errors import OptionError, WeftError
from tests.small_gateware import SmallGateware

SUMMARY = """\
| Design Timing Summary
    WNS(ns)      TNS(ns)  TNS Failing Endpoints
    -------      -------  ---------------------
      {slack}        0.000                      0
"""


def order(board):
    return build.Order(BOARDS[board], "small", lambda mhz: SmallGateware(), BOARDS[board].clock_mhz)


COMMANDS = """\
add_files top.v
read_xdc top.xdc
synth_design -top top
opt_design
place_design
route_design
phys_opt_design
report_timing_summary -datasheet -max_paths 10 -file top_timing.rpt
write_bitstream -force -bin_file top.bit
""".splitlines()


def test_the_project_is_complete(tmp_path, monkeypatch):
    script = vivado.write_project(order("arty"), tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert {"build_top.sh", "top.tcl", "top.v", "top.xdc"} <= names
    assert "module top(" in (tmp_path / "top.v").read_text()
    tcl = (tmp_path / "top.tcl").read_text()
    assert [line.strip() for line in tcl.splitlines() if line.strip() in COMMANDS] == COMMANDS
    assert "report_utilization -file" in tcl
    assert "-part xc7a35ticsg324-1L" in tcl
    assert "vivado" in script.read_text()
    pins = (tmp_path / "top.xdc").read_text()
    assert "set_property LOC E3 [get_ports" in pins
    assert re.search(r"create_clock .*-period 10\.0 \[get_nets", pins)
    for port in re.findall(r"^    (?:input|output|inout) (\S+);", module(tmp_path), re.M):
        assert re.search(rf'LOC \w+ \[get_ports "{port}"\]', pins), port
        assert re.search(rf'IOSTANDARD "\w+" \[get_ports "{port}"\]', pins), port
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WeftError, match=f"`cd {tmp_path} && sh build_top.sh`"):
        vivado.run(script)


def module(folder):
    """The text of the top module."""
    return re.search(r"^module top\(.*?^endmodule", (folder / "top.v").read_text(), re.M | re.S)[0]


def fake_vivado(folder, monkeypatch, slack):
    """A program that leaves what Vivado leaves."""
    program = folder / "bin/vivado"
    program.parent.mkdir()
    (folder / "summary").write_text(SUMMARY.format(slack=slack))
    script = f"#!/bin/sh\ncp {folder}/summary top_timing.rpt\necho bits > top.bit\n"
    program.write_text(script)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/bin:/usr/bin")


def test_vivado_on_path_makes_the_bitstream(tmp_path, monkeypatch, capsys):
    fake_vivado(tmp_path, monkeypatch, "0.250")
    bitstream.with_vivado(order("arty"), tmp_path / "out")
    assert "102.6 MHz of 100 MHz" in capsys.readouterr().out
    assert (tmp_path / "out/top.bit").read_text() == "bits\n"


def test_the_last_good_bitstream_is_kept_when_vivado_does_not_close(tmp_path, monkeypatch):
    fake_vivado(tmp_path, monkeypatch, "-2.500")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/top.bit").write_text("good")
    with pytest.raises(WeftError, match=r"does not close on .* reaches 80.0 MHz of 100 MHz; give"):
        bitstream.with_vivado(order("arty"), tmp_path / "out")
    assert (tmp_path / "out/top.bit").read_text() == "good"


def test_vivado_does_not_know_other_chips(tmp_path):
    with pytest.raises(OptionError, match="is vivado, which does not know LFE5U-85F"):
        vivado.write_project(order("ulx3s"), tmp_path)


@pytest.mark.parametrize(("slack", "mhz"), [("0.000", 100), ("2.000", 125), ("-2.500", 80)])
def test_the_clock_that_vivado_reports(tmp_path, slack, mhz):
    (tmp_path / "top_timing.rpt").write_text(SUMMARY.format(slack=slack))
    assert vivado.fmax(tmp_path, 100) == pytest.approx(mhz)


def test_no_clock_that_vivado_reports(tmp_path):
    (tmp_path / "top_timing.rpt").write_text("nothing")
    with pytest.raises(WeftError, match="names no worst slack"):
        vivado.fmax(tmp_path, 100)

"""Projects for Vivado: complete without it, and read when it has run."""

import pytest

from boards import build, vivado
from boards.catalogue import BOARDS
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


def test_the_project_is_complete(tmp_path, monkeypatch):
    script = vivado.write_project(order("arty"), tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert {"build_top.sh", "top.tcl", "top.v", "top.xdc"} <= names
    assert "module top(" in (tmp_path / "top.v").read_text()
    assert "add_files top.v" in (tmp_path / "top.tcl").read_text()
    assert "set_property LOC E3" in (tmp_path / "top.xdc").read_text()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WeftError, match=f"`cd {tmp_path} && sh build_top.sh`"):
        vivado.run(script)


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

import errno
import os
import re
import stat
import subprocess
import textwrap
from contextlib import contextmanager

import cocotb_tools.runner
import pytest
import pywellen

from golden.errors import WeftError
from sim import doctor, tools
from sim.setup import main as setup

COUNTER = """`timescale 1ns/1ps
module counter(input clk, input reset, output reg [7:0] count);
  always @(posedge clk) count <= reset ? 0 : count + 1;
endmodule
"""

BENCH = """
import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

@cocotb.test()
async def counts(dut):
    Clock(dut.clk, 10, "ns").start()
    dut.reset.value = 1
    await ClockCycles(dut.clk, 2)
    dut.reset.value = 0
    await ClockCycles(dut.clk, 21)
    assert dut.count.value.to_unsigned() == 20
"""

HARNESS = """
#include "Vcounter.h"
#include "verilated_fst_c.h"
int main() {
  Verilated::traceEverOn(true);
  Vcounter top;
  VerilatedFstC trace;
  top.trace(&trace, 9);
  trace.open("counter.fst");
  for (int time = 0; time < 50; ++time) {
    top.reset = time < 4;
    top.clk = time & 1;
    top.eval();
    trace.dump(time);
  }
  trace.close();
  return top.count != 23;
}
"""


@pytest.fixture
def empty_path(monkeypatch, tmp_path):
    """A machine on which nothing is installed, neither in the system nor by the set-up."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("WEFT_CACHE", str(tmp_path / "tools"))
    monkeypatch.setattr(tools, "_verilator_folder", lambda: None)
    monkeypatch.setattr(tools.sys, "executable", str(tmp_path / "bin/python"))
    monkeypatch.delenv("CXX", raising=False)
    (tmp_path / "bin").mkdir()
    return tmp_path / "bin"


def program(folder, name, says):
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_finds_all_tools():
    for locate in (tools.verilator, tools.iverilog, tools.vvp, tools.cxx):
        assert os.access(locate(), os.X_OK)


@pytest.mark.parametrize(
    ("locate", "remedy"),
    [
        (tools.verilator, "make setup"),
        (tools.iverilog, "make setup"),
        (tools.vvp, "make setup"),
        (tools.cxx, "apt-get install g"),
    ],
)
def test_missing_tool_says_how_to_get_it(empty_path, locate, remedy):
    with pytest.raises(WeftError, match=remedy):
        locate()


@pytest.mark.parametrize(
    ("name", "says", "locate"),
    [
        ("verilator", "Verilator 5.006 2023-01-22 rev (Debian 5.006-3)", tools.verilator),
        ("iverilog", "Icarus Verilog version 10.3 (stable) ()", tools.iverilog),
    ],
)
def test_old_tool_is_refused(empty_path, name, says, locate):
    program(empty_path, name, says)
    with pytest.raises(WeftError, match=r"or newer is needed and .* is version"):
        locate()


@pytest.mark.parametrize(
    ("name", "says", "version"),
    [
        ("verilator", "Verilator 5.052 2026-10-01 rev v5.052", "5.052"),
        ("iverilog", "Icarus Verilog version 12.0 (stable) ()", "12.0"),
        ("g++", "g++ (Debian 12.2.0-14+deb12u1) 12.2.0", "12.2.0"),
        ("clang++", "Debian clang version 14.0.6", "14.0.6"),
        ("make", "GNU Make 4.3", "4.3"),
    ],
)
def test_version_of(empty_path, name, says, version):
    assert tools.version_of(program(empty_path, name, says)) == version


def test_broken_tool_is_refused(empty_path):
    broken = program(empty_path, "verilator", "")
    broken.write_text("#!/bin/sh\nexit 2\n")
    with pytest.raises(WeftError, match="does not run"):
        tools.verilator()


def test_cxx_follows_the_environment(empty_path, monkeypatch):
    wanted = program(empty_path, "my-c++", "my-c++ 1.2")
    monkeypatch.setenv("CXX", "my-c++")
    assert tools.cxx() == wanted


def test_versions_leave_out_what_is_missing(empty_path):
    assert not {"verilator", "icarus", "cxx"} & tools.versions().keys()


def test_versions_name_the_tools():
    assert {"python", "amaranth", "numpy", "verilator", "icarus", "cxx"} <= tools.versions().keys()


def test_environment_hides_an_outer_make(monkeypatch):
    monkeypatch.setenv("MAKEFLAGS", "-j -- TRACE=fst")
    assert not set(tools.OF_MAKE) & tools.environment().keys()


def test_doctor_reports_what_is_missing(empty_path, capsys):
    assert doctor.main() == 1
    report = capsys.readouterr().out
    assert "make setup    # Verilator, Icarus Verilog" in report
    assert "sudo apt-get install g++" in report


@contextmanager
def as_nobody():
    """Root may read everything: without its rights, permissions count in this process too."""
    user = os.getuid()
    if user == 0:
        os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(user, user, user)


@pytest.fixture
def locked(tmp_path, monkeypatch):
    """A tools folder that cannot be read."""
    folder = tmp_path / "locked"
    (folder / "tools").mkdir(parents=True)
    monkeypatch.setenv("WEFT_CACHE", str(folder / "tools"))
    folder.chmod(0)
    yield folder / "tools"
    folder.chmod(0o700)


def test_doctor_tells_of_a_folder_that_cannot_be_read(locked, capsys, monkeypatch):
    with as_nobody():
        findings = {each.name: each for each in doctor.examine()}
    for name in ("Verilator", "Icarus Verilog", "C++ compiler", "FST waveforms"):
        assert re.fullmatch(f"cannot read {locked}.*: Permission denied", findings[name].where)
        assert "WEFT_CACHE" in findings[name].remedy
    monkeypatch.setattr(doctor, "examine", lambda: list(findings.values()))
    assert doctor.main() == 1
    assert "readable, or name another folder" in capsys.readouterr().out


def test_the_setup_says_whether_it_could_not_read_or_not_write(locked):
    def denied(path):
        return setup.denied(PermissionError(errno.EACCES, "Permission denied", str(path)))

    with as_nobody():
        assert [denied(path) for path in (locked / "a/b", locked, locked.parent)] == ["read"] * 3
        assert [denied(path) for path in ("/proc/x/y", "/proc/version")] == ["write"] * 2
    assert setup.denied(OSError(errno.ENOSPC, "No space left on device")) == "write"


def test_doctor_is_content(capsys):
    assert doctor.main() == 0, capsys.readouterr().out


@pytest.mark.parametrize("engine", ["icarus", "verilator"])
def test_cocotb_bench_passes_on(engine, tmp_path, monkeypatch):
    (tmp_path / "counter.v").write_text(COUNTER)
    (tmp_path / "bench.py").write_text(BENCH)
    for name, value in tools.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    runner = cocotb_tools.runner.get_runner(engine)
    build = tmp_path / "build"
    runner.build(sources=[tmp_path / "counter.v"], hdl_toplevel="counter", build_dir=build)
    results = runner.test(
        test_module="bench", hdl_toplevel="counter", build_dir=build, test_dir=tmp_path
    )
    assert cocotb_tools.runner.get_results(results) == (1, 0)


def test_verilator_writes_fst(tmp_path):
    (tmp_path / "counter.v").write_text(COUNTER)
    (tmp_path / "main.cpp").write_text(textwrap.dedent(HARNESS))
    command = ["--cc", "--exe", "--build", "--trace-fst", "counter.v", "main.cpp"]
    env = tools.environment()
    subprocess.run([tools.verilator(), *command], cwd=tmp_path, env=env, check=True)
    subprocess.run([tmp_path / "obj_dir/Vcounter"], cwd=tmp_path, env=env, check=True)
    wave = pywellen.Waveform(str(tmp_path / "counter.fst"))
    (count,) = [var for var in wave.all_vars() if var.full_name.endswith("counter.count")]
    assert count.signal.value_at(49) == 23

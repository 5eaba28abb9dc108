"""boards/dram against LiteDRAM's controller and model of the chip, behind imitated lanes."""

import re
import subprocess
import sys

import pytest
from amaranth.hdl import ClockSignal, Const, Instance, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from boards.dram import files
from boards.dram.memory import INPUTS, OUTPUTS
from boards.dram.ready import Ready
from sim import tools
from sim.engines import process
from sim.engines.verilator import compile_with_runtime
from sim.engines.verilog import HIERARCHICAL, RUN_YOSYS, convert
from sim.setup.paths import ROOT

MAIN = ROOT / "tests/dram_main.cpp"
ADDRESS_BITS = 20


class Bench(wiring.Component):
    """A memory port, with LiteDRAM behind it."""

    def __init__(self, made):
        self._files = made
        super().__init__(
            {
                **{name: In(1) for name in ("cmd_valid", "cmd_write", "wdata_valid")},
                "cmd_address": In(ADDRESS_BITS),
                "wdata": In(files.PORT),
                **{name: Out(1) for name in ("cmd_ready", "wdata_ready", "rdata_valid")},
                "rdata": Out(files.PORT),
                "ready": Out(1),
                "failed": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.gate = gate = Ready(self._files, ADDRESS_BITS)
        port, native = gate.port, gate.native
        m.d.comb += [
            port.command.valid.eq(self.cmd_valid),
            port.command.p.write.eq(self.cmd_write),
            port.command.p.address.eq(self.cmd_address),
            self.cmd_ready.eq(port.command.ready),
            port.wdata.valid.eq(self.wdata_valid),
            port.wdata.p.eq(self.wdata),
            self.wdata_ready.eq(port.wdata.ready),
            self.rdata.eq(port.rdata),
            self.rdata_valid.eq(port.rvalid),
            self.ready.eq(gate.ready),
            self.failed.eq(gate.failed),
        ]
        m.submodules.litedram = Instance(
            "litedram",
            i_clk=ClockSignal(),
            **{f"i_{name}": getattr(gate, name) for name in ("csr_adr", "csr_we", "csr_dat_w")},
            **{f"i_{name}": getattr(native, name) for name in INPUTS},
            **{f"o_{name}": getattr(native, name) for name in OUTPUTS},
            i_wdata_we=Const(-1, files.PORT // 8),
            i_rdata_ready=Const(1, 1),
        )
        return m


@pytest.mark.slow
def test_a_memory_becomes_ready_and_keeps_what_is_written(tmp_path):
    made = files.generate("arty")
    (tmp_path / "top.il").write_text(convert(Bench(made), "top"))
    (tmp_path / "top.ys").write_text("\n".join(("read_rtlil top.il", *HIERARCHICAL)) + "\n")
    process.execute([sys.executable, "-c", RUN_YOSYS, "script top.ys"], tmp_path, "Yosys")
    (tmp_path / "imitation.v").write_text(made.imitation)
    command = [
        tools.verilator(),
        "--cc",
        "--exe",
        "-Wno-lint",
        "-Wno-COMBDLY",
        "-Wno-TIMESCALEMOD",
        "-O3",
    ]
    command += ["--top-module", "top", "--prefix", "Vtop", "-Mdir", "obj", "-o", "bench"]
    process.execute([*command, "top.v", "imitation.v", MAIN], tmp_path, "Verilator")
    compile_with_runtime(tmp_path / "obj", tmp_path / "runtime")
    said = subprocess.run([tmp_path / "obj/bench"], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout
    assert int(re.search(r"^right (\d+)$", said.stdout, re.M)[1]) > 2000
    assert int(re.search(r"^ready (\d+)$", said.stdout, re.M)[1]) < 1_000_000

"""Writes LiteDRAM's controller and its model of a memory chip as Verilog; runs with its packages.

``python generate.py <memory> <folder>`` writes into the folder

* ``litedram.v``: controller, crossbar with one native port, and the chip behind a simulated PHY;
* ``shape.h``: banks, rows, beats of a row;
* ``public.vlt``: lets Verilator show the contents of the chip;
* ``timing.toml``: the parameters of the fast model, derived from the controller's settings.
"""

import math
import sys
from pathlib import Path

from litedram import modules
from litedram.common import PhySettings
from litedram.core.controller import ControllerSettings, LiteDRAMController
from litedram.core.crossbar import LiteDRAMCrossbar
from litedram.phy.model import SDRAMPHYModel, get_sdram_phy_settings
from litex.gen.fhdl.verilog import convert
from migen import ClockDomain, Module, Signal


def arty() -> tuple:
    """DDR3 of an Arty A7: clock in Hz, chip, PHY."""
    clock = 100e6
    chip = modules.MT41K128M16(clock, "1:4")
    return clock, chip, get_sdram_phy_settings("DDR3", 16, clock)


def ulx3s() -> tuple:
    """SDR SDRAM of a ULX3S: clock in Hz, chip, and what LiteDRAM's half-rate PHY says of itself."""
    clock, latency = 50e6, 2
    half = PhySettings(
        phytype="HalfRateGENSDRPHY",
        memtype="SDR",
        databits=16,
        dfi_databits=16,
        nphases=2,
        rdphase=0,
        wrphase=0,
        cl=latency,
        read_latency=(latency + 1) // 2 + 1,
        write_latency=0,
    )
    return clock, modules.MT48LC16M16(clock, "1:2"), half


MEMORIES = {"arty": arty, "ulx3s": ulx3s}


class Top(Module):
    """A controller with one port, and a chip; see the ports of LiteDRAM's native port."""

    def __init__(self, clock, chip, phy):
        self.clock_domains.cd_sys = ClockDomain(reset_less=True)
        self.submodules.phy = SDRAMPHYModel(chip, phy, clk_freq=clock)
        geometry, timing = chip.geom_settings, chip.timing_settings
        self.settings = ControllerSettings()
        self.submodules.controller = controller = LiteDRAMController(
            phy, geometry, timing, clock, self.settings
        )
        self.comb += controller.dfi.connect(self.phy.dfi)
        self.submodules.crossbar = LiteDRAMCrossbar(controller.interface)
        port = self.crossbar.get_port()
        self.beat_bytes = port.data_width // 8
        self.ios = set()
        self._input("clk", self.cd_sys.clk)
        self._input("cmd_valid", port.cmd.valid)
        self._input("cmd_we", port.cmd.we)
        self._input("cmd_addr", port.cmd.addr)
        self._output("cmd_ready", port.cmd.ready)
        self._input("wdata_valid", port.wdata.valid)
        self._input("wdata_we", port.wdata.we)
        self._input("wdata_data", port.wdata.data)
        self._output("wdata_ready", port.wdata.ready)
        self._input("rdata_ready", port.rdata.ready)
        self._output("rdata_valid", port.rdata.valid)
        self._output("rdata_data", port.rdata.data)

    def _input(self, name, signal):
        outside = Signal(len(signal), name=name)
        self.ios.add(outside)
        self.comb += signal.eq(outside)

    def _output(self, name, signal):
        outside = Signal(len(signal), name=name)
        self.ios.add(outside)
        self.comb += outside.eq(signal)


def shape(top: Top) -> dict[str, int]:
    """How the chip's contents are cut, in beats of the port."""
    geometry, phy = top.settings.geom, top.settings.phy
    beats = (phy.databits // 8 << geometry.colbits) // top.beat_bytes
    return {"row_beats": beats, "banks": 1 << geometry.bankbits, "rows": 1 << geometry.rowbits}


def timing(top: Top, clock: float) -> dict[str, int]:
    """The fast model's parameters, in cycles; what they mean is said in ``timing.h``."""
    phy, chip = top.settings.phy, top.settings.timing
    written = math.ceil(phy.cwl / phy.nphases) + chip.tCCD  # a write's data is in the chip
    return {
        "clock_mhz": round(clock / 1e6),
        "beat_bytes": top.beat_bytes,
        **shape(top),
        "queue": top.settings.cmd_buffer_depth,
        "read_latency": phy.read_latency + 1,
        "write_latency": phy.write_latency + 1,
        "precharge": chip.tRP,
        "activate": chip.tRCD,
        "row_open": chip.tRAS,
        "row_cycle": chip.tRC,
        "write_to_precharge": written + chip.tWR,
        "write_to_read": written + chip.tWTR,
        "read_to_write": phy.read_latency,
        "refresh_interval": chip.tREFI,
        "refresh": chip.tRP + chip.tRFC + 1,
    }


def main(memory: str, folder: Path) -> None:
    """Write the files."""
    clock, chip, phy = MEMORIES[memory]()
    top = Top(clock, chip, phy)
    sizes = (f"constexpr unsigned {name.upper()} = {n};\n" for name, n in shape(top).items())
    text = "".join(f"{name} = {number}\n" for name, number in timing(top, clock).items())
    (folder / "shape.h").write_text(f"namespace shape {{\n{''.join(sizes)}}}\n")
    banks = ["mem", *(f"mem_{k}" for k in range(1, shape(top)["banks"]))]
    shown = (f'public_flat_rw -module "litedram" -var "{name}"\n' for name in banks)
    (folder / "public.vlt").write_text("`verilator_config\n" + "".join(shown))
    (folder / "timing.toml").write_text(text)
    convert(top, top.ios, name="litedram").write(str(folder / "litedram.v"))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

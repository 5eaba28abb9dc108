"""Writes LiteDRAM's controller with the PHY of a board's chip as Verilog; runs with its packages.

``python generate.py <memory> <folder>`` writes into the folder

* ``litedram.v``: clocks, PHY, controller, and a crossbar with one native port;
* ``imitation.v``: the same with LiteDRAM's model of the chip in the place of pins and clocks, and
  lanes that garble unless the registers of the PHY are set as ``LANES`` says;
* ``litedram.json``: addresses of its registers, and the commands that make the chip ready.

Its registers are on a bus of LiteX (litex.soc.interconnect.csr_bus) that is a port of the module.
"""

import json
import sys
from pathlib import Path

from litedram import modules
from litedram.core.controller import ControllerSettings, LiteDRAMController
from litedram.core.crossbar import LiteDRAMCrossbar
from litedram.dfii import DFIInjector
from litedram.init import get_sdram_phy_init_sequence
from litedram.phy import A7DDRPHY
from litedram.phy.model import SDRAMPHYModel, get_sdram_phy_settings
from litex.build.xilinx.common import xilinx_s7_special_overrides, xilinx_special_overrides
from litex.gen.fhdl.verilog import convert
from litex.soc.cores.clock import S7IDELAYCTRL, S7PLL
from litex.soc.interconnect.csr_bus import CSRBank, Interface
from migen import Cat, ClockDomain, If, Module, Record, Replicate, Signal

CLOCK = 100e6
"""Of the pin, and of the controller."""

PADS = {
    "a": 14, "ba": 3, "ras_n": 1, "cas_n": 1, "we_n": 1, "cs_n": 1, "dm": 2, "dq": 16, "dqs_p": 2,
    "dqs_n": 2, "clk_p": 1, "clk_n": 1, "cke": 1, "odt": 1, "reset_n": 1,
}  # fmt: skip

DFII = {"CS": 1, "WE": 2, "CAS": 4, "RAS": 8}
CONTROL = {"CKE": 2, "ODT": 4, "RESET_N": 8}
"""Bits of the registers dfii_pi0_command and dfii_control, as in litedram.dfii."""


class Clocks(Module):
    """The domains of the PHY, made of the pin's clock; a Series 7 -1 has its VCO at 1,600 MHz."""

    def __init__(self):
        self.clk, self.rst = Signal(), Signal()
        self.submodules.pll = pll = S7PLL(speedgrade=-1)
        self.comb += pll.reset.eq(self.rst)
        pll.register_clkin(self.clk, CLOCK)
        for name, rate, phase in (
            ("sys", 1, 0), ("sys4x", 4, 0), ("sys4x_dqs", 4, 90), ("idelay", 2, 0),
        ):  # fmt: skip
            fast = name.startswith("sys4x")
            domain = ClockDomain(name, reset_less=fast)
            setattr(self.clock_domains, f"cd_{name}", domain)
            pll.create_clkout(domain, rate * CLOCK, phase=phase, with_reset=not fast)
        self.submodules.delays = S7IDELAYCTRL(self.cd_idelay)


LANES = ((2, 5, range(9, 20)), (4, 1, range(25, 32)))
"""Of the imitation: slips of the written and of the read bits, and delays, with which it works."""


class Lane(Module):
    """What the registers of a PHY do to 8 wires."""

    def __init__(self, phy, number, works):
        slip_out, slip_in, delay = works
        out, slip, taps = Signal(3), Signal(3), Signal(5)
        mine = phy._dly_sel.storage[number]
        for place, reset, step in (
            (out, phy._wdly_dq_bitslip_rst, phy._wdly_dq_bitslip),
            (slip, phy._rdly_dq_bitslip_rst, phy._rdly_dq_bitslip),
            (taps, phy._rdly_dq_rst, phy._rdly_dq_inc),
        ):
            self.sync += [
                If(mine & reset.re, place.eq(0)),
                If(mine & step.re, place.eq(place + 1)),
            ]
        self.written, self.read = Signal(8), Signal(8)  # what the bits are garbled with
        there = (slip == slip_in) & (taps >= delay.start) & (taps < delay.stop)
        self.comb += [
            If(out != slip_out, self.written.eq(0x21)),
            If(~there, self.read.eq(0x80)),
        ]


class Top(Module):
    """A controller with one port; see the ports of LiteDRAM's native port."""

    def __init__(self, imitate: bool = False):
        self.ios = set()
        pads = Record(list(PADS.items()), name="ddram")
        chip = modules.MT41K128M16(CLOCK, "1:4")
        phy = A7DDRPHY(pads, memtype="DDR3", nphases=4, sys_clk_freq=CLOCK)
        settings = get_sdram_phy_settings("DDR3", 16, CLOCK) if imitate else phy.settings
        self.settings, self.timing = phy.settings, chip.timing_settings
        self.submodules.dfii = dfii = DFIInjector(
            addressbits=len(pads.a), bankbits=len(pads.ba), nranks=1,
            databits=settings.dfi_databits, nphases=settings.nphases,
        )  # fmt: skip
        self.submodules.controller = controller = LiteDRAMController(
            settings, chip.geom_settings, chip.timing_settings, CLOCK, ControllerSettings()
        )
        self.comb += controller.dfi.connect(dfii.slave)
        if imitate:
            self._imitate(phy, dfii, chip, settings)
        else:
            self._clocks()
            self.ios |= set(pads.flatten())
            self.submodules.phy = phy
            self.comb += dfii.master.connect(phy.dfi)
        self.submodules.crossbar = LiteDRAMCrossbar(controller.interface)
        self._registers(phy, dfii)
        self._port(self.crossbar.get_port())

    def _clocks(self):
        self.submodules.clocks = clocks = Clocks()
        self._outside("clk", clocks.clk)
        self._outside("rst", clocks.rst)
        self._outside("sys_clk", clocks.cd_sys.clk, out=True)
        self._outside("sys_rst", clocks.cd_sys.rst, out=True)

    def _imitate(self, phy, dfii, chip, settings):
        """The model of the chip, behind lanes that listen to the registers of the true PHY."""
        self.clock_domains.cd_sys = ClockDomain(reset_less=True)
        self._outside("clk", self.cd_sys.clk)
        self.submodules.phy = model = SDRAMPHYModel(chip, settings, clk_freq=CLOCK)
        self.comb += dfii.master.connect(model.dfi, omit={"wrdata", "rddata"})
        lanes = [Lane(phy, k, works) for k, works in enumerate(LANES)]
        self.submodules += lanes
        for near, far in zip(dfii.master.phases, model.dfi.phases, strict=True):
            times = len(near.wrdata) // (8 * len(lanes))
            self.comb += [
                far.wrdata.eq(near.wrdata ^ Replicate(Cat(*(x.written for x in lanes)), times)),
                near.rddata.eq(far.rddata ^ Replicate(Cat(*(x.read for x in lanes)), times)),
            ]

    def _registers(self, phy, dfii):
        """All registers on one bus; ``registers``: name -> address."""
        named = [(f"phy{c.name}", c) for c in phy.get_csrs()]
        named += [(f"dfii_{c.name.lstrip('_')}", c) for c in dfii.get_csrs()]
        bus = Interface(data_width=32)
        bank = CSRBank([c for _, c in named], bus=bus)
        self.submodules.bank = bank
        self.registers = {c.name.lstrip("_"): k for k, c in enumerate(bank.simple_csrs)}
        for name in ("adr", "we", "dat_w"):
            self._outside(f"csr_{name}", getattr(bus, name))

    def _port(self, port):
        for name, signal in (
            ("cmd_valid", port.cmd.valid), ("cmd_we", port.cmd.we), ("cmd_addr", port.cmd.addr),
            ("wdata_valid", port.wdata.valid), ("wdata_we", port.wdata.we),
            ("wdata_data", port.wdata.data), ("rdata_ready", port.rdata.ready),
        ):  # fmt: skip
            self._outside(name, signal)
        for name, signal in (
            ("cmd_ready", port.cmd.ready), ("wdata_ready", port.wdata.ready),
            ("rdata_valid", port.rdata.valid), ("rdata_data", port.rdata.data),
        ):  # fmt: skip
            self._outside(name, signal, out=True)

    def _outside(self, name, signal, out=False):
        outside = Signal(len(signal), name=name)
        self.ios.add(outside)
        self.comb += outside.eq(signal) if out else signal.eq(outside)


def bits(names: str, known: dict[str, int]) -> int:
    """The bits of "DFII_COMMAND_WE|DFII_COMMAND_CS"."""
    parts = (part.removeprefix("DFII_COMMAND_") for part in names.split("|"))
    return sum(known[part.removeprefix("DFII_CONTROL_")] for part in parts)


def sequence(top: Top) -> list[dict]:
    """LiteDRAM's commands: a control, or a command with its address; and cycles to wait then."""
    commands, _ = get_sdram_phy_init_sequence(top.settings, top.timing)
    found = []
    for _, address, bank, names, wait in commands:
        kind, known = ("control", CONTROL) if "CONTROL" in names else ("command", DFII)
        step = {kind: bits(names, known), "address": address, "bank": bank, "wait": wait}
        found.append(step)
    return found


def main(memory: str, folder: Path) -> None:
    """Write the files."""
    if memory != "arty":
        raise SystemExit(f"no PHY is known for the memory of {memory}")
    top = Top()
    overrides = xilinx_special_overrides | xilinx_s7_special_overrides
    convert(top, top.ios, name="litedram", special_overrides=overrides).write(
        str(folder / "litedram.v")
    )
    imitation = Top(imitate=True)
    assert imitation.registers == top.registers
    convert(imitation, imitation.ios, name="litedram").write(str(folder / "imitation.v"))
    told = {"registers": top.registers, "sequence": sequence(top)}
    (folder / "litedram.json").write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

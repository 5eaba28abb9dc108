"""The memory of a board with its controller, its pins, and the clock that it gives the gateware."""

from __future__ import annotations

from amaranth.hdl import Const, Instance, Module
from amaranth.lib import io, wiring
from amaranth.lib.wiring import In, Out

from boards.dram.files import PORT, Files
from boards.dram.ready import Ready
from hdl.external.port import MemoryPort

CONSTRAINTS = """\
# Resets of LiteDRAM's clock domains are synchronised; nothing waits for their asynchronous ends.
set_false_path -quiet -to [get_pins -quiet -filter {REF_PIN_NAME == PRE} \
-of_objects [get_cells -quiet -hierarchical -filter {REF_NAME == FDPE}]]
"""
"""Beside those of amaranth-boards, which has pins, terminations and the reference voltage."""


class BoardMemory(wiring.Component):
    """LiteDRAM behind a memory port (boards.dram.ready).

    In the domain ``sync``, of which ``clock`` and ``reset`` must become the clock and the reset.

    Members
    -------
    port: of the memory.  clock, reset: of 100 MHz.  button: resets all.
    failed: the memory does not work.
    """

    def __init__(self, files: Files, address_bits: int):
        self._files = files
        super().__init__(
            {
                "port": In(MemoryPort(address_bits, PORT)),
                "button": In(1),
                "clock": Out(1),
                "reset": Out(1),
                "failed": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.ready = ready = Ready(self._files, len(self.port.command.p.address))
        wiring.connect(m, wiring.flipped(self.port), ready.port)
        pin = platform.request(platform.default_clk, 0, dir="-")
        m.submodules.pin = clock = io.Buffer("i", pin)
        platform.add_file("litedram.v", self._files.verilog)
        platform.add_file("memory.xdc", CONSTRAINTS)
        native = ready.native
        m.d.comb += self.failed.eq(ready.failed)
        m.submodules.litedram = Instance(
            "litedram",
            i_clk=clock.i,
            i_rst=self.button,
            o_sys_clk=self.clock,
            o_sys_rst=self.reset,
            **{f"i_{name}": getattr(ready, name) for name in ("csr_adr", "csr_we", "csr_dat_w")},
            **{f"i_{name}": getattr(native, name) for name in INPUTS},
            **{f"o_{name}": getattr(native, name) for name in OUTPUTS},
            i_wdata_we=Const(-1, PORT // 8),
            i_rdata_ready=Const(1, 1),
            **_pads(platform),
        )
        return m


INPUTS = ("cmd_valid", "cmd_we", "cmd_addr", "wdata_valid", "wdata_data")
OUTPUTS = ("cmd_ready", "wdata_ready", "rdata_valid", "rdata_data")
"""Of LiteDRAM's native port."""


def _pads(platform) -> dict:
    """The pins of the resource ``ddr3``, by the names that LiteDRAM gives them."""
    parts = platform.lookup("ddr3", 0).ios
    kinds = {part.name: "-" for part in parts if hasattr(part, "ios")}
    pins = platform.request("ddr3", 0, dir=kinds)
    single = {
        "a": pins.a, "ba": pins.ba, "ras_n": pins.ras, "cas_n": pins.cas, "we_n": pins.we,
        "cs_n": pins.cs, "dm": pins.dm, "cke": pins.clk_en, "odt": pins.odt, "reset_n": pins.rst,
    }  # fmt: skip
    return {
        **{f"o_ddram_{name}": pin.io for name, pin in single.items()},
        "o_ddram_clk_p": pins.clk.p,
        "o_ddram_clk_n": pins.clk.n,
        "io_ddram_dq": pins.dq.io,
        "io_ddram_dqs_p": pins.dqs.p,
        "io_ddram_dqs_n": pins.dqs.n,
    }

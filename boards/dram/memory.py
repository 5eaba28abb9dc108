"""The memory of a board with its controller, its pins, and the clock that it gives the gateware."""

from __future__ import annotations

from amaranth.hdl import Const, Instance, Module, Mux, Signal
from amaranth.lib import io, wiring
from amaranth.lib.wiring import In, Out

from boards.dram.files import ADDRESS_BITS, PORT, Files
from boards.dram.level import Level
from boards.dram.phy import Phy
from boards.dram.sequence import Initialise, writes
from boards.dram.write_queue import WriteQueue
from hdl.external.port import MemoryPort

CONSTRAINTS = """\
# The reference of the inputs of the memory's bank.
set_property INTERNAL_VREF 0.675 [get_iobanks 34]
# Resets of LiteDRAM's clock domains are synchronised; nothing waits for their asynchronous ends.
set_false_path -quiet -to [get_pins -quiet -filter {REF_PIN_NAME == PRE} \
-of_objects [get_cells -quiet -hierarchical -filter {REF_NAME == FDPE}]]
"""
"""Of an Arty, as LiteX-boards has them (digilent_arty.py)."""


class BoardMemory(wiring.Component):
    """LiteDRAM behind a memory port; nothing passes until the memory is levelled.

    In the domain ``sync``, of which ``clock`` and ``reset`` must become the clock and the reset.

    Members
    -------
    port: of the memory.  clock, reset: of 100 MHz.  button: resets all.
    ready, failed: the memory may be used; or some lane was not found, and it must not.
    """

    def __init__(self, files: Files, address_bits: int):
        self._files = files
        super().__init__(
            {
                "port": In(MemoryPort(address_bits, PORT)),
                "button": In(1),
                "clock": Out(1),
                "reset": Out(1),
                "ready": Out(1),
                "failed": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bits = len(self.port.command.p.address)
        registers = self._files.registers
        m.submodules.initialise = start = Initialise(writes(registers, self._files.commands))
        m.submodules.level = level = Level(registers, Phy(), bits, PORT)
        m.submodules.writes = queue = WriteQueue(bits, ADDRESS_BITS, PORT)
        m.d.comb += [
            level.go.eq(start.done),
            self.ready.eq(level.done & level.good),
            self.failed.eq(level.done & ~level.good),
            queue.open.eq(start.done),
        ]
        self._share(m, level.memory, queue.port, level.done)
        adr, dat_w, we = Signal(14), Signal(32), Signal()
        for bus, own in ((start.bus, ~start.done), (level.bus, start.done)):
            with m.If(own):
                m.d.comb += [adr.eq(bus.adr), dat_w.eq(bus.dat_w), we.eq(bus.we)]
        m.submodules.litedram = self._controller(m, platform, queue.native, adr, dat_w, we)
        return m

    def _share(self, m: Module, level, memory, levelled) -> None:
        """The port is Level's first, and the user's when all lanes are found."""
        user, ready = self.port, self.ready
        m.d.comb += [
            memory.command.valid.eq(Mux(levelled, user.command.valid & ready, level.command.valid)),
            memory.command.p.eq(Mux(levelled, user.command.p, level.command.p)),
            memory.wdata.valid.eq(Mux(levelled, user.wdata.valid & ready, level.wdata.valid)),
            memory.wdata.p.eq(Mux(levelled, user.wdata.p, level.wdata.p)),
            user.command.ready.eq(memory.command.ready & ready),
            user.wdata.ready.eq(memory.wdata.ready & ready),
            level.command.ready.eq(memory.command.ready),
            level.wdata.ready.eq(memory.wdata.ready),
            user.rdata.eq(memory.rdata),
            user.rvalid.eq(memory.rvalid & ready),
            level.rdata.eq(memory.rdata),
            level.rvalid.eq(memory.rvalid),
        ]

    def _controller(self, m: Module, platform, native, adr, dat_w, we) -> Instance:
        """The module of Verilog with its pins."""
        pin = platform.request(platform.default_clk, 0, dir="-")
        m.submodules.pin = clock = io.Buffer("i", pin)
        platform.add_file("litedram.v", self._files.verilog)
        platform.add_file("memory.xdc", CONSTRAINTS)
        pads = _pads(platform)
        return Instance(
            "litedram",
            i_clk=clock.i,
            i_rst=self.button,
            o_sys_clk=self.clock,
            o_sys_rst=self.reset,
            i_csr_adr=adr,
            i_csr_dat_w=dat_w,
            i_csr_we=we,
            i_cmd_valid=native.cmd_valid,
            o_cmd_ready=native.cmd_ready,
            i_cmd_we=native.cmd_we,
            i_cmd_addr=native.cmd_addr,
            i_wdata_valid=native.wdata_valid,
            o_wdata_ready=native.wdata_ready,
            i_wdata_we=Const(-1, PORT // 8),
            i_wdata_data=native.wdata_data,
            o_rdata_valid=native.rdata_valid,
            i_rdata_ready=Const(1, 1),
            o_rdata_data=native.rdata_data,
            **pads,
        )


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

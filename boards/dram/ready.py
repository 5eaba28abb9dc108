"""Between the port of a memory and LiteDRAM: nothing passes until the memory is levelled."""

from __future__ import annotations

from amaranth.hdl import Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from boards.dram.files import ADDRESS_BITS, PORT, Files
from boards.dram.level import Level
from boards.dram.phy import Phy
from boards.dram.sequence import Initialise, writes
from boards.dram.write_queue import NativePort, WriteQueue
from hdl.external.port import MemoryPort

REGISTER_BITS, VALUE_BITS = 14, 32
"""Of LiteX's bus of registers."""


class Ready(wiring.Component):
    """Starts the memory, levels it, and then lets its user in.

    Members
    -------
    port: of the user.  native: of LiteDRAM.  csr_adr, csr_we, csr_dat_w: its bus of registers.
    ready, failed: the memory may be used; or some lane was not found, and it must not.
    """

    def __init__(self, files: Files, address_bits: int):
        self._files, self._bits = files, address_bits
        super().__init__(
            {
                "port": In(MemoryPort(address_bits, PORT)),
                "native": Out(NativePort(ADDRESS_BITS, PORT)),
                "csr_adr": Out(REGISTER_BITS),
                "csr_we": Out(1),
                "csr_dat_w": Out(VALUE_BITS),
                "ready": Out(1),
                "failed": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        registers = self._files.registers
        m.submodules.initialise = start = Initialise(writes(registers, self._files.commands))
        m.submodules.level = level = Level(registers, Phy(), self._bits, PORT)
        m.submodules.writes = queue = WriteQueue(self._bits, ADDRESS_BITS, PORT)
        wiring.connect(m, queue.native, wiring.flipped(self.native))
        m.d.comb += [
            level.go.eq(start.done),
            self.ready.eq(level.done & level.good),
            self.failed.eq(level.done & ~level.good),
            queue.open.eq(start.done),
        ]
        for bus, own in ((start.bus, ~start.done), (level.bus, start.done)):
            with m.If(own):
                m.d.comb += [
                    self.csr_adr.eq(bus.adr),
                    self.csr_dat_w.eq(bus.dat_w),
                    self.csr_we.eq(bus.we),
                ]
        self._share(m, level.memory, queue.port, level.done)
        return m

    def _share(self, m: Module, level, memory, levelled) -> None:
        """The memory is Level's first, and the user's when all lanes are found."""
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

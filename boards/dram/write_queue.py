"""Between a memory port and a native port of LiteDRAM."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.external.port import MemoryPort
from hdl.stream import Queue

DEPTH = 16
"""Beats to be written that may wait."""


class NativePort(wiring.Signature):
    """A native port as its user sees it; masks are left out, for whole beats are written."""

    def __init__(self, address_bits: int, width: int):
        super().__init__(
            {
                "cmd_valid": Out(1),
                "cmd_ready": In(1),
                "cmd_we": Out(1),
                "cmd_addr": Out(address_bits),
                "wdata_valid": Out(1),
                "wdata_ready": In(1),
                "wdata_data": Out(width),
                "rdata_valid": In(1),
                "rdata_data": In(width),
            }
        )


class WriteQueue(wiring.Component):
    """Holds write commands back until their beats are there: LiteDRAM takes these when it wants.

    Latency: a command none, but a write command a cycle from its beat.  Throughput one a cycle.

    Members
    -------
    port: of the user.  native: of the controller.  open: commands may pass.
    """

    def __init__(self, address_bits: int, native_bits: int, width: int):
        self._width = width
        super().__init__(
            {
                "port": In(MemoryPort(address_bits, width)),
                "native": Out(NativePort(native_bits, width)),
                "open": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.beats = beats = Queue(self._width, DEPTH)
        port, native = self.port, self.native
        wiring.connect(m, wiring.flipped(port.wdata), beats.i)
        ahead, passes = Signal(range(DEPTH + 1)), Signal()  # beats that came without a command
        came, went = Signal(), Signal()
        command = port.command
        m.d.comb += [
            passes.eq(self.open & (~command.p.write | (ahead != 0))),
            native.cmd_valid.eq(command.valid & passes),
            native.cmd_we.eq(command.p.write),
            native.cmd_addr.eq(command.p.address),
            command.ready.eq(native.cmd_ready & passes),
            native.wdata_valid.eq(beats.o.valid),
            native.wdata_data.eq(beats.o.p),
            beats.o.ready.eq(native.wdata_ready),
            port.rvalid.eq(native.rdata_valid),
            port.rdata.eq(native.rdata_data),
            came.eq(beats.i.valid & beats.i.ready),
            went.eq(command.valid & command.ready & command.p.write),
        ]
        m.d.sync += ahead.eq(ahead + came - went)
        return m

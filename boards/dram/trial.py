"""Writes test beats into a memory, reads them back, and tells which lanes brought them."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from boards.dram.phy import Phy
from hdl.external.port import MemoryPort


class Trial(wiring.Component):
    """One beat after the other, so that nothing hangs on when the memory answers.

    Cycles: three for every beat that is written, two and the memory's for one that is read.

    Members
    -------
    go, done: begin, and keep ``write`` until it is over (one cycle).
    write: write the beats first.  good: which lanes were right, from ``done`` to ``go``.
    memory: its port.
    """

    def __init__(self, phy: Phy, address_bits: int, width: int):
        self._phy, self._width = phy, width
        super().__init__(
            {
                "go": In(1),
                "write": In(1),
                "done": Out(1),
                "good": Out(phy.lanes),
                "memory": Out(MemoryPort(address_bits, width)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        phy, port = self._phy, self.memory
        words = phy.pattern(self._width)
        m.submodules.beats = beats = memory.Memory(shape=self._width, depth=phy.beats, init=words)
        read, beat = beats.read_port(), Signal(range(phy.beats))
        last = beat == phy.beats - 1
        command = port.command
        m.d.comb += [
            read.addr.eq(beat),
            command.p.address.eq(beat),
            port.wdata.p.eq(read.data),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += beat.eq(0)
                with m.If(self.go):
                    m.d.sync += self.good.eq(-1)
                    m.next = "ASK"
                    with m.If(self.write):
                        m.next = "LOOK"
            with m.State("LOOK"):
                m.next = "GIVE"
            with m.State("GIVE"):
                m.d.comb += port.wdata.valid.eq(1)
                with m.If(port.wdata.ready):
                    m.next = "WRITE"
            with m.State("WRITE"):
                m.d.comb += [command.valid.eq(1), command.p.write.eq(1)]
                with m.If(command.ready):
                    m.d.sync += beat.eq(beat + 1)
                    m.next = "LOOK"
                    with m.If(last):
                        m.d.sync += beat.eq(0)
                        m.next = "ASK"
            with m.State("ASK"):
                m.d.comb += command.valid.eq(1)
                with m.If(command.ready):
                    m.next = "GET"
            with m.State("GET"), m.If(port.rvalid):
                m.d.sync += [self.good.eq(self.good & self._right(read.data)), beat.eq(beat + 1)]
                m.next = "ASK"
                with m.If(last):
                    m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += self.done.eq(1)
                m.next = "IDLE"
        return m

    def _right(self, wanted):
        """Lanes whose bytes are as wanted: byte k of a beat belongs to lane k modulo lanes."""
        lanes, right = self._phy.lanes, []
        for lane in range(lanes):
            same = [
                self.memory.rdata.word_select(k, 8) == wanted.word_select(k, 8)
                for k in range(lane, self._width // 8, lanes)
            ]
            right.append(cat_all(same))
        return sum(bit << k for k, bit in enumerate(right))


def cat_all(bits):
    """Whether all bits are high."""
    found = bits[0]
    for bit in bits[1:]:
        found = found & bit
    return found

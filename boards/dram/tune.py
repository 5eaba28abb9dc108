"""Puts a setting into the registers of a PHY."""

from __future__ import annotations

from collections.abc import Mapping

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from boards.dram.phy import SETTING, Phy
from boards.dram.sequence import Registers

STEPS = (
    ("out", "wdly_dq_bitslip_rst", "wdly_dq_bitslip"),
    ("slip", "rdly_dq_bitslip_rst", "rdly_dq_bitslip"),
    ("delay", "rdly_dq_rst", "rdly_dq_inc"),
)
"""Of a setting: the register that takes it back to zero, and the one that goes on by one."""


class Tune(wiring.Component):
    """Sets some lanes anew.

    Cycles: six, one for every step of the three places, and ``settle``.

    Members
    -------
    go, done: begin, and keep what is set until it is (one cycle).
    lanes: which; setting: to what.  bus: registers of the PHY.
    """

    def __init__(self, registers: Mapping[str, int], phy: Phy):
        self._registers, self._phy = registers, phy
        super().__init__(
            {
                "go": In(1),
                "done": Out(1),
                "lanes": In(phy.lanes),
                "setting": In(SETTING),
                "bus": Out(Registers()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bus, at = self.bus, self._registers
        place, count = Signal(range(len(STEPS))), Signal(max(field.width for _, field in SETTING))
        left = Signal(range(self._phy.settle + 1))
        wanted = Array(self.setting[name] for name, _, _ in STEPS)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [
                    bus.we.eq(self.go),
                    bus.adr.eq(at["dly_sel0"]),
                    bus.dat_w.eq(self.lanes),
                ]
                m.d.sync += place.eq(0)
                with m.If(self.go):
                    m.next = "ZERO"
            with m.State("ZERO"):
                zero = Array(at[name] for _, name, _ in STEPS)
                m.d.comb += [bus.we.eq(1), bus.dat_w.eq(1), bus.adr.eq(zero[place])]
                m.d.sync += count.eq(wanted[place])
                m.next = "STEP"
            with m.State("STEP"):
                step = Array(at[name] for _, _, name in STEPS)
                m.d.comb += [bus.we.eq(count != 0), bus.dat_w.eq(1), bus.adr.eq(step[place])]
                m.d.sync += [count.eq(count - 1), left.eq(self._phy.settle)]
                with m.If(count == 0):
                    m.d.sync += place.eq(place + 1)
                    m.next = "ZERO"
                    with m.If(place == len(STEPS) - 1):
                        m.next = "SETTLE"
            with m.State("SETTLE"):
                m.d.sync += left.eq(left - 1)
                with m.If(left == 0):
                    m.d.comb += self.done.eq(1)
                    m.next = "IDLE"
        return m

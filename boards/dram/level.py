"""Finds the delays with which a board's memory is written and read, as LiteDRAM's BIOS does.

For every slip of the written bits test beats are written; for every slip and delay of the read bits
they are read back.  A lane (8 wires with a strobe of their own) is set to the middle of the longest
run of delays with which all of its bits came back.
"""

from __future__ import annotations

from collections.abc import Mapping

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from boards.dram.phy import SETTING, Phy
from boards.dram.sequence import Registers
from boards.dram.trial import Trial
from boards.dram.tune import Tune
from hdl.external.port import MemoryPort

OUT_STEP = 2
"""Slips of the written bits that are a whole clock of the chip."""

LEAST = 3
"""Delays in a row with which a lane must work."""


class Level(wiring.Component):
    """Levels when ``go`` is high, and then tries all lanes at once.

    Cycles: for each of ``slips / 2 * slips * delays`` settings those of Tune and of Trial; 3 ms on
    an Arty.

    Members
    -------
    go: begin; the memory is used by nobody else until ``done``.
    bus: registers of the PHY.  memory: its port; the first beats in it are lost.
    done, good: it is over; every lane was found, and the last trial went well.
    """

    def __init__(self, registers: Mapping[str, int], phy: Phy, address_bits: int, width: int):
        self._phy = phy
        self._tune = Tune(registers, phy)
        self._trial = Trial(phy, address_bits, width)
        super().__init__(
            {
                "go": In(1),
                "bus": Out(Registers()),
                "memory": Out(MemoryPort(address_bits, width)),
                "done": Out(1),
                "good": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.tune, m.submodules.trial = tune, trial = self._tune, self._trial
        wiring.connect(m, tune.bus, wiring.flipped(self.bus))
        wiring.connect(m, trial.memory, wiring.flipped(self.memory))
        now, tried, lane = Signal(SETTING), Signal(), Signal(range(self._phy.lanes))
        found = [self._lane(m, k, now, tried & trial.good[k]) for k in range(self._phy.lanes)]
        m.d.comb += [tune.lanes.eq(-1), tune.setting.eq(now)]
        with m.FSM():
            with m.State("IDLE"), m.If(self.go):
                m.next = "TUNE"
            with m.State("TUNE"):
                m.d.comb += tune.go.eq(1)
                with m.If(tune.done):
                    m.next = "TRY"
            with m.State("TRY"):
                m.d.comb += [trial.go.eq(1), trial.write.eq((now.slip == 0) & (now.delay == 0))]
                with m.If(trial.done):
                    m.next = "NEXT"
            with m.State("NEXT"):
                m.d.comb += tried.eq(1)
                m.next = "TUNE"
                self._advance(m, now)
            with m.State("SET"):
                m.d.comb += [
                    tune.go.eq(1),
                    tune.lanes.eq(1 << lane),
                    tune.setting.eq(Array(best.as_value() for best, _ in found)[lane]),
                ]
                with m.If(tune.done):
                    m.d.sync += lane.eq(lane + 1)
                    with m.If(lane == self._phy.lanes - 1):
                        m.next = "CHECK"
            with m.State("CHECK"):
                m.d.comb += [trial.go.eq(1), trial.write.eq(1)]
                with m.If(trial.done):
                    m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += self.done.eq(1)
        well = trial.good.all()
        for _, run in found:
            well = well & (run >= LEAST)
        m.d.comb += self.good.eq(self.done & well)
        return m

    def _advance(self, m: Module, now) -> None:
        """The next setting; behind the last one the lanes are set."""
        phy = self._phy
        m.d.sync += now.delay.eq(now.delay + 1)
        with m.If(now.delay == phy.delays - 1):
            m.d.sync += [now.delay.eq(0), now.slip.eq(now.slip + 1)]
            with m.If(now.slip == phy.slips - 1):
                m.d.sync += [now.slip.eq(0), now.out.eq(now.out + OUT_STEP)]
                with m.If(now.out == phy.slips - OUT_STEP):
                    m.next = "SET"

    def _lane(self, m: Module, number: int, now, works) -> tuple:
        """(the best setting of a lane so far, its run of delays); ``works``: this one does."""
        best = Signal(SETTING, name=f"best{number}")
        run, longest, longer = (
            Signal(range(self._phy.delays + 1), name=f"{name}{number}")
            for name in ("run", "longest", "longer")
        )
        tried = Signal.like(now.delay, name=f"tried{number}")
        m.d.comb += longer.eq(Mux((now.delay == 0) | (tried + 1 != now.delay), 0, run) + 1)
        with m.If(works):
            m.d.sync += [run.eq(longer), tried.eq(now.delay)]
            with m.If(longer > longest):
                m.d.sync += [best.eq(now), longest.eq(longer)]
                m.d.sync += best.delay.eq(now.delay - ((longer - 1) >> 1))
        return best, longest

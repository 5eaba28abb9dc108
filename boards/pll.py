"""Clocks that a chip makes of its crystal's: the settings of its PLL, and the PLL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from amaranth.hdl import Elaboratable, Instance, Module, Signal

from golden.errors import OptionError

TOLERANCE = 0.005
"""The clock that a PLL makes may be off by this much: a UART bears four times as much."""


@dataclass(frozen=True)
class Setting:
    """Dividers of a PLL: of its input, of its feedback, and of its oscillator."""

    input: int
    feedback: int
    output: int
    mhz: float


def ecp5_settings(crystal: float) -> Iterator[Setting]:
    """All settings of an EHXPLLL whose feedback is CLKOP: oscillator at 400 to 800 MHz."""
    for before in range(1, 129):
        if 3.125 <= crystal / before <= 400:
            for feedback in range(1, 81):
                mhz = crystal / before * feedback
                for output in range(1, 129):
                    if 400 <= mhz * output <= 800:
                        yield Setting(before, feedback, output, mhz)


def ice40_settings(crystal: float) -> Iterator[Setting]:
    """All settings of an SB_PLL40 with simple feedback: oscillator at 533 to 1066 MHz."""
    for before in range(1, 17):
        if 10 <= crystal / before <= 133:
            for feedback in range(1, 129):
                oscillator = crystal / before * feedback
                if 533 <= oscillator <= 1066:
                    for power in range(1, 7):
                        yield Setting(before, feedback, 1 << power, oscillator / (1 << power))


SETTINGS = {"ecp5": ecp5_settings, "ice40": ice40_settings}


def choose(family: str, crystal: float, mhz: float) -> Setting:
    """The setting nearest to a frequency; of equals the one with the smallest dividers.

    Raises
    ------
    OptionError
        If none comes within TOLERANCE.
    """
    near = [each for each in SETTINGS[family](crystal) if abs(each.mhz / mhz - 1) <= TOLERANCE]
    if not near:
        raise OptionError(
            "clock", f"is {mhz:g}; the PLL cannot make it of this board's {crystal:g} MHz"
        )
    return min(near, key=lambda s: (abs(s.mhz / mhz - 1), s.input, s.feedback, s.output))


class Ecp5Pll(Elaboratable):
    """EHXPLLL.  ``i``: the crystal's clock.  ``o``: the clock made; ``locked``: it is steady."""

    def __init__(self, setting: Setting):
        self._setting = setting
        self.i, self.o, self.locked = Signal(), Signal(), Signal()

    def elaborate(self, platform):
        m = Module()
        setting = self._setting
        m.submodules.pll = Instance(
            "EHXPLLL",
            a_ICP_CURRENT="12",
            a_LPF_RESISTOR="8",
            p_CLKI_DIV=setting.input,
            p_CLKFB_DIV=setting.feedback,
            p_FEEDBK_PATH="CLKOP",
            p_CLKOP_ENABLE="ENABLED",
            p_CLKOP_DIV=setting.output,
            p_CLKOP_CPHASE=setting.output - 1,
            p_CLKOP_FPHASE=0,
            i_CLKI=self.i,
            i_CLKFB=self.o,
            i_RST=0,
            i_STDBY=0,
            i_ENCLKOP=0,
            o_CLKOP=self.o,
            o_LOCK=self.locked,
        )
        return m


class Ice40Pll(Elaboratable):
    """SB_PLL40_PAD, which takes the crystal's ``pin`` itself.  ``o``, ``locked``: as Ecp5Pll's."""

    FILTERS = ((17, 1), (26, 2), (44, 3), (66, 4), (101, 5), (134, 6))
    """(below this frequency of the comparison, FILTER_RANGE)."""

    def __init__(self, setting: Setting, crystal: float, pin):
        self._setting, self._pin = setting, pin
        self._filter = next(f for mhz, f in self.FILTERS if crystal / setting.input < mhz)
        self.o, self.locked = Signal(), Signal()

    def elaborate(self, platform):
        m = Module()
        setting = self._setting
        m.submodules.pll = Instance(
            "SB_PLL40_PAD",
            p_FEEDBACK_PATH="SIMPLE",
            p_DIVR=setting.input - 1,
            p_DIVF=setting.feedback - 1,
            p_DIVQ=setting.output.bit_length() - 1,
            p_FILTER_RANGE=self._filter,
            i_PACKAGEPIN=self._pin.io,
            i_RESETB=1,
            i_BYPASS=0,
            o_PLLOUTGLOBAL=self.o,
            o_LOCK=self.locked,
        )
        return m

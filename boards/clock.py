"""The clock of a board's gateware, and its reset."""

from __future__ import annotations

import math

from amaranth.hdl import (
    ClockDomain,
    ClockSignal,
    Const,
    Elaboratable,
    Module,
    ResetSignal,
    Signal,
    Value,
)
from amaranth.lib import io
from amaranth.lib.cdc import FFSynchronizer

from boards.board import Board
from boards.pll import SETTINGS, Ecp5Pll, Ice40Pll, choose
from golden.errors import OptionError

RESET_CYCLES = 1 << 8
"""Cycles that the gateware is held in reset after its clock has become steady."""


def frequency(board: Board, mhz: float) -> float:
    """The frequency that the board really makes for ``mhz``.

    Raises
    ------
    OptionError
        If it can make none that is near enough.
    """
    if mhz == board.crystal_mhz:
        return mhz
    if board.family in SETTINGS:
        return choose(board.family, board.crystal_mhz, mhz).mhz
    return board.crystal_mhz / (1 << _halvings(board, mhz))


def _halvings(board: Board, mhz: float) -> int:
    """How often the crystal's clock is halved, where no PLL is used."""
    count = max(round(math.log2(board.crystal_mhz / mhz)), 0)
    if board.crystal_mhz / (1 << count) != mhz:
        raise OptionError(
            "clock",
            f"is {mhz:g}; {board.name} makes {board.crystal_mhz:g} MHz, or that halved any number "
            "of times",
        )
    return count


class Clock(Elaboratable):
    """Drives the domain ``sync`` with a clock made of the crystal's, in reset until it is steady.

    Where no PLL is used a toggling register halves the clock.
    """

    def __init__(self, board: Board, mhz: float):
        self._board, self._mhz = board, mhz

    def elaborate(self, platform):
        m = Module()
        clock, steady = self._clock(m, platform)
        if self._board.reset:
            m.submodules.button = button = io.Buffer(
                "i", platform.request(self._board.reset, 0, dir="-")
            )
            steady = steady & ~button.i
        m.d.comb += ClockSignal().eq(clock)
        self._reset(m, steady, ResetSignal())
        return m

    def _clock(self, m: Module, platform) -> tuple[Value, Value]:
        """(the clock of the gateware, whether it is steady)."""
        board = self._board
        pin = platform.request(board.platform.default_clk, 0, dir="-")
        if self._mhz != board.crystal_mhz and board.family == "ice40":
            setting = choose(board.family, board.crystal_mhz, self._mhz)
            m.submodules.pll = pll = Ice40Pll(setting, board.crystal_mhz, pin)
            return pll.o, pll.locked
        m.submodules.pin = buffer = io.Buffer("i", pin)
        if self._mhz == board.crystal_mhz:
            return buffer.i, Const(1)
        if board.family == "ecp5":
            m.submodules.pll = pll = Ecp5Pll(choose(board.family, board.crystal_mhz, self._mhz))
            m.d.comb += pll.i.eq(buffer.i)
            return pll.o, pll.locked
        clock = buffer.i
        for k in range(_halvings(board, self._mhz)):
            clock = _halved(m, clock, f"half{k}")
        return clock, Const(1)

    def _reset(self, m: Module, steady: Value, reset: Value) -> None:
        """Hold ``reset`` while not ``steady``, and RESET_CYCLES longer."""
        held = Signal(reset_less=True, init=1)
        count = Signal(range(RESET_CYCLES), reset_less=True)
        seen = Signal()
        m.submodules.steady = FFSynchronizer(steady, seen)
        with m.If(~seen):
            m.d.sync += [count.eq(0), held.eq(1)]
        with m.Elif(held):
            m.d.sync += [count.eq(count + 1), held.eq(count != RESET_CYCLES - 1)]
        m.d.comb += reset.eq(held)


def _halved(m: Module, clock: Value, name: str) -> Signal:
    """A clock of half the frequency."""
    domain = ClockDomain(name, reset_less=True)
    m.domains += domain
    half = Signal(name=name, reset_less=True)
    m.d.comb += domain.clk.eq(clock)
    m.d[name] += half.eq(~half)
    return half

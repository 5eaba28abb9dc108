"""The top of a board: its clock and reset, its pins, and the gateware between them."""

from __future__ import annotations

from amaranth.hdl import ClockDomain, Elaboratable, Module
from amaranth.lib import io

from boards.board import Board
from boards.clock import Clock


class Top(Elaboratable):
    """Gateware on a board: pins of its UART and its LEDs.

    Parameters
    ----------
    board: where it goes.
    gateware: component with ``rx``, ``tx``, and a signal for each of the board's LEDs.
    mhz: its clock.
    """

    def __init__(self, board: Board, gateware, mhz: float):
        self._board, self._gateware, self._mhz = board, gateware, mhz

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = ClockDomain()
        m.submodules.clock = Clock(self._board, self._mhz)
        m.submodules.gateware = gateware = self._gateware
        uart = port(platform, "uart", 0)
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.Buffer("o", uart.tx)
        m.d.comb += [gateware.rx.eq(rx.i), tx.o.eq(gateware.tx)]
        leds = self._board.leds
        pins = {of: port(platform, *of) for of in dict.fromkeys(of[:2] for of in leds.values())}
        for name, of in leds.items():
            pin = getattr(pins[of[:2]], of[2]) if of[2:] else pins[of[:2]]
            m.submodules[name] = led = io.Buffer("o", pin)
            m.d.comb += led.o.eq(getattr(gateware, name))
        return m


def port(platform, name: str, number: int):
    """A resource of a platform without buffers; of several pins, with an attribute for each."""
    parts = platform.lookup(name, number).ios
    kinds = {part.name: "-" for part in parts if hasattr(part, "ios")}
    return platform.request(name, number, dir=kinds or "-")

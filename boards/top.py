"""The top of a board: its clock and reset, its pins, and the gateware between them."""

from __future__ import annotations

from amaranth.hdl import ClockDomain, ClockSignal, Const, Elaboratable, Module, ResetSignal, Value
from amaranth.lib import io, wiring

from boards.board import Board
from boards.clock import Clock
from boards.dram.files import generate
from boards.dram.memory import BoardMemory


class Top(Elaboratable):
    """Gateware on a board: pins of its UART and its LEDs.

    Parameters
    ----------
    board: where it goes.
    gateware: component with ``rx``, ``tx``, a signal for each of the board's LEDs, and perhaps a
        ``memory``: a port of the memory beside the chip, whose failure the light ``error`` tells.
    mhz: its clock.
    """

    def __init__(self, board: Board, gateware, mhz: float):
        self._board, self._gateware, self._mhz = board, gateware, mhz

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = ClockDomain()
        m.submodules.gateware = gateware = self._gateware
        failed = Const(0, 1)
        if hasattr(gateware, "memory"):
            failed = self._memory(m, platform)
        else:
            m.submodules.clock = Clock(self._board, self._mhz)
        uart = port(platform, "uart", 0)
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.Buffer("o", uart.tx)
        m.d.comb += [gateware.rx.eq(rx.i), tx.o.eq(gateware.tx)]
        leds = self._board.leds
        pins = {of: port(platform, *of) for of in dict.fromkeys(of[:2] for of in leds.values())}
        for name, of in leds.items():
            pin = getattr(pins[of[:2]], of[2]) if of[2:] else pins[of[:2]]
            m.submodules[name] = led = io.Buffer("o", pin)
            m.d.comb += led.o.eq(getattr(gateware, name) | (failed if name == "error" else 0))
        return m

    def _memory(self, m: Module, platform) -> Value:
        """The memory beside the chip, which makes the clock; whether it failed."""
        port_ = self._gateware.memory
        memory = BoardMemory(generate(self._board.memory), len(port_.command.p.address))
        m.submodules.memory = memory
        wiring.connect(m, port_, memory.port)
        if self._board.reset:
            pin = platform.request(self._board.reset, 0, dir="-")
            m.submodules.button = button = io.Buffer("i", pin)
            m.d.comb += memory.button.eq(button.i)
        m.d.comb += [ClockSignal().eq(memory.clock), ResetSignal().eq(memory.reset)]
        return memory.failed


def port(platform, name: str, number: int):
    """A resource of a platform without buffers; of several pins, with an attribute for each."""
    parts = platform.lookup(name, number).ios
    kinds = {part.name: "-" for part in parts if hasattr(part, "ios")}
    return platform.request(name, number, dir=kinds or "-")

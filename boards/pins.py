"""What the pins of a board's netlist are called, and what they mean."""

from __future__ import annotations

from amaranth.build.dsl import Pins as Named

from boards.board import Board
from boards.gateware import BAUD
from sim.netlist.pins import Pins


def pins_of(board: Board) -> Pins:
    """The pins that boards.top.Top asks for; a reset button is not pressed."""
    clock = board.platform.default_clk
    held = {}
    if board.reset:
        held[_port(board.reset, 0)] = int(_active_low(board, board.reset, 0))
    return Pins(
        clock=_port(clock, 0),
        mhz=board.crystal_mhz,
        rx=_port("uart", 0, "rx"),
        tx=_port("uart", 0, "tx"),
        baud=BAUD,
        lights={
            name: (_port(*where), _active_low(board, *where)) for name, where in board.leds.items()
        },
        held=held,
    )


def _port(name: str, number: int, *part: str) -> str:
    """What Amaranth calls the port of a resource, or of a part of it."""
    return "__".join((f"{name}_{number}", *part, "io"))


def _active_low(board: Board, name: str, number: int, *part: str) -> bool:
    """Whether a pin is active when it is low."""
    resources = (*board.platform.resources, *board.resources)
    ios = next(r for r in resources if (r.name, r.number) == (name, number)).ios
    if part:
        ios = next(each for each in ios if getattr(each, "name", None) == part[0]).ios
    return next(each.invert for each in ios if isinstance(each, Named))

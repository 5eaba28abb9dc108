"""Which serial port is a board's: the one whose USB chip is the board's bridge."""

from __future__ import annotations

from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from boards.board import Board, Bridge
from sim.replies import LinkError


def find_port(board: Board) -> str:
    """The name of the port that a board is at.

    Raises
    ------
    LinkError
        If there is none, or more than one; or the board has no bridge of its own.
    """
    ports = sorted(list_ports.comports())
    there = ", ".join(port.device for port in ports if port.vid is not None) or "none"
    if board.bridge is None:
        raise LinkError(
            f"{board.title} has no serial port of its own: give that of your adapter as PORT; the "
            f"USB serial ports here: {there}"
        )
    found = [port.device for port in ports if _is(port, board.bridge)]
    if not found:
        ids = f"{board.bridge.vendor:04x}:{board.bridge.product:04x}"
        raise LinkError(
            f"no {board.title} is attached (USB {ids}): plug it in, or give its serial port as "
            f"PORT; the USB serial ports here: {there}"
        )
    if len(found) > 1:
        raise LinkError(
            f"several ports may be the {board.title}: give one of {', '.join(found)} as PORT"
        )
    return found[0]


def _is(port: ListPortInfo, bridge: Bridge) -> bool:
    """Whether a port belongs to such a bridge; a location like 1-2:1.1 ends in the interface."""
    if (port.vid, port.pid) != (bridge.vendor, bridge.product):
        return False
    interface = (port.location or "").partition(":")[2].rpartition(".")[2]
    return bridge.interface is None or interface in ("", str(bridge.interface))

"""The boards that there are."""

from __future__ import annotations

from boards import arty, icebreaker, orangecrab, tangnano9k, ulx3s
from boards.board import Board
from golden.errors import OptionError

BOARDS: dict[str, Board] = {
    board.name: board
    for module in (arty, ulx3s, orangecrab, icebreaker, tangnano9k)
    for board in module.BOARDS
}


def find_board(name: str) -> Board:
    """The board ``name``; an OptionError if there is none."""
    if name not in BOARDS:
        raise OptionError("board", f"is {name!r}; expected one of {', '.join(BOARDS)}")
    return BOARDS[name]

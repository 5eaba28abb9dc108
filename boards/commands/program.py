"""``python -m boards program``: load the last bitstream into a board."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from boards.catalogue import BOARDS, find_board
from boards.host.loader import load
from golden import checked
from golden.commands import options
from golden.errors import WeftError
from sim.build import BUILD


def program(
    board: Annotated[str, checked.choice(of=BOARDS, help="Which is attached.")] = "arty",
    model: options.Model = options.MODEL,
) -> None:
    """Load the last bitstream of a model into a board."""
    chosen = find_board(board)
    load(chosen, last_bitstream(board, model))
    print(f"`make chat BOARD={board}` talks to it")


def last_bitstream(board: str, model: str) -> Path:
    """The file that the report of the last good build names.

    Raises
    ------
    WeftError
        If there is none.
    """
    report = BUILD / "boards" / board / model / "report.json"
    path = Path(json.loads(report.read_text())["bitstream"]) if report.is_file() else None
    if path is None or not path.is_file():
        raise WeftError(
            f"there is no bitstream of {model} for {board} yet: `make bitstream BOARD={board} "
            f"MODEL={model}` makes it"
        )
    return path

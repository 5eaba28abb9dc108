"""``python -m boards baselines``: write down what a small netlist for each board needs."""

from __future__ import annotations

from boards import baselines as kept
from boards.catalogue import BOARDS
from boards.commands.bitstream import CACHE, write_json


def baselines() -> None:
    """Synthesise a small design for every board, and write tests/baselines anew."""
    for name in kept.BOARDS:
        board = BOARDS[name]
        content = kept.measure(board, CACHE)
        write_json(kept.path_of(board), content)
        print(name, content["counts"], flush=True)

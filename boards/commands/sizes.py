"""``python -m boards sizes``: measure what the default model needs, for the fit estimates."""

from __future__ import annotations

import json

from boards import build, fit
from boards.catalogue import BOARDS
from boards.commands.bitstream import CACHE
from boards.order import default_design, order_of
from boards.resources import used
from golden.errors import write_whole
from sim.build import Target, make_design

MEASURED = [
    *(fit.Configuration("folded", n) for n in (2, 8, 16, 32, 64)),
    *(fit.Configuration("serial", n) for n in (1, 8)),
]
LARGE, LARGE_BOARD = "smollm2", "arty-100"
"""The model in an external memory that is measured, and where."""

REPRESENTATIVES = {"xc7": "arty", "ecp5": "ulx3s", "ice40": "icebreaker", "gowin": "tangnano9k"}


def sizes() -> None:
    """Synthesise the default model for every family, and write boards/sizes.json anew.

    And one in an external memory, with the memory's controller; it is fetched on first use.
    """
    found = {family: {} for family in REPRESENTATIVES}
    for asked in MEASURED:
        design = default_design(asked)
        for family, name in REPRESENTATIVES.items():
            board = BOARDS[name]
            if asked.multipliers > board.available["dsp"]:
                continue
            need = used(family, build.synthesise(order_of(board, design), CACHE))
            found[family].setdefault(asked.schedule, {})[str(asked.multipliers)] = need
            print(family, asked, need, flush=True)
    board, large = BOARDS[LARGE_BOARD], make_design(Target(LARGE))
    need = used(board.family, build.synthesise(order_of(board, large), CACHE))
    found[board.family][fit.EXTERNAL] = {str(large.schedule.multipliers): need}
    print(board.family, LARGE, need, flush=True)
    content = {"model": "microgpt", "sizes": found}
    write_whole(fit.SIZES, (json.dumps(content, indent=1) + "\n").encode())

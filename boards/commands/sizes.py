"""``python -m boards sizes``: measure what the default model needs, for the fit estimates."""

from __future__ import annotations

import json

from boards import build, fit, gateware
from boards.catalogue import BOARDS
from boards.commands.bitstream import CACHE
from boards.resources import used
from golden.errors import write_whole
from sim.build import Target, make_design

MULTIPLIERS = (2, 8, 16, 32, 64)
REPRESENTATIVES = {"xc7": "arty", "ecp5": "ulx3s", "ice40": "icebreaker", "gowin": "tangnano9k"}


def sizes() -> None:
    """Synthesise the default model for every family, and write boards/sizes.json anew."""
    found = {family: {} for family in REPRESENTATIVES}
    for multipliers in MULTIPLIERS:
        design = make_design(Target(multipliers=multipliers))
        for family, name in REPRESENTATIVES.items():
            board = BOARDS[name]
            if multipliers > board.available["dsp"]:
                continue
            order = build.Order(board, gateware.key(design), gateware.soc(design), board.clock_mhz)
            need = used(family, build.synthesise(order, CACHE))
            found[family][str(multipliers)] = need
            print(family, multipliers, need, flush=True)
    content = {"model": "microgpt", "sizes": found}
    write_whole(fit.SIZES, (json.dumps(content, indent=1) + "\n").encode())

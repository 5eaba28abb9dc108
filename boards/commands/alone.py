"""``python -m boards alone``: place a core with an external memory without that memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from boards import build, gateware
from boards.alone import Alone
from boards.catalogue import BOARDS, find_board
from boards.commands.bitstream import CACHE
from boards.order import order_of
from boards.resources import NAMES, used
from golden import checked
from golden.commands import options
from golden.errors import OptionError
from sim.build import Target, make_design

MODEL = "smollm2"


def alone(
    board: Annotated[str, checked.choice(of=BOARDS, help="On which chip.")] = "arty-100",
    model: options.Model = MODEL,
    seed: options.Seed = build.SEED,
) -> None:
    """Tell what a core with an external memory uses, and how fast its layout is without a memory.

    The memory's port ends in registers; products in DSP blocks are not timed.
    """
    chosen, design = find_board(board), make_design(Target(model))
    if not design.schedule.port:
        raise OptionError("model", f"is {model}, whose weights are on the chip: use bitstream")
    make = gateware.soc(design)
    order = replace(
        order_of(chosen, design, seed=seed),
        key=f"alone {gateware.key(design)}",
        gateware=lambda mhz: Alone(make(mhz)),
    )
    netlist = build.synthesise(order, CACHE)
    for name, number in used(chosen.family, netlist).items():
        typer.echo(f"  {NAMES[name]:16} {number:7,} of {chosen.available[name]:7,}")
    placed = build.place(order, netlist, CACHE, check=False)
    typer.echo(f"  {placed.timing.fmax_mhz:.1f} MHz; slowest: {placed.timing.path()}")

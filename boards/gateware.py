"""What goes onto a board: the core of a model with its host link, its weights included."""

from __future__ import annotations

from collections.abc import Callable

from hdl.memory import Memories
from hdl.soc import Soc
from sim.build import Design
from sim.chip import identity

BAUD = 1_000_000
"""Of the link: every board's clock is a multiple of it, and its USB bridge can do it."""


def soc(design: Design) -> Callable[[float], Soc]:
    """Makes the gateware of a design, from the frequency of its clock in MHz."""

    def make(mhz: float) -> Soc:
        core = design.core(Memories(design.image), observe=False)
        return Soc(core, round(mhz * 1e6), BAUD, *identity(design))

    return make


def key(design: Design) -> str:
    """Stands for the gateware of a design, and for its weights."""
    return f"{design.key()} {design.plan.digest()}"

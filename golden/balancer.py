"""Who gets how many multipliers: chooses the maker of a schedule (``golden/schedules``)."""

from __future__ import annotations

from dataclasses import replace

from golden.errors import OptionError
from golden.plan import Plan
from golden.schedule import SCHEDULES, WEIGHTS, Schedule
from golden.schedules.external import external
from golden.schedules.folded import folded
from golden.schedules.pipelined import pipelined
from golden.schedules.serial import serial

DEFAULT_MULTIPLIERS = 64
DEFAULT_PORT = 128
MAKERS = {"folded": folded, "pipelined": pipelined, "serial": serial}


def usual_schedule(plan: Plan) -> str:
    """The schedule of a plan for which none was asked: scales of rows need a memory outside."""
    return "folded" if plan.scales == "matrix" else "external"


def make_schedule(
    plan: Plan,
    name: str | None = None,
    multipliers: int = DEFAULT_MULTIPLIERS,
    streams: int = 1,
    weights: str = "rom",
    lanes: int | None = None,
    port: int = DEFAULT_PORT,
) -> Schedule:
    """The schedule ``name`` within a budget of ``multipliers``, with beats of at most ``lanes``.

    Without a name it is folded, or external where weights have scales of rows or groups.  With an
    external memory its ``port`` (in bits) stands for the budget.

    Raises
    ------
    WeftError
        For an unknown name or weight source, a budget that is too small, or lanes that are no power
        of two.
    """
    name = name or usual_schedule(plan)
    if name not in SCHEDULES:
        raise OptionError("schedule", f"is {name!r}; expected one of {', '.join(SCHEDULES)}")
    if plan.scales != "matrix" and name != "external":
        problem = (
            f"is {name!r}, which knows scales of matrices, and here every {plan.scales} of weights "
            "has one; expected the schedule 'external' or scales of matrices"
        )
        raise OptionError("schedule", problem)
    if weights not in WEIGHTS:
        raise OptionError("weights", f"is {weights!r}; expected one of {', '.join(WEIGHTS)}")
    if name == "serial" and weights == "stream":
        raise OptionError("weights", "is 'stream'; the serial schedule keeps them on the chip")
    if lanes is not None and (lanes < 1 or lanes & (lanes - 1)):
        raise OptionError("lanes", f"is {lanes}; expected a power of two")
    if name == "external":
        if weights != "rom":
            problem = f"is {weights!r}; the external schedule has them in its memory: leave it out"
            raise OptionError("weights", problem)
        return external(plan, port, streams, lanes)
    return replace(MAKERS[name](plan, multipliers, streams, lanes), weights=weights)

"""Options that several commands share: those of the design, and those of what it shall do."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Annotated

import typer

from golden import checked
from golden.commands import options
from golden.errors import OptionError
from golden.schedule import WEIGHTS
from golden.schedules.shapes import MAX_LANES
from sim.build import Target
from sim.engines import ENGINES, FORMS
from sim.memory.models import MEMORIES, MODELS
from sim.workload import REQUEST_DEPTH, TEMPERATURES, Sampling

MOST_LANES = 1 << 10
MOST_CYCLES = 1 << 40
"""More than anyone has patience for."""

Lanes = Annotated[
    int | None,
    checked.whole(
        least=1,
        most=MOST_LANES,
        help=f"Widest beat, a power of two; the schedule chooses, up to {MAX_LANES}, if none.",
    ),
]
Weights = Annotated[str, checked.choice(of=WEIGHTS, help="Where weights come from.")]
Memory = Annotated[str, checked.choice(of=MEMORIES, help="External memory: that of which board.")]
Controller = Annotated[
    str, checked.choice(of=MODELS, help="Its model: fast, or LiteDRAM's own controller.")
]
Port = Annotated[
    int | None, checked.whole(least=16, most=128, help="Bits of its port; the board's own if none.")
]

TARGET = {
    "model": options.Model,
    "checkpoint": options.CheckpointFile,
    "numbers": options.Numbers,
    "schedule": options.Schedule,
    "multipliers": options.Multipliers,
    "lanes": Lanes,
    "streams": options.Streams,
    "weights": Weights,
    "scales": options.Scales,
    "cache_bits": options.CacheBits,
    "memory": Memory,
    "controller": Controller,
    "port": Port,
    "context": options.Context,
    "window": options.Window,
}
"""The option of every field of ``Target``."""

Engine = Annotated[str, checked.choice(of=ENGINES, help="Simulator.")]
Names = Annotated[
    int | None,
    checked.whole(least=1, most=REQUEST_DEPTH, help="How many names (texts) to generate."),
]
Tokens = Annotated[
    int | None, checked.whole(least=1, most=options.MOST_TOKENS, help="Tokens of a text, at most.")
]
Start = Annotated[
    int,
    checked.whole(
        least=0,
        most=REQUEST_DEPTH,
        help="Tokens of the prompt whose keys and values are in an external memory already.",
    ),
]
Prompt = Annotated[str, typer.Option(help="Text to go on from.")]
Temperature = Annotated[float, checked.number(expected=TEMPERATURES, help=f"{TEMPERATURES}.")]
Seed = options.Seed
Form = Annotated[
    str | None, checked.choice("--trace", of=FORMS, help="Record a waveform, in this format.")
]
SAMPLING = Sampling()


def with_target(command: Callable[..., None]) -> Callable[..., None]:
    """The command with an option for every field of ``Target`` in place of its first parameter."""
    _, *others = inspect.signature(command, eval_str=True).parameters.values()
    keyword = inspect.Parameter.KEYWORD_ONLY
    own = [
        inspect.Parameter(each.name, keyword, default=each.default, annotation=TARGET[each.name])
        for each in fields(Target)
    ]

    @functools.wraps(command)
    def called(**given) -> None:
        target = Target(**{name: given.pop(name) for name in TARGET if name in given})
        command(target, **given)

    parameters = [*own, *(other.replace(kind=keyword) for other in others)]
    called.__signature__ = inspect.Signature(parameters)
    return called


def check_form(engine: str, waveform: Path) -> None:
    """Raise an OptionError if the engine cannot write the file ``waveform``."""
    if engine == "amaranth" and waveform.suffix.lower() == ".fst":
        raise OptionError("engine", f"is amaranth, which cannot write {waveform}; expected a .vcd")

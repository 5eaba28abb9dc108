"""Options that several commands share, and what they mean together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from golden.balancer import DEFAULT_MULTIPLIERS
from sim.workload import Sampling

Model = Annotated[str, typer.Option(help="Preset.")]
CheckpointFile = Annotated[
    Path | None, typer.Option("--checkpoint", help="Weights; the preset's own if none")
]
Numbers = Annotated[str, typer.Option(help="Activations: fixed or block.")]
ScheduleName = Annotated[str, typer.Option("--schedule", help="folded or pipelined.")]
Multipliers = Annotated[int, typer.Option(help="Multipliers that the schedule may use.")]
Lanes = Annotated[
    int | None, typer.Option(help="Widest beat, a power of two; the schedule chooses if none.")
]
Streams = Annotated[int, typer.Option(help="Sequences in flight at once.")]
Weights = Annotated[str, typer.Option(help="Where weights come from: rom, wires or stream.")]
Engine = Annotated[str, typer.Option(help="verilator, icarus or amaranth.")]
Names = Annotated[int, typer.Option(help="How many names (texts) to generate.")]
Tokens = Annotated[int | None, typer.Option(help="Tokens of a text, at most.")]
Prompt = Annotated[str, typer.Option(help="Text to go on from.")]
Temperature = Annotated[float, typer.Option(help="0 is greedy; else 1/64 to 8.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same text.")]

MODEL = "microgpt"
NUMBERS = "fixed"
SCHEDULE = "folded"
MULTIPLIERS = DEFAULT_MULTIPLIERS
SAMPLING = Sampling()
NAMES = 20

"""``python -m sim wave``: write a waveform, a GTKWave view of it, and the timeline of the units."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from golden.errors import WeftError, make_folder_for
from golden.tokenizer import tokenizer_for
from sim.build import BUILD, Target, make_design
from sim.commands import options
from sim.engines import DEFAULT, Trace
from sim.show import Voice
from sim.waves.make import TOKENS, Written, build_for_waves, choose_window, record, write_all
from sim.waves.signals import signals_of
from sim.workload import Sampling, make_requests


def wave(
    model: options.Model = options.MODEL,
    checkpoint: options.CheckpointFile = None,
    numbers: options.Numbers = options.NUMBERS,
    prompt: options.Prompt = "",
    names: options.Names = 1,
    tokens: options.Tokens = None,
    temperature: options.Temperature = options.SAMPLING.temperature,
    seed: options.Seed = options.SAMPLING.seed,
    engine: options.Engine = DEFAULT,
    schedule: options.ScheduleName = options.SCHEDULE,
    multipliers: options.Multipliers = options.MULTIPLIERS,
    lanes: options.Lanes = None,
    streams: options.Streams = 1,
    weights: options.Weights = "rom",
    trace: Annotated[
        str | None, typer.Option(help="Format: vcd or fst; fst where the engine can.")
    ] = None,
    start: Annotated[int, typer.Option("--from", help="First cycle to show.")] = 0,
    cycles: Annotated[
        int | None, typer.Option(help="How many cycles to show; three tokens if none.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Waveform to write; the rest goes beside it.")
    ] = None,
) -> None:
    """Write a waveform, a GTKWave view of it, and the timeline of the units as SVG and PNG."""
    path = _file(model, engine, trace, output)
    whole = start == 0 and cycles is None and tokens is None
    tokens = TOKENS if whole else tokens
    target = Target(model, checkpoint, numbers, schedule, multipliers, lanes, streams, weights)
    design = make_design(target)
    requests = make_requests(
        design.checkpoint, Sampling(temperature, seed), max(names, streams), prompt, tokens
    )
    make_folder_for(path)
    window = Trace(path, start, cycles)
    simulation = build_for_waves(design, engine)
    if cycles is None and not whole:
        window = choose_window(design, simulation, requests, path, start)
    voice = Voice(tokenizer_for(design.checkpoint), requests, streams)
    outcome = record(design, simulation, requests, window, voice.say)
    voice.finish()
    written = write_all(path, signals_of(design, model))
    _tell(written, outcome.simulated_cycles)


def _file(model: str, engine: str, trace: str | None, output: Path | None) -> Path:
    """The waveform's file; its suffix is its format."""
    if trace not in (None, "vcd", "fst"):
        raise WeftError(f"trace is {trace!r}; expected vcd or fst")
    default = "vcd" if engine == "amaranth" else "fst"
    path = output or BUILD / "wave" / model / f"wave.{trace or default}"
    if trace is not None and path.suffix.lower() != f".{trace}":
        raise WeftError(f"trace is {trace}, but the output {path} ends otherwise")
    _ = Trace(path).format  # raises for a suffix that is neither
    return path


def _tell(written: Written, cycles: int) -> None:
    timeline = written.timeline
    per_token = timeline.cycles_per_token
    speed = "no whole token" if per_token is None else f"{per_token:,.1f} cycles a token"
    print(f"\ncycles {timeline.first:,} to {timeline.end - 1:,} of {cycles:,}: {speed}")
    for file in written.files:
        print(f"  {file}")
    view = next(file for file in written.files if file.suffix == ".gtkw")
    print(f"gtkwave {view}")

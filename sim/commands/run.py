"""``python -m sim run``: generate text on the gateware, and compare every value on the way."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from golden.errors import WeftError, make_folder_for, write_whole
from golden.tokenizer import tokenizer_for
from sim.build import BUILD, Target, build, make_design
from sim.commands import options
from sim.engines import DEFAULT, Trace
from sim.report import make_report
from sim.session import run as simulate
from sim.show import Voice, show_summary
from sim.tap_file import check_tap_file, write_taps
from sim.workload import Sampling, make_requests

TRACE_CYCLES = 4000
"""Cycles that TRACE= writes, from the start; `make wave` chooses."""


def run(
    model: options.Model = options.MODEL,
    checkpoint: options.CheckpointFile = None,
    numbers: options.Numbers = options.NUMBERS,
    prompt: options.Prompt = "",
    names: options.Names = options.NAMES,
    tokens: options.Tokens = None,
    temperature: options.Temperature = options.SAMPLING.temperature,
    seed: options.Seed = options.SAMPLING.seed,
    engine: options.Engine = DEFAULT,
    schedule: options.ScheduleName = options.SCHEDULE,
    multipliers: options.Multipliers = options.MULTIPLIERS,
    lanes: options.Lanes = None,
    streams: options.Streams = 1,
    weights: options.Weights = "rom",
    trace: Annotated[str | None, typer.Option(help="Record waveforms: vcd or fst.")] = None,
    taps: Annotated[
        Path | None, typer.Option(help="Write every compared value to this .npz file.")
    ] = None,
) -> None:
    """Generate text on the gateware; compare every value of every stage with the integer model."""
    target = Target(model, checkpoint, numbers, schedule, multipliers, lanes, streams, weights)
    sampling = Sampling(temperature, seed)
    design = make_design(target)
    requests = make_requests(design.checkpoint, sampling, names, prompt, tokens)
    folder = BUILD / "sim" / model
    report_file = folder / "report.json"
    make_folder_for(report_file)
    waves = None if trace is None else Trace(_trace_file(folder, trace), 0, TRACE_CYCLES)
    if taps is not None:
        check_tap_file(taps)
    simulation = build(design, engine)
    voice = Voice(tokenizer_for(design.checkpoint), requests, streams)
    outcome = simulate(
        design, simulation, requests, folder / "run", voice.say, waves, keep=taps is not None
    )
    voice.finish()
    report = make_report(target, design, engine, sampling, requests, outcome)
    write_whole(report_file, (json.dumps(report, indent=2) + "\n").encode())
    if taps is not None:
        write_taps(taps, outcome.checker)
    show_summary(report, report_file, sys.stdout)


def _trace_file(folder: Path, kind: str) -> Path:
    if kind not in ("vcd", "fst"):
        raise WeftError(f"trace is {kind!r}; expected vcd or fst")
    return folder / f"trace.{kind}"

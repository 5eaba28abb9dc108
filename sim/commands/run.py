"""``python -m sim run``: generate text on the gateware, and compare every value on the way."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from golden import checked, lines
from golden.errors import OptionError, check_writable, make_folder_for, write_whole
from golden.tokenizer import tokenizer_for
from sim.build import BUILD, Target, build, make_design
from sim.commands import options
from sim.engines import DEFAULT, FORMS, Trace
from sim.mismatch import Mismatch
from sim.report import interrupted_report, make_report, mismatch_report
from sim.session import Interrupted
from sim.session import run as simulate
from sim.show import Voice, show_summary
from sim.tap_file import check_tap_file, write_taps
from sim.watch import Display, Work
from sim.workload import Sampling, make_requests

NAMES = 20
"""Texts of a small model; of a large one, a single one."""

TRACE_CYCLES = 4000
"""Cycles that TRACE= writes, from the start; the summary says so, and `make wave` chooses."""


@options.with_target
def run(
    target: Target,
    prompt: options.Prompt = "",
    names: options.Names = None,
    tokens: options.Tokens = None,
    start: options.Start = 0,
    temperature: options.Temperature = options.SAMPLING.temperature,
    seed: options.Seed = options.SAMPLING.seed,
    engine: options.Engine = DEFAULT,
    trace: options.Form = None,
    taps: Annotated[
        Path | None, checked.file(ends=(".npz",), help="Write every compared value to this file.")
    ] = None,
) -> None:
    """Generate text on the gateware; compare every value of every stage with the integer model."""
    sampling = Sampling(temperature, seed)
    folder = BUILD / "sim" / target.model
    report_file = folder / "report.json"
    waves = None if trace is None else folder / f"trace.{trace}"
    _check_files(engine, report_file, waves, taps)
    design = make_design(target)
    if start and not design.schedule.port:
        kept = f"the schedule {design.schedule.name} keeps keys and values on the chip"
        raise OptionError("start", f"is {start}, and {kept}: expected 0, or the schedule external")
    names = names or (1 if design.schedule.port else NAMES)
    requests = make_requests(design.checkpoint, sampling, names, prompt, tokens, start)
    for earlier in (report_file, *(folder / f"trace.{form}" for form in FORMS)):
        earlier.unlink(missing_ok=True)  # it says nothing about this run
    simulation = build(design, engine)
    make_folder_for(report_file)
    with (
        _told_where(report_file),
        # Others may run at the same time.
        TemporaryDirectory(prefix=".run-", dir=folder) as own,
        Voice(tokenizer_for(design.checkpoint), requests, target.streams) as voice,
        Display(Work.of(requests, design.plan.n_ctx, **design.least_cycles())) as display,
    ):

        def say(token: dict) -> None:
            display.clear()
            voice.say(token)

        traced = None if waves is None else Trace(Path(own) / waves.name, 0, TRACE_CYCLES)
        try:
            outcome = simulate(
                design, simulation, requests, Path(own), say, traced, taps is not None, display
            )
        except Mismatch as found:
            _write(report_file, mismatch_report(target, design, engine, sampling, requests, found))
            raise
        except Interrupted as found:
            account = target, design, engine, sampling, requests, found.outcome
            _write(report_file, interrupted_report(*account))
            raise
        if traced is not None:
            traced.path.replace(waves)
    report = make_report(target, design, engine, sampling, requests, outcome)
    if waves is not None:
        last = min(TRACE_CYCLES, outcome.simulated_cycles) - 1
        report["trace"] = {"file": str(waves), "first": 0, "last": last}
    _write(report_file, report)
    if taps is not None:
        write_taps(taps, outcome.checker)
    show_summary(report, report_file, sys.stdout)


@contextmanager
def _told_where(report: Path) -> Iterator[None]:
    """Say at last, after Ctrl-C, where the report of what was measured is."""
    try:
        yield
    except Interrupted:
        lines.note(f"interrupted; what was measured until then is in {report}")
        raise


def _write(file: Path, report: dict) -> None:
    write_whole(file, (json.dumps(report, indent=2) + "\n").encode())


def _check_files(engine: str, report: Path, waves: Path | None, taps: Path | None) -> None:
    """Find out before the work that all its results can be written."""
    check_writable(report)
    if waves is not None:
        options.check_form(engine, waves)
        check_writable(waves)
    if taps is not None:
        check_tap_file(taps)

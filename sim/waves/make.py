"""From a design to a waveform, its view and its timeline: all that ``make wave`` writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from golden.errors import OptionError, WeftError, write_whole
from golden.generate import Request
from golden.words import counted
from sim.build import CACHE, Design, build
from sim.engines import FORMS, Simulation, Trace
from sim.engines.verilator import Verilator
from sim.session import Outcome
from sim.session import run as simulate
from sim.waves.draw import draw
from sim.waves.dump import Dump
from sim.waves.gtkwave import write_view
from sim.waves.signals import Signals
from sim.waves.timeline import Timeline, read_timeline

TOKENS = 3
"""Tokens that the window holds if nobody says how many cycles."""

MARGIN = 2
"""Cycles before and after them."""

NEVER = 1 << 40
"""A cycle that no run reaches."""


@dataclass(frozen=True)
class Written:
    """The timeline that was read, and the files."""

    timeline: Timeline
    files: tuple[Path, ...]


def build_for_waves(design: Design, engine: str, folder: Path = CACHE) -> Simulation:
    """The design's bench; Verilator's is compiled in little time, and only with waveforms."""
    if engine != "verilator":
        return build(design, engine, folder)
    return Verilator(quick=True).generate(design.bench, design.key(), folder)


def choose_window(
    design: Design, simulation: Simulation, requests: Sequence[Request], path: Path, start: int
) -> Trace:
    """A waveform from ``start`` to the end of the third token after it, found by a run.

    Raises WeftError if the run ends before ``start``.
    """
    unseen = Trace(path, NEVER, 1)  # by the same program: no other must be compiled
    with TemporaryDirectory(prefix="weft-") as folder:
        outcome = simulate(design, simulation, requests, Path(folder), trace=unseen)
    _check_start(start, outcome)
    ends = [cycle for cycle, _ in outcome.tokens if cycle > start][:TOKENS]
    end = ends[-1] if ends else outcome.simulated_cycles
    return Trace(path, start, max(end + MARGIN - start, 1))


def record(
    design: Design,
    simulation: Simulation,
    requests: Sequence[Request],
    trace: Trace,
    say: Callable[[dict], None] = lambda token: None,
) -> Outcome:
    """Simulate, compare every tap, and write the waveform ``trace``.

    Raises
    ------
    WeftError
        If the run ends before the waveform begins, or as sim.session.run.
    """
    if trace.start < 0 or (trace.cycles is not None and trace.cycles < 1):
        raise WeftError(
            f"from is {trace.start} and cycles is {trace.cycles}; expected at least 0 and 1"
        )
    path = Path(trace.path)
    for suffix in (path.suffix, *(f".{form}" for form in FORMS)):
        path.with_suffix(suffix).unlink(missing_ok=True)  # the view beside it is of one of them
    with TemporaryDirectory(prefix="weft-") as folder:
        outcome = simulate(design, simulation, requests, Path(folder), say, trace)
    _check_start(trace.start, outcome)
    return outcome


def write_all(path: Path, signals: Signals) -> Written:
    """Read the waveform ``path``; write view and timeline beside it.

    Raises
    ------
    WeftError
        If the waveform is missing or empty, or lacks signals.
    """
    dump = Dump(path)
    timeline = read_timeline(dump, signals)
    files = [path, *write_view(path.with_suffix(".gtkw"), dump, signals, _opening(timeline))[:1]]
    for form in ("svg", "png"):
        files.append(path.with_name(f"{path.stem}-timeline.{form}"))
        write_whole(files[-1], lambda file, form=form: draw(file, timeline, signals, form))
    return Written(timeline, tuple(files))


def _check_start(start: int, outcome: Outcome) -> None:
    if start >= outcome.simulated_cycles:
        raise OptionError(
            "from",
            f"is {start:,}, but this run has {counted(outcome.simulated_cycles, 'cycle')}; "
            "choose an earlier cycle or more tokens",
        )


def _opening(timeline: Timeline) -> tuple[int, int]:
    """The cycles that the view opens on: the first whole token and the beginning of the next."""
    for flight in timeline.flights:
        if flight.whole:
            more = (flight.end - flight.start) // 8
            return max(flight.start - MARGIN, timeline.first), flight.end + MARGIN + more
    return timeline.first, timeline.end

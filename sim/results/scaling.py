"""Does memory stay constant, do cycles grow in proportion?  Long runs through a window."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from golden.generate import Request
from sim.build import Design, Target, build, make_design
from sim.compare import ACCEPT, SAMPLE
from sim.engines import Simulation
from sim.results.hardware import cache_bits, folder, full_contexts
from sim.session import run

MODEL = "ailang"
PROGRAM = "sim"
"""Name of the process of a compiled simulation."""

LOOK_EVERY = 0.01
"""Seconds between two looks at the memory of the simulator."""


@dataclass(frozen=True)
class Fit:
    """The straight line ``y = slope * x + offset`` nearest to points, and its largest deviation."""

    slope: float
    offset: float
    residual: float


def linear_fit(x, y) -> Fit:
    """Least squares.

    Raises
    ------
    ValueError
        For fewer than two different x.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(np.unique(x)) < 2:
        raise ValueError("a line needs two different points")
    slope, offset = np.polyfit(x, y, 1)
    return Fit(float(slope), float(offset), float(np.abs(slope * x + offset - y).max()))


def measure(sizes) -> dict:
    """A run of each size: cycles, time, memory; and the line through the cycles."""
    design = make_design(Target(MODEL))
    simulation = build(design, "verilator")
    rows = []
    for size in sizes:
        (request,) = full_contexts(design, 1, size)
        said = f"weft: {size:,} tokens"
        with tqdm(total=size, desc=said, leave=False, disable=None) as bar:
            rows.append(one(design, simulation, request, lambda _, bar=bar: bar.update()))
    fit = linear_fit([row["tokens"] for row in rows], [row["cycles"] for row in rows])
    return {"model": MODEL, "window": design.checkpoint.config.window, "rows": rows} | vars(fit)


def one(design: Design, simulation: Simulation, request: Request, say: Callable) -> dict:
    """One sequence; every value is compared."""
    with PeakMemory() as peak:
        outcome = run(design, simulation, [request], folder("scaling"), say)
    spans = outcome.checker.spans
    accepted = min(first for (tap, *_), (first, _) in spans.items() if tap == ACCEPT)
    sampled = max(last for (tap, *_), (_, last) in spans.items() if tap == SAMPLE)
    return {
        "tokens": outcome.checker.tokens,
        "cycles": sampled - accepted,
        "compared": outcome.checker.compared,
        "mismatches": 0,  # a run with one ends at the first
        "cache_bits": cache_bits(design),
        "peak_bytes": peak.bytes,
        "seconds": outcome.wall_seconds,
    }


class PeakMemory:
    """The largest resident memory of the simulator that runs meanwhile, as Linux accounts for it.

    Members
    -------
    bytes: the peak; 0 where the system does not tell.
    """

    def __init__(self, program: str = PROGRAM):
        self.bytes = 0
        self._program = program
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_EVERY):
            for process in children():
                self.bytes = max(self.bytes, peak_of(process, self._program))


def children() -> list[Path]:
    """Folders in ``/proc`` of the processes that this one has started."""
    found = []
    for listed in Path("/proc/self/task").glob("*/children"):
        try:
            found += [Path("/proc") / number for number in listed.read_text().split()]
        except OSError:
            continue  # the thread has ended
    return found


def peak_of(process: Path, program: str) -> int:
    """The peak of a process's resident memory in bytes; 0 if it is gone or is not ``program``.

    ``ru_maxrss`` would count the memory of Python as well, from before the program was loaded.
    """
    try:
        lines = (process / "status").read_text().splitlines()
    except OSError:
        return 0
    status = {key: value.split() for key, _, value in (line.partition(":") for line in lines)}
    if status.get("Name") != [program] or "VmHWM" not in status:
        return 0
    return int(status["VmHWM"][0]) * 1024

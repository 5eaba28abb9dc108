"""The driver: replays a trace against a memory, and tells what every beat and cycle came to."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from dataclasses import astuple
from pathlib import Path

from golden.errors import WeftError
from sim import tools
from sim.build import BUILD
from sim.engines import cache, process
from sim.engines.verilator import HEADERS
from sim.memory.models import FOLDER
from sim.memory.patterns import Consumer

MAIN = FOLDER / "traffic.cpp"
CACHE = BUILD / "cache" / "memory"
OPTIONS = ("-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror")


def program() -> Path:
    """The driver, compiled if need be."""
    compiler = tools.cxx()
    sources = [path.read_bytes() for path in (MAIN, *HEADERS)]
    name = cache.digest(*sources, OPTIONS, tools.version_of(compiler))

    def make(target: Path) -> None:
        command = [compiler, *OPTIONS, f"-I{FOLDER}", MAIN, "-o", "sim", "-ldl"]
        process.execute(command, target, "the C++ compiler")

    return cache.cached(CACHE / name, make, "compiling the driver of memories") / "sim"


def replay(
    memory: Path, beat_bytes: int, trace: Iterable[str], consumer: Consumer = Consumer()
) -> dict:
    """Replay a trace.

    Parameters
    ----------
    memory
        Of sim.memory.models.path.
    beat_bytes
        Of its port.
    trace
        Lines; see ``traffic.cpp``.
    consumer
        How the answers are used.

    Returns
    -------
    dict
        cycles: up to the last transfer.  reads, writes: beats.  mismatches: beats that were not
        what was last written; first_mismatch: the number of the first, or -1.  different: beats of
        the memory that were not what they must be at the end.  gaps: cycles from an answer to the
        next -> how often.  events: stands for all transfers and their cycles.  seconds: it took.

    Raises
    ------
    WeftError
        If the memory is stuck, has another port, or the trace is no trace.
    """
    driver = program().resolve()
    with tempfile.TemporaryDirectory(prefix=".run-", dir=CACHE) as folder:
        lines = Path(folder) / "trace.txt"
        lines.write_text("".join(f"{line}\n" for line in trace))
        log = Path(folder) / "log.txt"
        command = [driver, Path(memory).resolve(), beat_bytes, lines.resolve(), *astuple(consumer)]
        with log.open("wb") as errors, process.started(command, Path(folder), -1, errors) as run:
            said = run.stdout.read()
            run.wait()
        if run.returncode:
            reason = log.read_text(errors="replace").strip().splitlines()
            what = reason[-1] if reason else f"it ended{process.ended(run.returncode)}"
            raise WeftError(f"the simulation of the memory stopped: {what}")
    found = json.loads(said)
    return found | {"gaps": {int(gap): count for gap, count in found["gaps"].items()}}

"""What ``make results`` measures: performance, correctness and scaling, in one dictionary.

:mod:`sim.results.document` turns the dictionary into ``docs/results.md``; every measurement in
that text comes from it.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass

from sim import tools
from sim.report import VERSION
from sim.results import correctness, hardware, scaling, software


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Parameters
    ----------
    contexts: full contexts that microgpt generates in every configuration.
    words: tokens of ailang. names: names that are compared side by side.
    held_out: held-out names for accuracy. scaling: tokens of the runs through the window.
    seconds: how long software is measured.
    """

    contexts: int = 8
    words: int = 100
    names: int = 20
    held_out: int = 1000
    scaling: tuple[int, ...] = (10, 100, 1_000, 10_000)
    seconds: float = 1.0


QUICK = Sizes(contexts=2, words=10, names=4, held_out=20, scaling=(10, 40, 100), seconds=0.05)
"""For a look at the document, and for tests."""


def collect(sizes: Sizes, say: Callable[[str], None] = lambda what: None) -> dict:
    """Measure everything; ``say`` hears what is being done.  Takes minutes.

    Raises
    ------
    WeftError
        As sim.session.run: a difference between hardware and integer model ends it all.
    """
    started = time.perf_counter()
    runs = hardware.measure_cases(sizes.contexts, sizes.words, say)
    say("simulation speed of the three engines")
    engines = hardware.engine_speeds()
    say("the models in NumPy on this machine")
    in_software = [software.measure(row["model"], sizes.seconds) for row in _models(runs)]
    say(f"{sizes.names} names: float, integer, hardware")
    sides = correctness.side_by_side(sizes.names)
    say(f"accuracy on {sizes.held_out:,} held-out names")
    accuracy = correctness.accuracy_rows(sizes.held_out)
    say(f"scaling to {max(sizes.scaling):,} tokens")
    scaled = scaling.measure(sizes.scaling)
    return {
        "version": VERSION,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "tools": tools.versions(),
        "machine": {
            "cpu": software.cpu_model(),
            "cores": software.cores(),
            "system": f"{platform.system()} {platform.machine()}",
        },
        "sizes": vars(sizes) | {"scaling": list(sizes.scaling)},
        "runs": runs,
        "engines": engines,
        "software": in_software,
        "sides": sides,
        "accuracy": accuracy,
        "scaling": scaled,
        "seconds": time.perf_counter() - started,
    }


def _models(runs: list[dict]) -> list[dict]:
    """The first run of each model."""
    return list({row["model"]: row for row in reversed(runs)}.values())[::-1]

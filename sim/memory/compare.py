"""Both models of a memory side by side: the same traffic, and how far their cycles are apart."""

from __future__ import annotations

from collections.abc import Iterable

from sim.memory import models
from sim.memory.patterns import Pattern
from sim.memory.traffic import replay
from sim.mismatch import Mismatch

TOLERANCE = 2.0
"""Percent by which the cycles of a pattern may differ."""


def compare(memory: str, patterns: Iterable[Pattern]) -> dict:
    """Replay patterns against the models of a memory.

    Parameters
    ----------
    memory
        One of sim.memory.models.MEMORIES.
    patterns
        Of sim.memory.patterns; the rate of the first is the bound of the others.

    Returns
    -------
    dict
        memory, clock_mhz, beat_bytes, bound_bytes_per_cycle, and a row a pattern; see ``row``.

    Raises
    ------
    Mismatch
        If a beat is not what was written, or cycles differ by more than ``TOLERANCE``.
    """
    given = models.parameters(memory)
    report = {"memory": memory, "clock_mhz": given["clock_mhz"], "beat_bytes": given["beat_bytes"]}
    rows = []
    for pattern in patterns:
        bound = rows[0]["bytes_per_cycle"] if rows else 0
        rows.append(row(memory, pattern, bound))
    return report | {"bound_bytes_per_cycle": rows[0]["bytes_per_cycle"], "patterns": rows}


def row(memory: str, pattern: Pattern, bound: float) -> dict:
    """One pattern: beats, cycles of each model, difference in percent, rate, share of the bound.

    bound: bytes a cycle; 0 if this pattern gives it.
    """
    width = models.parameters(memory)["beat_bytes"]
    found = {
        model: replay(models.path(model, memory), width, pattern.trace, pattern.consumer)
        for model in models.MODELS
    }
    for model, result in found.items():
        if wrong := result["mismatches"] + result["different"]:
            raise Mismatch(f"{pattern.name}: {wrong} beats of {memory} ({model}) are wrong", wrong)
    real, fast = found["litedram"], found["fast"]
    difference = 100 * (fast["cycles"] / real["cycles"] - 1)
    if abs(difference) > TOLERANCE:
        raise Mismatch(
            f"{pattern.name}: {memory} takes {real['cycles']} cycles with LiteDRAM's controller "
            f"and {fast['cycles']} with the fast model; {TOLERANCE} % would be tolerable"
        )
    beats = real["reads"] + real["writes"]
    rate = beats * width / real["cycles"]
    return {
        "name": pattern.name,
        "beats": beats,
        "cycles": {model: result["cycles"] for model, result in found.items()},
        "difference_percent": difference,
        "same_events": real["events"] == fast["events"],
        "bytes_per_cycle": rate,
        "of_bound": rate / (bound or rate),
        "cycles_per_second": {m: r["cycles"] / r["seconds"] for m, r in found.items()},
    }

"""What a report tells of a core with an external memory: prompts apart from what is sampled."""

from __future__ import annotations

import statistics

from sim.build import Design
from sim.compare import ACCEPT
from sim.external import bytes_per_token
from sim.memory import models
from sim.session import Outcome


def prefill_cycles(outcome: Outcome) -> dict[tuple[int, int], int]:
    """Cycles of the tokens after which nothing was sampled, by (sequence, position).

    From the acceptance of each to that of the next: there is one stream.
    """
    requests = outcome.checker.golden.requests
    begun = {
        (sequence, position): first
        for (tap, sequence, position, _), (first, _) in outcome.checker.spans.items()
        if tap == ACCEPT
    }
    return {
        (sequence, position): begun[sequence, position + 1] - first
        for (sequence, position), first in begun.items()
        if position < len(requests[sequence].prompt) - 1 and (sequence, position + 1) in begun
    }


def sampled_positions(outcome: Outcome) -> list[int]:
    """The position of every token after which one was sampled."""
    return [token["position"] for _, token in outcome.tokens]


def figures(design: Design, outcome: Outcome) -> dict:
    """The keys of a report that are of external memories; those of prompts and of the rest."""
    plan, external = design.plan, design.external
    prefill, decode = prefill_cycles(outcome), sampled_positions(outcome)
    told: dict = {"prefill": {"tokens": len(prefill)}, "bytes_per_token": None}
    mean = {}
    if prefill:
        seen = [position for _, position in prefill]
        mean["prefill"] = statistics.fmean(prefill.values())
        told["prefill"] |= {
            "mean": mean["prefill"],
            "memory_cycles": external.bound(plan, seen, sampled=False),
            "bytes_per_token": bytes_per_token(plan, seen, sampled=False),
        }
    if decode:
        mean["decode"] = statistics.fmean(token["cycles"] for _, token in outcome.tokens)
        told["bytes_per_token"] = bytes_per_token(plan, decode)
    return told | {"tokens_per_second": tokens_per_second(design, mean)}


def tokens_per_second(design: Design, mean: dict[str, float]) -> dict | None:
    """What the mean cycles come to at the clock of the memory's board; None for ports of no board.

    The clock is assumed: nothing here has been placed or routed.
    """
    external = design.external
    numbers = models.parameters(external.memory)
    if external.bits != 8 * numbers["beat_bytes"]:
        return None
    clock = numbers["clock_mhz"]
    source = f"assumed: that of the memory controller in sim/memory/{external.memory}.toml"
    rates = {kind: clock * 1e6 / cycles for kind, cycles in mean.items()}
    return rates | {"clock_mhz": clock, "clock_source": source}

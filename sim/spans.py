"""When each stage worked on each token, from the taps of a run."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator

from golden.plan import Plan
from golden.stage import Stage
from sim.build import Design
from sim.compare import ACCEPT, SAMPLE
from sim.session import Outcome


def positions(outcome: Outcome) -> list[int]:
    """The position of every token that was taken in."""
    return [position for tap, _, position, _ in outcome.checker.spans if tap == ACCEPT]


def throughput_cycles(outcome: Outcome) -> float:
    """Cycles a token over the whole run, all streams: first acceptance to last sample."""
    spans = outcome.checker.spans
    accepted = [first for (tap, *_), (first, _) in spans.items() if tap == ACCEPT]
    sampled = [last for (tap, *_), (_, last) in spans.items() if tap == SAMPLE]
    return (max(sampled) - min(accepted)) / len(accepted)


def part_of(plan: Plan, section: str):
    """The part of the plan that a section of a schedule executes."""
    return {"prologue": plan.prologue, "epilogue": plan.epilogue}.get(section, plan.template)


def stage_of(plan: Plan, section: str, name: str) -> Stage:
    """The stage of that name."""
    return next(stage for stage in part_of(plan, section) if stage.name == name)


def intervals(design: Design, outcome: Outcome) -> Iterator[tuple[str, str, tuple, int, int]]:
    """(section, stage, (sequence, position), begin, end) of every stage of every token, in cycles.

    ``begin``: the last beat of the last of its inputs.  ``end``: the last beat of its answer.
    """
    plan, spans = design.plan, outcome.checker.spans
    ends = {key: last for key, (_, last) in spans.items()}
    instances = design.schedule.instances
    for (tap, sequence, position, layer), end in ends.items():
        section, _, name = tap.partition(".")
        if not name or "." in name:
            continue
        token = sequence, position
        makers = _makers(plan, section, layer, instances, stage_of(design.plan, section, name))
        begin = max(ends.get((maker, *token, of), -math.inf) for maker, of in makers)
        if begin > -math.inf:
            yield section, name, token, begin, end


def mean_cycles(design: Design, outcome: Outcome) -> dict[tuple[str, str], float]:
    """Mean cycles from a stage's last input to its last output, by (section, stage)."""
    found: dict[tuple[str, str], list[int]] = {}
    for section, name, _, begin, end in intervals(design, outcome):
        found.setdefault((section, name), []).append(end - begin)
    return {key: statistics.fmean(values) for key, values in found.items()}


def _makers(
    plan: Plan, section: str, layer: int, instances: int, stage: Stage
) -> list[tuple[str, int]]:
    """(tap, layer) of the values that a stage reads."""
    part = part_of(plan, section)
    makers = []
    for value in stage.inputs:
        if value != part.input:
            maker = next(s.name for s in part if s.output == value)
            makers.append((f"{section}.{maker}", layer))
        elif section == "prologue":
            makers.append((ACCEPT, 0))
        elif section.startswith("layer") and layer == 0:
            makers.append((f"prologue.{_last(plan.prologue)}", 0))
        else:
            before = len(plan.layers) - 1 if section == "epilogue" else layer - 1
            makers.append((f"layer{before % instances}.{_last(plan.template)}", before))
    return makers


def _last(section) -> str:
    return next(stage.name for stage in section if stage.output == section.output)

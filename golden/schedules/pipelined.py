"""Every stage of every layer on a unit of its own, for many sequences in flight."""

from __future__ import annotations

from golden.layout import heads_per_beat
from golden.plan import Plan
from golden.schedule import Schedule, Unit, sections
from golden.schedules.shapes import (
    MAX_LANES,
    ROPE_LEAST,
    attention_lanes,
    check_budget,
    check_lanes,
    forms_products,
    linear_shape,
    power_of_two,
    rope_lanes,
)
from golden.stage import Attention, Linear, Rope, Stage, stage_macs


def pipelined(
    plan: Plan, multipliers: int, streams: int = 1, widest: int | None = None
) -> Schedule:
    """A unit for every stage of every layer.

    Multipliers go to the slowest stage that can use more of them, one doubling at a time.
    """
    widest = widest or MAX_LANES
    physical = list(sections(plan, len(plan.layers)))
    stages = {(name, stage.name): stage for name, section in physical for stage in section}
    share = {key: _least(stage) for key, stage in stages.items()}
    check_lanes(any(isinstance(stage, Rope) for stage in stages.values()), widest)
    check_budget("pipelined", multipliers, streams, least=sum(share.values()))
    while True:
        grown = _grow(stages, share, multipliers, widest)
        if grown is None:
            break
        share = grown
    units = [_own_unit(key, stages[key], share[key], widest) for key in stages]
    binding = tuple((key, unit.name) for key, unit in zip(stages, units, strict=True))
    return Schedule("pipelined", multipliers, streams, len(plan.layers), tuple(units), binding)


def _least(stage: Stage) -> int:
    if isinstance(stage, Attention):
        return 2
    if isinstance(stage, Rope):
        return ROPE_LEAST
    return 1 if forms_products(stage) else 0


def _grow(stages, share, budget: int, widest: int):
    """The shares after giving the slowest stage that can use it twice as many, or None."""
    left = budget - sum(share.values())
    slowest = sorted(stages, key=lambda key: -_stage_cycles(stages[key], share[key], widest))
    for key in slowest:
        wanted = _next_share(stages[key], share[key], _useful_lanes(stages, share, key, widest))
        if wanted is not None and wanted - share[key] <= left:
            return share | {key: wanted}
    return None


def _useful_lanes(stages, share, key: tuple[str, str], widest: int) -> int:
    """The widest beat that a stage gains from: GELU would wait for a producer that is narrower."""
    stage = stages[key]
    limit = min(widest, stage.output_size)
    if stage.kind != "activation":
        return limit
    made = (k for k in stages if k[0] == key[0] and stages[k].output in stage.inputs)
    return min([limit, *(_own_unit(k, stages[k], share[k], widest).rows for k in made)])


def _next_share(stage: Stage, share: int, widest: int) -> int | None:
    """The next larger share that a stage can use in beats of at most ``widest``, or None."""
    if isinstance(stage, Linear):
        return 2 * share if 2 * share <= stage.macs else None
    if isinstance(stage, Attention):
        lanes = 2 * attention_lanes(stage, share, widest)
        return lanes + heads_per_beat(stage.d_head, lanes) if lanes <= widest else None
    if isinstance(stage, Rope):
        return 2 * share if share <= widest else None
    if stage.kind in ("norm", "activation", "gate") and share:
        return 2 * share if 2 * share <= widest else None
    return None


def _stage_cycles(stage: Stage, share: int, widest: int) -> float:
    """Cycles of one token at the last position, products only."""
    passes = {"norm": 2, "activation": 1, "gate": 3, "rope": 2}.get(stage.kind)
    if passes:
        return passes * stage.output_size / max(share, 1)
    if isinstance(stage, Attention):
        share = attention_lanes(stage, share, widest)
    return stage_macs(stage, 1 << 30) / max(share, 1)


def _own_unit(key: tuple[str, str], stage: Stage, share: int, widest: int) -> Unit:
    name = key[1] if key[0] in ("prologue", "epilogue") else "_".join(key)
    array = name if share else None
    if isinstance(stage, Linear):
        lanes, rows = linear_shape([stage], share, widest)
        return Unit(name, stage.kind, lanes, rows, array)
    if isinstance(stage, Attention):
        lanes = attention_lanes(stage, share, widest)
        return Unit(name, stage.kind, lanes, lanes, array, heads_per_beat(stage.d_head, lanes))
    if isinstance(stage, Rope):
        lanes = rope_lanes(stage, share, widest)
        return Unit(name, stage.kind, lanes, lanes, array, lanes)
    if share:
        lanes = power_of_two(share)
    else:
        lanes = min(4, widest, power_of_two(stage.output_size))
    return Unit(name, stage.kind, lanes, lanes, array)

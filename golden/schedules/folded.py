"""One layer datapath, through which every layer runs, and one array for every product."""

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
    format_kind,
    forms_products,
    linear_shape,
    power_of_two,
    residual_name,
    rope_lanes,
)
from golden.stage import Attention, Convert, Linear, Residual, Rope, Stage


def folded_lanes(multipliers: int) -> int:
    """The widest beat by default: square tiles of a matrix leave the fewest products unused.

    Measured on microgpt, 64 multipliers: 8 x 8 makes 168 cycles a token, 16 x 4 makes 172 and a
    third more look-up tables.
    """
    return min(MAX_LANES, 1 << power_of_two(multipliers).bit_length() // 2)


def folded(plan: Plan, multipliers: int, streams: int = 1, widest: int | None = None) -> Schedule:
    """One unit for each kind of stage (and format), one array of ``multipliers`` for all."""
    physical = list(sections(plan, 1))
    turned = any(isinstance(stage, Rope) for _, section in physical for stage in section)
    check_budget("folded", multipliers, streams, least=ROPE_LEAST if turned else 2)
    check_lanes(turned, widest)
    widest = widest or folded_lanes(multipliers)
    linears = [s for _, section in physical for s in section if isinstance(s, Linear)]
    lanes, rows = linear_shape(linears, multipliers, widest)
    narrow = dict.fromkeys(("bias", "residual", "activation", "convert", "sample"), rows)
    units: dict[str, Unit] = {}
    binding = []
    for name, section in physical:
        for stage in section:
            unit_name = _shared_name(stage)
            if unit_name not in units:
                array = "multipliers" if forms_products(stage) else None
                wide, heads = narrow.get(stage.kind, lanes), 0
                if isinstance(stage, Attention):
                    wide = attention_lanes(stage, multipliers, widest)
                    heads = heads_per_beat(stage.d_head, wide)
                if isinstance(stage, Rope):
                    wide = heads = rope_lanes(stage, multipliers, widest)
                answer = rows if stage.kind == "linear" else wide
                units[unit_name] = Unit(unit_name, stage.kind, wide, answer, array, heads)
            binding.append(((name, stage.name), unit_name))
    ordered = sorted(units.values(), key=lambda u: PRIORITY.index(u.kind))
    return Schedule("folded", multipliers, streams, 1, tuple(ordered), tuple(binding))


PRIORITY = (
    "linear", "attention", "rope", "activation", "gate", "norm", "embed", "bias", "residual",
    "convert", "sample",
)  # fmt: skip
"""Who goes first at a shared multiplier array: those that ask because of what stands in their own
registers, so that it is known early who wins.  A norm asks when a beat arrives; noise, made ahead
of its need, goes last."""


def _shared_name(stage: Stage) -> str:
    """Stages of one kind share a unit when their formats agree."""
    if isinstance(stage, Residual):
        return residual_name(stage)
    if isinstance(stage, Convert):
        return f"convert_{format_kind(stage.source)}_{format_kind(stage.format)}"
    return stage.kind

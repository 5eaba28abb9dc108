"""How wide units are within a budget of multipliers, and which budgets are too small."""

from __future__ import annotations

import math

from golden.errors import OptionError
from golden.layout import heads_per_beat
from golden.numbers import MANTISSA_BITS, Fixed, Format
from golden.stage import Attention, Linear, Residual, Rope, Stage

ROPE_LEAST = 4
"""Multipliers that rotary positions need: two for each element of a pair."""

MAX_LANES = 16
"""Widest beat the balancer chooses: wider ones cost fabric and save few cycles at these sizes."""

FORMING_PRODUCTS = ("linear", "norm", "attention", "rope", "gelu", "gate", "sample")


def format_kind(form: Format) -> str:
    """The kind of a format, as names of units have it: fixed32, block16."""
    return f"{type(form).__name__.lower()}{form.width}"


def residual_name(stage: Residual) -> str:
    """Branches that a bias made as wide as the stream are added by a unit of their own."""
    wide = isinstance(stage.branch, Fixed) and stage.branch.width > MANTISSA_BITS
    return "residual_biased" if wide else "residual"


def forms_products(stage: Stage) -> bool:
    """Whether a stage needs multipliers."""
    return getattr(stage, "function", stage.kind) in FORMING_PRODUCTS


def attention_lanes(stage: Attention, multipliers: int, widest: int = MAX_LANES) -> int:
    """The widest beat for which scores, weights and values fit the multipliers."""
    lanes = 1
    while 2 * lanes <= min(widest, stage.output_size):
        wider = 2 * lanes
        if wider + heads_per_beat(stage.d_head, wider) > multipliers:
            break
        lanes = wider
    return lanes


def rope_lanes(stage: Rope, multipliers: int, widest: int = MAX_LANES) -> int:
    """The widest beat whose elements and their partners fit the multipliers; a pair at least."""
    return max(2, min(power_of_two(multipliers // 2), widest, power_of_two(stage.output_size)))


def power_of_two(limit: int) -> int:
    """The largest power of two that is at most ``limit``."""
    return 1 << (limit.bit_length() - 1)


def linear_shape(
    stages: list[Linear], multipliers: int, widest: int = MAX_LANES
) -> tuple[int, int]:
    """(lanes, rows) with the fewest cycles over ``stages``; of equals, the widest input."""
    total = power_of_two(multipliers)

    def cycles(lanes: int) -> int:
        rows = total // lanes
        shapes = [stage.weights.shape for stage in stages]
        return sum(math.ceil(m / rows) * math.ceil(n / lanes) for m, n in shapes)

    choices = [1 << k for k in range(total.bit_length()) if 1 << k <= widest]
    lanes = min(reversed(choices), key=cycles)
    return lanes, total // lanes


def check_budget(name: str, multipliers: int, streams: int, least: int) -> None:
    """OptionError for a budget below what the model needs, or without a stream."""
    if multipliers < least:
        problem = f"is {multipliers}; for this model, {name}, expected at least {least}"
        raise OptionError("multipliers", problem)
    if streams < 1:
        raise OptionError("streams", f"is {streams}; expected at least 1")


def check_lanes(turned: bool, widest: int | None) -> None:
    """OptionError for beats of one element where positions are rotary."""
    if turned and widest == 1:
        raise OptionError("lanes", "is 1; rotary positions turn pairs: expected at least 2")

"""The schedule of a model whose weights, keys and values live in an external memory.

The port of the memory decides: a unit multiplies what a beat brings, and no more.
"""

from __future__ import annotations

from golden.errors import OptionError
from golden.numbers import MANTISSA_BITS, Block
from golden.plan import Plan
from golden.schedule import Schedule, Unit, sections
from golden.schedules.shapes import format_kind, residual_name
from golden.stage import Attention, Bias, Convert, Residual, Stage

PORT_BITS = (16, 32, 64, 128)
"""Widths that a port may have."""

CODE_BITS = 4
"""Bits of the narrowest weight."""

LANES = 2
"""Widest beat between units: norms and gates keep up with the memory, and stay small."""


def external(plan: Plan, port: int, streams: int = 1, widest: int | None = None) -> Schedule:
    """One unit for each kind of stage, every one with an array of its own.

    Raises
    ------
    OptionError
        If the port has no such width, or the plan is none for an external memory.
    """
    _check(plan, port, streams)
    lanes = min(widest or LANES, port // MANTISSA_BITS)
    units: dict[str, Unit] = {}
    binding = []
    for section_name, section in sections(plan, 1):
        for stage in section:
            name = _name(stage)
            units.setdefault(name, _unit(name, stage, port, lanes))
            binding.append(((section_name, stage.name), name))
    total = sum(unit.multipliers for unit in units.values())
    return Schedule("external", total, 1, 1, tuple(units.values()), tuple(binding), port=port)


def _check(plan: Plan, port: int, streams: int) -> None:
    if port not in PORT_BITS:
        known = ", ".join(map(str, PORT_BITS))
        raise OptionError("port", f"is {port}; expected one of {known}")
    if streams != 1:
        raise OptionError("streams", f"is {streams}; the external schedule has one")
    if any(stage.scales is None for _, stage in plan.stages() if stage.kind == "linear"):
        problem = "is 'matrix'; an external memory holds scales of rows or groups: expected those"
        raise OptionError("scales", problem)


def _name(stage: Stage) -> str:
    """Stages that differ in their formats, or turn another number of heads, have other units."""
    if isinstance(stage, Residual):
        return residual_name(stage)
    if isinstance(stage, Convert) and stage.format != Block():
        return f"convert_{format_kind(stage.format)}"
    return stage.name if stage.kind == "rope" else stage.kind


def _unit(name: str, stage: Stage, port: int, lanes: int) -> Unit:
    if stage.kind == "linear":
        return Unit(name, stage.kind, port // CODE_BITS, 1, name)
    if isinstance(stage, Attention):
        wide = attention_lanes(stage, port, lanes)
        return Unit(name, stage.kind, wide, wide, name, attention_products(stage, port) + 2)
    if stage.kind == "rope":
        return Unit(name, stage.kind, max(lanes, 2), max(lanes, 2), name, max(lanes, 2))
    if stage.kind == "sample":
        return Unit(name, stage.kind, 1, 1, name)
    if isinstance(stage, Bias):
        lanes = max(1, min(lanes, port // stage.format.width))
    array = name if stage.kind in ("norm", "gate", "embed") else None
    return Unit(name, stage.kind, lanes, lanes, array)


def attention_lanes(stage: Attention, port: int, widest: int) -> int:
    """Elements of a beat of queries, keys and values: a head is a whole number of beats."""
    lanes = 1
    while 2 * lanes <= min(widest, port // MANTISSA_BITS) and stage.d_head % (2 * lanes) == 0:
        lanes *= 2
    return lanes


def attention_products(stage: Attention, port: int) -> int:
    """Multipliers of a pass over the cache: a beat's elements for each head that shares them."""
    return stage.n_head // stage.kv_heads * (port // MANTISSA_BITS)

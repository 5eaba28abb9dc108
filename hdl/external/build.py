"""The units that an external memory feeds, and the words of their memories on the chip."""

from __future__ import annotations

from collections.abc import Sequence

from golden.schedule import Schedule, Unit
from golden.stage import Stage
from hdl.external import attention, embed, linear
from hdl.memory import Memories
from hdl.stream import Tags
from hdl.units import bias

KINDS = ("attention", "bias", "embed", "linear")
"""Kinds of units that are made here; the others are those of any core."""


def make_unit(
    schedule: Schedule, unit: Unit, jobs: Sequence[Sequence[Stage]], tags: Tags,
    memories: Memories, taps: bool,
):  # fmt: skip
    """The component of a unit from its stages [job][layer]."""
    stages, layers = [job[0] for job in jobs], [len(job) for job in jobs]
    name, port = unit.name, schedule.port
    if unit.kind == "linear":
        return linear.Linear(name, stages, layers, port, tags, memories)
    if unit.kind == "attention":
        return attention.Attention(name, stages, port, unit.lanes, tags, memories, taps)
    if unit.kind == "bias":
        return bias.Bias(name, stages, layers, unit.lanes, tags, memories)
    return embed.Embed(name, stages, max(layers), unit.lanes, port, tags, memories)


def unit_image(unit: Unit, jobs: Sequence[Sequence[Stage]]) -> dict[str, Sequence[int]]:
    """The words of a unit's loadable memories."""
    if unit.kind == "attention":
        return attention.image(unit.name)
    if unit.kind == "bias":
        return bias.image(unit.name, jobs, unit.lanes)
    return {"linear": linear, "embed": embed}[unit.kind].image(unit.name, jobs)

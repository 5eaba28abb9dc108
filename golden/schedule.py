"""The schedule: which unit executes which stage, how many elements a cycle, who shares multipliers.

Frozen data, read by gateware, memory image and reports; the arithmetic never looks at it.  A result
that depends on a schedule is a bug.

``folded``: one layer datapath for all layers and one multiplier array for every product.
``pipelined``: every layer has units of its own, and every unit multipliers of its own.
``serial``: one unit executes every stage, one after the other: the least logic, for small chips.
``external``: as folded, with a unit for linear layers and one for attention that are fed by an
external memory; every unit has multipliers of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from golden.layout import head_order
from golden.plan import Plan, Section
from golden.stage import Attention, Bias, Convert, Embed, Linear, Rope, Sample, Stage

SCHEDULES = ("folded", "pipelined", "serial", "external")
WEIGHTS = ("rom", "wires", "stream")
IN_PLACE = (Bias, Convert, Rope)
"""Stages that answer every element, or pair of elements, at the place where it came."""


@dataclass(frozen=True)
class Unit:
    """One unit of the core.

    Parameters
    ----------
    name, kind: ``kind`` is that of its stages.
    lanes: elements a beat it takes.
    rows: of a linear unit the elements of a beat it answers, of a serial one its sums; else lanes.
    array: the multiplier array it uses, or None.
    heads: products of a beat beside those of its lanes: one for the weight of every head
        (attention), one for the partner of every element (rope).
    """

    name: str
    kind: str
    lanes: int
    rows: int
    array: str | None
    heads: int = 0

    @property
    def multipliers(self) -> int:
        """Multipliers of its array that it uses at once; 0 without an array."""
        if self.array is None:
            return 0
        products = self.kind in ("linear", "serial")
        return self.lanes * self.rows if products else self.lanes + self.heads

    def bound(self, macs: float) -> float:
        """Cycles of so many multiply-accumulates if each of its multipliers forms one in each."""
        return macs / self.multipliers if macs else 0.0


@dataclass(frozen=True)
class Schedule:
    """Units, and the stages bound to them.

    Parameters
    ----------
    name: one of SCHEDULES.  multipliers: the budget.  streams: sequences in flight.
    instances: physical layers; layer ``l`` runs on instance ``l % instances``.
    units: by name.  binding: unit name by (section, stage); a section is ``prologue``, ``epilogue``
    or ``layer<instance>``.  weights: where weights come from (WEIGHTS).  port: bits of a beat of
    the external memory, or 0 without one.
    """

    name: str
    multipliers: int
    streams: int
    instances: int
    units: tuple[Unit, ...]
    binding: tuple[tuple[tuple[str, str], str], ...]
    weights: str = "rom"
    port: int = 0

    def unit(self, section: str, stage: str) -> Unit:
        """The unit that executes a stage of a section."""
        name = dict(self.binding)[section, stage]
        return next(unit for unit in self.units if unit.name == name)

    def jobs(self, unit: Unit) -> list[tuple[str, str]]:
        """The (section, stage) pairs bound to a unit; the place in this list is the job number."""
        return [key for key, name in self.binding if name == unit.name]

    def arrays(self) -> dict[str, list[Unit]]:
        """The users of every multiplier array, those with priority first."""
        users: dict[str, list[Unit]] = {}
        for unit in self.units:
            if unit.array is not None:
                users.setdefault(unit.array, []).append(unit)
        return users

    def signature(self) -> dict:
        """All that gateware may depend on beside the plan."""
        return {
            "schedule": [self.name, self.streams, self.instances, self.weights, self.port],
            "units": [[u.name, u.kind, u.lanes, u.rows, u.array] for u in self.units],
            "binding": [[*key, name] for key, name in self.binding],
        }


def sections(plan: Plan, instances: int) -> Iterator[tuple[str, Section]]:
    """(section name, a section that stands for it) of every physical section."""
    yield "prologue", plan.prologue
    for k in range(instances):
        yield f"layer{k}", plan.template
    yield "epilogue", plan.epilogue


def value_order(section: Section, name: str, schedule: Schedule, value: str) -> np.ndarray:
    """Physical position -> logical index of a value of section ``name``; -1 where zeros are.

    Values that attention writes or reads have every head padded for its unit, as have those from
    which these are made in place; others have no gaps, nor has any next to an external memory.
    """
    if schedule.port:
        return np.arange(value_size(section, value))
    for stage in section:
        if not isinstance(stage, Attention):
            continue
        if value == stage.output or value in _made_in_place(section, stage.inputs):
            lanes = schedule.unit(name, stage.name).lanes
            return head_order(stage.n_head, stage.d_head, lanes)
    return np.arange(value_size(section, value))


def _made_in_place(section: Section, values: Iterable[str]) -> set[str]:
    """Values, and those before them whose elements keep their places on the way."""
    makers = {s.output: s.inputs[0] for s in section if isinstance(s, IN_PLACE)}
    found = set(values)
    for value in values:
        while value in makers:
            value = makers[value]
            found.add(value)
    return found


def value_size(section: Section, value: str) -> int:
    """Elements of a value of a section, its input included; KeyError for one it does not have."""
    for stage in section:
        if stage.output == value:
            return stage.output_size
    for stage in section:
        if value in stage.inputs:
            return input_size(stage)
    raise KeyError(value)


def input_size(stage: Stage) -> int:
    """Elements of every vector that a stage reads (a token counts as one)."""
    if isinstance(stage, Embed):
        return 1
    if isinstance(stage, Linear):
        return stage.weights.shape[1]
    return stage.n_vocab if isinstance(stage, Sample) else stage.output_size

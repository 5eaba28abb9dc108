"""What a waveform shows of a core: its units and stages in the order of the plan.

The names of the signals are those of :class:`hdl.observe.View`.
"""

from __future__ import annotations

from dataclasses import dataclass

from golden.numbers import Format
from golden.schedule import Schedule, sections
from golden.words import counted
from sim.build import Design

TOKENS = ("accept", "epilogue_sample")
"""Streams of tokens: what enters the core, and what is sampled."""

CYCLE = "top.cycle"


@dataclass(frozen=True)
class StageView:
    """A stage: its section (prologue, layer<k>, epilogue), its unit, and its job there."""

    section: str
    name: str
    unit: str
    job: int
    form: Format | None

    @property
    def prefix(self) -> str:
        """With which the names of its signals begin."""
        return f"{self.section}_{self.name}"

    def signal(self, field: str) -> str:
        """Name of a signal: valid, ready, stream, layer, position, value, exponent or token."""
        return f"core.{self.prefix}_{field}"


@dataclass(frozen=True)
class UnitView:
    """A unit, and the names of the stages that it executes, by job."""

    name: str
    jobs: tuple[str, ...]

    @property
    def state(self) -> str:
        """Name of the signal that holds its state (hdl.observe.STATES)."""
        return f"core.{self.name}_state"

    @property
    def job(self) -> str | None:
        """Name of the signal that holds its job, if it has several."""
        return f"core.{self.name}_job" if len(self.jobs) > 1 else None


@dataclass(frozen=True)
class Signals:
    """All that is shown. ``words``: text of every token id. ``title``: what was simulated."""

    title: str
    units: tuple[UnitView, ...]
    stages: tuple[StageView, ...]
    words: tuple[str, ...]

    @property
    def needed(self) -> list[str]:
        """Signals without which there is nothing to tell."""
        names = [name for unit in self.units for name in (unit.state, unit.job) if name]
        fields = ("valid", "ready", "token")
        return names + [f"core.{stream}_{field}" for stream in TOKENS for field in fields]


def signals_of(design: Design, model: str) -> Signals:
    """What a design shows."""
    schedule = design.schedule
    formats = _formats(design)
    numbers = {unit.name: schedule.jobs(unit) for unit in schedule.units}
    stages = tuple(
        StageView(section, name, unit, numbers[unit].index((section, name)), formats[section, name])
        for (section, name), unit in schedule.binding
    )
    order = dict.fromkeys(stage.unit for stage in stages)
    units = tuple(UnitView(u, tuple(name for _, name in numbers[u])) for u in order)
    words = tuple(readable(text) for text in design.checkpoint.vocabulary)
    return Signals(_title(model, schedule), units, stages, words)


def readable(text: str) -> str:
    """A token's text as it can be shown: in quotes where it would not be seen."""
    return text if text.isprintable() and text.split() == [text] else repr(text)


def _formats(design: Design) -> dict[tuple[str, str], Format | None]:
    """Format of every stage's answer by (section, stage); None for a token."""
    return {
        (name, stage.name): getattr(stage, "format", None)
        for name, section in sections(design.plan, design.schedule.instances)
        for stage in section
    }


def _title(model: str, schedule: Schedule) -> str:
    multipliers = counted(schedule.multipliers, "multiplier")
    return f"{model} · {schedule.name}, {multipliers}, {counted(schedule.streams, 'stream')}"

"""Which values must be able to wait: the queues in front of readers that a core cannot do without.

A unit that executes several stages, or joins several values, may be asked for a vector while it is
still at another.  A vector that cannot wait holds up whoever makes it, and perhaps with it the very
vector that the unit is waiting for.

With one sequence in flight most vectors come in a known order.  A stage of a kind in ``COLLECTS``
answers when its whole input is in, so a value behind it begins to arrive when all values before it
have arrived whole, and the stages that read these need nothing more.  With several sequences any
two vectors may meet.
"""

from dataclasses import dataclass

from golden.plan import Plan, Section
from golden.schedule import Schedule, sections
from golden.stage import Stage

COLLECTS = frozenset(("attention", "gate", "linear", "norm", "rope"))
"""Kinds of stages whose answer does not begin before their whole input is in."""

HOLDS = frozenset(("attention",))
"""Kinds of units that take each of their inputs without waiting for the others."""


PASSES = frozenset(("bias", "convert"))
"""Kinds of units that are through with what comes first, whatever comes after."""


@dataclass(frozen=True)
class Read:
    """A stage that reads a value, in a physical section."""

    section: str
    stage: Stage
    value: str


class Waits:
    """Answers whether a reader of a core needs room for a whole vector of every sequence."""

    def __init__(self, plan: Plan, schedule: Schedule):
        self._schedule = schedule
        self._sections = dict(sections(plan, schedule.instances))

    def must_wait(self, section: str, stage: Stage, value: str) -> bool:
        """Whether ``stage`` of ``section`` needs a queue for ``value``, one of its inputs."""
        jobs = self._schedule.jobs(self._schedule.unit(section, stage.name))
        if len(jobs) == 1 and len(stage.inputs) == 1:
            return False
        if self._schedule.streams > 1:
            return True
        joins = len(jobs) > 1 or stage.kind not in HOLDS
        read = Read(section, stage, value)
        others = ((name, self._stage(name, other)) for name, other in jobs)
        return (joins and self._awaits_partner(read)) or any(
            self._meets(read, *other)
            for other in others
            if other != (section, stage) and not self._in_turn(read, *other)
        )

    def _stage(self, section: str, name: str) -> Stage:
        return next(stage for stage in self._sections[section] if stage.name == name)

    def _awaits_partner(self, read: Read) -> bool:
        """Whether another input of the same stage may arrive later."""
        before = arrived(self._sections[read.section], read.value)
        return not before.issuperset(set(read.stage.inputs) - {read.value})

    def _in_turn(self, read: Read, name: str, other: Stage) -> bool:
        """Whether one unit makes both values, and so one after the other, for one that passes them.

        Biases of q, k and v come like that, and the conversions behind them.
        """
        if name != read.section or other.kind not in PASSES:
            return False
        makers = {stage.output: stage.name for stage in self._sections[name]}
        values = (read.value, *other.inputs)
        if not makers.keys() >= set(values):
            return False
        return len({self._schedule.unit(name, makers[value]).name for value in values}) == 1

    def _meets(self, read: Read, name: str, other: Stage) -> bool:
        """Whether the unit may be at the stage ``other`` of section ``name`` when it is to read."""
        section = self._sections[read.section]
        before = arrived(section, read.value)
        if name != read.section or section.input not in before:
            # Of another pass: over when its section has answered, or when this one has collected.
            elsewhere = self._sections[name]
            done = arrived(elsewhere, elsewhere.output).issuperset(other.inputs)
            if not done and section.input not in before:
                return True
        if name != read.section or before.issuperset(other.inputs):
            return False
        return not any(read.value in arrived(section, value) for value in other.inputs)


def arrived(section: Section, value: str) -> set[str]:
    """Values of a section that have arrived whole when ``value`` begins to."""
    makers = {stage.output: stage for stage in section}
    stage = makers.get(value)
    if stage is None:
        return set()
    before = set().union(*(arrived(section, v) for v in stage.inputs))
    return before | ancestors(makers, stage.inputs) if stage.kind in COLLECTS else before


def ancestors(makers: dict[str, Stage], values) -> set[str]:
    """Values, and those that they depend on; ``makers``: the stages by their outputs."""
    found = set(values)
    for value in values:
        if value in makers:
            found |= ancestors(makers, makers[value].inputs)
    return found

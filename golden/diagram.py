"""A plan and its schedule as a picture that is not drawn yet: cards, panels and wires with places.

Columns are read from top to bottom, then from left to right: the prologue, the layer (cut behind
every residual where nothing else passes by) and the epilogue.  Lengths are pixels; y grows
downwards.  ``golden/draw.py`` paints it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from golden.cards import LAST_POSITION, Card, Work, cards, named_sections
from golden.plan import Plan, Section
from golden.schedule import Schedule
from golden.stage import Stage
from golden.traffic import cache_bytes, weight_bytes

CARD = (200, 98)
GAP = (16, 46)
"""Space between neighbours of a row, and between rows."""

GUTTER = 46
"""Space on either side of a column, where wires run."""

HEADER = 96
"""Above the panels: title and subtitle."""

LANE = 62
"""From the top of a panel to its first row: the panel's title and the wire that comes in."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Wire:
    """A value on its way from ``source`` to ``target``: keys of cards, or ``host``.

    ``label`` is where the name of the value stands, or None when another wire shows it already.
    """

    value: str
    source: str
    target: str
    points: tuple[Point, ...]
    label: Point | None = None


@dataclass(frozen=True)
class Panel:
    """The frame around a section."""

    title: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Diagram:
    """The whole picture."""

    title: str
    subtitle: str
    width: float
    height: float
    panels: tuple[Panel, ...]
    cards: tuple[Card, ...]
    wires: tuple[Wire, ...]


def columns(section: Section) -> list[list[Stage]]:
    """The stages of a section, cut behind residuals that alone feed what follows."""
    parts: list[list[Stage]] = [[]]
    for i, stage in enumerate(section.stages):
        parts[-1].append(stage)
        rest = section.stages[i + 1 :]
        made = {s.output for s in rest} | {stage.output}
        if stage.kind == "residual" and rest and all(made.issuperset(s.inputs) for s in rest):
            parts.append([])
    return parts


def rows(stages: list[Stage]) -> list[list[Stage]]:
    """Stages by their distance from the column's input: a stage stands below all that it reads."""
    rank: dict[str, int] = {}
    for stage in stages:
        rank[stage.output] = 1 + max((rank.get(value, -1) for value in stage.inputs), default=-1)
    depth = max(rank.values()) + 1
    return [[s for s in stages if rank[s.output] == i] for i in range(depth)]


def make_diagram(plan: Plan, schedule: Schedule, seen: Mapping[str, Work] | None = None) -> Diagram:
    """The picture of a plan on a schedule, with what a simulation says where there is one."""
    layout = _Layout(cards(plan, schedule, seen or {}))
    for section, title, stages in named_sections(plan, schedule):
        layout.section(section, title, stages)
    return layout.diagram(plan.name, _subtitle(plan, schedule, seen))


def _subtitle(plan: Plan, schedule: Schedule, seen: Mapping[str, Work] | None) -> str:
    """What a token takes, and the bound of the multipliers, or of an external memory."""
    macs, when = plan.macs(LAST_POSITION), "with a full cache"
    if seen:
        macs, when = sum(work.macs for work in seen.values()), "on average in simulation"
    told = (
        f"{schedule.name}, {schedule.multipliers} multipliers, "
        f"{macs:,.0f} multiply-accumulates a token {when}"
    )
    if not schedule.port:
        return f"{told}: at least {macs / schedule.multipliers:,.1f} cycles"
    needed = weight_bytes(plan) + cache_bytes(plan, LAST_POSITION)
    beats = needed * 8 / schedule.port
    return (
        f"{told}; {needed / 1e6:,.1f} MB out of memory with a full cache: "
        f"at least {beats:,.0f} cycles, a beat in each"
    )


class _Layout:
    """Columns placed from left to right."""

    def __init__(self, cards: dict[str, Card]):
        self.cards, self.panels, self.wires = cards, [], []
        self.x: float = GUTTER / 2
        self.depth = 0
        self.exit: tuple[str, Point] = ("host", (0, 0))

    def section(self, section: str, title: str, stages: Section) -> None:
        left, value = self.x, stages.input
        for part in columns(stages):
            self._column(section, part, value)
            value = part[-1].output
        self.panels.append(Panel(title, left, HEADER, self.x - left, 0))
        self.x += GUTTER / 2

    def _column(self, section: str, stages: list[Stage], value: str) -> None:
        """Place cards and draw the wires of a column whose input is ``value``."""
        grid, width = rows(stages), CARD[0]
        step = width + GAP[0]
        widest = max(map(len, grid))
        middle = self.x + GUTTER + (widest * step - GAP[0]) / 2
        for i, row in enumerate(grid):
            y = HEADER + LANE + i * (CARD[1] + GAP[1])
            for k, stage in enumerate(row):
                x = middle + (k - (len(row) - 1) / 2) * step - width / 2
                key = f"{section}.{stage.name}"
                self.cards[key] = replace(self.cards[key], x=x, y=y)
        self.depth = max(self.depth, len(grid))
        self._join(section, stages, value, middle)
        self.x += 2 * GUTTER + widest * step - GAP[0]

    def _join(self, section: str, stages: list[Stage], value: str, middle: float) -> None:
        made = {stage.output: self.cards[f"{section}.{stage.name}"] for stage in stages}
        lane, margin = HEADER + LANE - GAP[1] / 2, self.x + GUTTER / 2
        arrival = self._arrival(lane, middle)
        labelled = set()
        for stage in stages:
            target = made[stage.output]
            for k, name in enumerate(stage.inputs):
                source = made.get(name)
                start = source.key if source else self.exit[0]
                port = target.x + CARD[0] * (k + 1) / (len(stage.inputs) + 1)
                if stage.kind == "residual":
                    port = target.x + CARD[0] / 2
                if source is None and stage.kind == "residual":
                    side = target.y + CARD[1] / 2
                    points = [(margin, lane), (margin, side), (target.x, side)]
                elif source is None:
                    points = [*arrival, (port, lane), (port, target.y)]
                else:
                    x, bottom = source.x + CARD[0] / 2, source.y + CARD[1]
                    turn = target.y - GAP[1] / 2
                    points = [(x, bottom), (x, turn), (port, turn), (port, target.y)]
                label = None
                if name not in labelled and not (source is None and stage.kind == "residual"):
                    x, y = points[0] if source else (middle, lane)
                    label = (x + 7, y + (GAP[1] / 4 if source else -8))
                    labelled.add(name)
                self.wires.append(Wire(name, start, target.key, tuple(points), label))
        last = made[stages[-1].output]
        self.exit = last.key, (last.x + CARD[0], last.y + CARD[1] / 2)

    def _arrival(self, lane: float, middle: float) -> list[Point]:
        """From where the last column ends to the lane above this one."""
        source, (x, y) = self.exit
        if source == "host":
            return [(middle, HEADER + 34)]
        return [(x, y), (self.x, y), (self.x, lane)]

    def diagram(self, title: str, subtitle: str) -> Diagram:
        height = LANE + self.depth * (CARD[1] + GAP[1]) - GAP[1] / 2
        panels = tuple(replace(p, height=height) for p in self.panels)
        source, (x, y) = self.exit
        out = Wire("next", source, "host", ((x, y), (x + GUTTER, y)), None)
        return Diagram(
            title,
            subtitle,
            self.x + GUTTER / 2,
            HEADER + height + 44,
            panels,
            tuple(self.cards.values()),
            (*self.wires, out),
        )

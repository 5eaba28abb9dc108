"""What a picture tells about every stage of a plan on a schedule; and the picture for Mermaid."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from golden.plan import Plan, Section
from golden.schedule import Schedule, Unit, input_size
from golden.stage import Activation, Attention, Embed, Linear, Sample, Stage, stage_macs
from golden.words import counted

LAST_POSITION = 1 << 30


@dataclass(frozen=True)
class Work:
    """What a simulation says of a stage: means over the tokens that it saw.

    busy: cycles of a token that its unit worked on it.  macs, bound: those of a report.
    """

    busy: float
    macs: float
    bound: float

    @classmethod
    def by_stage(cls, rows: Iterable[Mapping]) -> dict[str, Work]:
        """From the rows of ``stages`` in a report."""
        fields = "busy", "macs", "bound"
        return {row["name"]: cls(*(float(row[field]) for field in fields)) for row in rows}


@dataclass(frozen=True)
class Card:
    """What is told about a stage, and where it is drawn (x, y: the upper left corner).

    macs, bound: of a token with a full cache, or, with ``busy``, on average in a simulation.
    bound: cycles that no unit of this width can beat.
    busy: cycles of a token that a simulation saw its unit work on it, or None.
    """

    section: str
    name: str
    kind: str
    shape: str
    formats: str
    unit: str
    multipliers: int
    macs: float
    bound: float
    busy: float | None = None
    x: float = 0
    y: float = 0

    @property
    def key(self) -> str:
        """Its name in the whole picture."""
        return f"{self.section}.{self.name}"


def bound_cycles(stage: Stage, unit: Unit) -> float:
    """Cycles of one token that no unit of this width can beat, at the last position.

    Products by multipliers, as in a report; where a stage multiplies no weights, and a report tells
    no bound, elements by lanes.
    """
    if macs := stage_macs(stage, LAST_POSITION):
        return unit.bound(macs)
    return -(-max(input_size(stage), stage.output_size) // unit.lanes)


def shape(stage: Stage) -> str:
    """The shape of a stage for people."""
    if isinstance(stage, Linear):
        return "{:,} × {:,}".format(*stage.weights.shape)
    if isinstance(stage, Embed):
        return "{:,} × {:,}".format(*stage.tokens.shape)
    if isinstance(stage, Attention):
        return f"{stage.n_head} × {stage.d_head}, {counted(stage.slots, 'slot')}"
    size = f"{stage.n_vocab if isinstance(stage, Sample) else stage.output_size:,}"
    return f"{size}, {stage.function}" if isinstance(stage, Activation) else size


def formats(stage: Stage) -> str:
    """Formats that a stage reads, an arrow, and the format that it answers in."""
    names = ("gate", "source", "query", "key", "value", "branch")
    read = [str(getattr(stage, n)) for n in names if hasattr(stage, n)]
    if stage.kind == "residual":
        read.insert(0, str(stage.format))
    read = read or ["token" if isinstance(stage, Embed) else str(stage.format)]
    answer = "token" if isinstance(stage, Sample) else str(stage.format)
    return f"{', '.join(dict.fromkeys(read))} → {answer}"


def named_sections(plan: Plan, schedule: Schedule) -> list[tuple[str, str, Section]]:
    """(section, title, stages) of the prologue, the layer that stands for all, and the epilogue."""
    n, instances = len(plan.layers), schedule.instances
    how = "one datapath" if instances == 1 else f"{instances} datapaths"
    title = f"layer × {n} on {how}" if n > 1 else "layer"
    return [
        ("prologue", "prologue", plan.prologue),
        ("layer0", title + ("; formats of layer 0" if n > 1 else ""), plan.template),
        ("epilogue", "epilogue", plan.epilogue),
    ]


def cards(plan: Plan, schedule: Schedule, seen: Mapping[str, Work]) -> dict[str, Card]:
    """The card of every stage by key; ``seen``: what a simulation says of whole tokens, by key.

    A card tells of one layer: what a unit of a shared datapath did is divided by its layers.
    """
    made = {}
    for section, _, stages in named_sections(plan, schedule):
        passes = len(plan.layers) // schedule.instances if stages is plan.template else 1
        for stage in stages:
            unit = schedule.unit(section, stage.name)
            card = Card(
                section,
                stage.name,
                stage.kind,
                shape(stage),
                formats(stage),
                unit.name,
                unit.multipliers,
                stage_macs(stage, LAST_POSITION),
                bound_cycles(stage, unit),
            )
            made[card.key] = _simulated(card, seen.get(card.key), passes)
    return made


def _simulated(card: Card, work: Work | None, passes: int) -> Card:
    """The card with what a simulation says, so that cycles stand beside the bound of these."""
    if work is None:
        return card
    card = replace(card, busy=work.busy / passes)
    if not work.macs:
        return card
    return replace(card, macs=work.macs / passes, bound=work.bound / passes)


def mermaid(plan: Plan, schedule: Schedule, seen: Mapping[str, Work] | None = None) -> str:
    """The same facts as a Mermaid flowchart, which forges render inside Markdown."""
    told = cards(plan, schedule, seen or {})
    lines = ["flowchart TB", '  host(["host"])']
    links, source = [], "host"
    for section, title, stages in named_sections(plan, schedule):
        made = {stages.input: source}
        lines.append(f'  subgraph {section}["{title}"]')
        for stage in stages:
            card = told[f"{section}.{stage.name}"]
            made[stage.output] = f"{section}_{stage.name}"
            text = "<br/>".join(" · ".join(filter(None, pair)) for pair in facts(card))
            lines.append(f'    {made[stage.output]}["{text}"]')
            links += [f"  {made[v]} -->|{v}| {made[stage.output]}" for v in stage.inputs]
        lines.append("  end")
        source = made[stages.output]
    return "\n".join([*lines, *links, f"  {source} -->|next| host"]) + "\n"


def facts(card: Card) -> Iterator[tuple[str, str]]:
    """The lines of a card: what stands left, and what stands right."""
    yield card.name, f"{card.macs:,.0f} MACs" if card.macs else ""
    yield card.shape, card.kind
    yield card.formats, ""
    yield card.unit, f"{card.multipliers} mult." if card.multipliers else ""
    # Only attention takes longer the more is in its cache; a simulation tells means over positions.
    full = card.kind == "attention" and card.busy is None
    unit = ", cache full" if full else f" cycle{'s' * (card.bound != 1)}"
    busy = "" if card.busy is None else f"{_short(card.busy)} busy"
    yield f"≥ {_short(card.bound)}{unit}", busy


def _short(cycles: float) -> str:
    return f"{cycles:,.1f}".removesuffix(".0")

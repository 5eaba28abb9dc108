"""The structure of a core as a picture that is not drawn yet: units, memories, values, arrays.

Units stand in a row, each above its memories. What a unit answers runs along a track of its own
above them, from which every reader takes it; below lie the multiplier arrays, and last a memory
beside the chip.
``golden/draw_datapath.py`` paints it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from golden.cards import named_sections
from golden.plan import Plan
from golden.schedule import Schedule, Unit
from golden.stage import Activation, Attention, Bias, Embed, Linear, Norm, Stage
from golden.words import counted

GENERATOR = "generator"
TABLES = {
    "gate": "sigmoid table",
    "norm": "root table",
    "rope": "sine table",
    "sample": "Threefry noise",
}


@dataclass(frozen=True)
class Block:
    """A unit: what it executes, the memories it reads, and its multipliers of ``array``.

    inputs: (source, queued) of every port: the unit that answers, and whether values may wait.
    outside: what it reads from, and writes to, the external memory.
    """

    name: str
    kind: str
    stages: tuple[str, ...]
    memories: tuple[str, ...]
    inputs: tuple[tuple[str, bool], ...]
    outside: tuple[str, ...] = ()
    multipliers: int = 0
    array: str | None = None


@dataclass(frozen=True)
class Datapath:
    """The whole core.

    tracks: values that leave a block, by its name.  arrays: multipliers by name.  port: bits of a
    beat of the external memory, or 0 without one.
    """

    title: str
    subtitle: str
    blocks: tuple[Block, ...]
    tracks: dict[str, tuple[str, ...]]
    arrays: dict[str, int]
    port: int = 0


def make_datapath(plan: Plan, schedule: Schedule) -> Datapath:
    """The structure that a schedule makes of a plan."""
    flow = list(_flow(plan, schedule))
    units = {schedule.unit(section, stage.name).name: None for section, stage, _ in flow}
    by_name = {unit.name: unit for unit in schedule.units}
    tracks: dict[str, list[str]] = {GENERATOR: ["token", "position"]}
    for section, stage, _ in flow:
        tracks.setdefault(schedule.unit(section, stage.name).name, []).append(stage.output)
    last = schedule.unit("epilogue", plan.epilogue.stages[-1].name).name
    loop = Block(GENERATOR, GENERATOR, ("prompts, tokens",), (), ((last, False),))
    layers = len(plan.layers) // schedule.instances
    blocks = [_block(by_name[name], flow, schedule, layers) for name in units]
    arrays = {
        name: max(user.multipliers for user in users)
        for name, users in schedule.arrays().items()
        if any(user.name in units for user in users)
    }
    n, instances = len(plan.layers), schedule.instances
    return Datapath(
        f"{plan.name}: the {schedule.name} core",
        f"{counted(n, 'layer')} on {counted(instances, 'datapath')}; the answers of a unit run "
        "along its line, from which every reader takes them, over valid/ready streams",
        (loop, *blocks),
        {name: tuple(dict.fromkeys(values)) for name, values in tracks.items()},
        arrays,
        schedule.port,
    )


def _flow(plan: Plan, schedule: Schedule) -> Iterator[tuple[str, Stage, list[str]]]:
    """(section, stage, the units that answer its inputs) of every stage that is drawn."""
    source = GENERATOR
    for section, _, stages in named_sections(plan, schedule):
        made = {stages.input: source}
        for stage in stages:
            yield section, stage, [made[value] for value in stage.inputs]
            made[stage.output] = schedule.unit(section, stage.name).name
        source = made[stages.output]


def _block(unit: Unit, flow: list, schedule: Schedule, layers: int) -> Block:
    """A unit with its ports: one for every other unit that it hears; it serves so many layers."""
    mine = [x for x in flow if schedule.unit(x[0], x[1].name) == unit]
    ports: dict[str, bool] = {}
    for _, stage, sources in mine:
        shared = schedule.streams > 1 and (len(mine) > 1 or len(sources) > 1)
        for k, source in enumerate(sources):
            # The skip path waits for the branch, whatever the number of streams.
            ports[source] = (
                ports.get(source, False) or shared or (k == 0 and stage.kind == "residual")
            )
    if unit.kind == "sample":
        ports[GENERATOR] = False  # noise is made while the token is on its way
    names = tuple(stage.name for _, stage, _ in mine)
    times = [(stage, layers if section == "layer0" else 1) for section, stage, _ in mine]
    kept = () if schedule.port else _kept(times)
    exp2 = 1 if schedule.port else max(unit.heads, 1)
    memories = tuple(dict.fromkeys((*kept, *_tables([stage for stage, _ in times], exp2))))
    return Block(
        unit.name,
        unit.kind,
        names,
        memories,
        tuple(ports.items()),
        tuple(_outside(times)) if schedule.port else (),
        unit.multipliers,
        unit.array,
    )


def _weights(times: list[tuple[Stage, int]]) -> Iterator[str]:
    """The matrices of a unit, those of equal width together, or its biases."""
    words: dict[int, int] = {}
    for stage, count in times:
        if isinstance(stage, Linear):
            width = stage.weight_bits
            words[width] = words.get(width, 0) + count * stage.weights.size
    for width, number in words.items():
        yield f"{number:,} weights, {width} bits"
    if biases := sum(count * stage.bias.size for stage, count in times if isinstance(stage, Bias)):
        yield f"{biases:,} biases"


def _kept(times: list[tuple[Stage, int]]) -> Iterator[str]:
    """What the unit of these stages, each in so many layers, keeps on the chip."""
    yield from _weights(times)
    for stage, count in times:
        if isinstance(stage, Embed):
            yield "{:,} × {:,} tokens".format(*stage.tokens.shape)
            if stage.positions is not None:
                yield "{:,} × {:,} positions".format(*stage.positions.shape)
        elif isinstance(stage, Attention):
            yield _cache(count, stage.slots, stage.output_size)


def _outside(times: list[tuple[Stage, int]]) -> Iterator[str]:
    """What they reach in the external memory."""
    yield from _weights(times)
    if gains := sum(count * len(s.gain) for s, count in times if isinstance(s, Norm)):
        yield f"{gains:,} gains"
    for stage, count in times:
        if isinstance(stage, Embed):
            yield f"a row of {stage.tokens.shape[1]:,}"
        elif isinstance(stage, Attention):
            yield _cache(count, stage.slots, stage.kv_heads * stage.d_head)


def _cache(layers: int, slots: int, size: int) -> str:
    """Keys and values of so many layers."""
    return f"KV cache, {2 * layers} × {slots:,} × {size:,}"


def _tables(stages: list[Stage], exp2: int) -> Iterator[str]:
    """What it looks up; a softmax in so many tables of powers at once."""
    for stage in stages:
        if isinstance(stage, Attention):
            yield f"softmax: {counted(exp2, 'exp2 table')}"
            yield "softmax: reciprocal table"
        elif isinstance(stage, Activation) and stage.function == "gelu":
            yield "GELU table"
        elif stage.kind in TABLES:
            yield TABLES[stage.kind]
            if stage.kind == "sample":
                yield "Gumbel table"

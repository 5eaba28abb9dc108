"""From an entry of the schedule to a component, and to the words of its memories."""

from collections.abc import Sequence

from golden.numbers import Format
from golden.plan import Plan, Section
from golden.schedule import Schedule, Unit, sections, value_order
from golden.stage import Stage
from hdl.external import build as external
from hdl.memory import Memories
from hdl.noise import Noise
from hdl.noise_size import noise_size
from hdl.serial.image import image as serial_image
from hdl.stream import Tags
from hdl.units import (
    activation,
    attention,
    bias,
    convert,
    embed,
    gate,
    linear,
    norm,
    residual,
    rope,
    sample,
)
from hdl.weights import Order

MAX_NOISE_DEPTH = 1024
"""Ids whose noise is made ahead of the logits, at the most."""

UNLIMITED_POSITION_BITS = 32
"""Width of a position when the window slides forever."""

PORTS = {
    "linear": (("i", "source"),),
    "bias": (("i", "source"),),
    "norm": (("i", "source"),),
    "activation": (("i", "format"),),
    "convert": (("i", "source"),),
    "rope": (("i", "source"),),
    "gate": (("gate", "gate"), ("x", "source")),
    "residual": (("x", "format"), ("branch", "branch")),
    "attention": (("q", "query"), ("k", "key"), ("v", "value")),
    "sample": (("i", "source"),),
    "embed": (("i", "format"),),
}
"""Input ports of a unit, in the order of the stage's inputs, and the field that is their format."""

UNITS = {
    "activation": activation.Activation,
    "embed": embed.Embed,
    "gate": gate.Gate,
    "norm": norm.Norm,
    "residual": residual.Residual,
    "sample": sample.Sample,
}
IMAGES = {"convert": convert, "norm": norm, "residual": residual}
ORDERED_IMAGES = {"bias": bias, "rope": rope}
LANED_IMAGES = {"activation": activation, "embed": embed, "gate": gate, "sample": sample}


def input_ports(stage: Stage) -> list[tuple[str, Format]]:
    """(port, format) of a stage's inputs at its unit."""
    return [(port, getattr(stage, field)) for port, field in PORTS[stage.kind]]


class Job:
    """A stage that a unit executes.

    Members
    -------
    section: its physical section.  stages: one for each layer that the job serves; ``template`` is
    the first of them, and stands for the shape of all.
    """

    def __init__(self, plan: Plan, schedule: Schedule, section: str, name: str):
        self.section = section
        served = {"prologue": [plan.prologue], "epilogue": [plan.epilogue]}.get(section)
        if served is None:
            served = list(plan.layers[int(section.removeprefix("layer")) :: schedule.instances])
        self.stages = [next(s for s in part if s.name == name) for part in served]
        self.template = self.stages[0]


def unit_jobs(plan: Plan, schedule: Schedule, unit: Unit) -> list[Job]:
    """The jobs of a unit; the place in this list is the job number."""
    return [Job(plan, schedule, section, name) for section, name in schedule.jobs(unit)]


def core_tags(plan: Plan, schedule: Schedule) -> Tags:
    """Widths of the tag outside shared units."""
    position = UNLIMITED_POSITION_BITS if plan.n_ctx is None else (plan.n_ctx - 1).bit_length()
    passes = len(plan.layers) // schedule.instances
    return Tags((schedule.streams - 1).bit_length(), position, (passes - 1).bit_length())


def unit_tags(tags: Tags, jobs: int) -> Tags:
    """The tag inside a unit that serves ``jobs`` jobs."""
    return Tags(tags.stream, tags.position, tags.layer, (jobs - 1).bit_length())


def make_unit(
    plan: Plan, schedule: Schedule, unit: Unit, tags: Tags, memories: Memories, taps: bool
):
    """The component of a unit; it depends on shapes and formats only."""
    jobs = unit_jobs(plan, schedule, unit)
    if schedule.port and unit.kind in external.KINDS:
        stages = [job.stages for job in jobs]
        return external.make_unit(schedule, unit, stages, tags, memories, taps)
    stages = [job.template for job in jobs]
    layers = max(len(job.stages) for job in jobs)
    if unit.kind == "linear":
        return linear.Linear(
            unit.name, stages, [len(job.stages) for job in jobs], unit.lanes, unit.rows, tags,
            memories, schedule.weights, vector_orders(plan, schedule, jobs),
        )  # fmt: skip
    if unit.kind == "attention":
        return attention.Attention(
            unit.name, stages, layers, schedule.streams, unit.lanes, tags, memories, taps
        )
    if unit.kind == "rope":
        orders = vector_orders(plan, schedule, jobs)
        return rope.Rope(unit.name, stages, layers, unit.lanes, tags, memories, orders)
    if unit.kind == "bias":
        orders = vector_orders(plan, schedule, jobs)
        counts = [len(job.stages) for job in jobs]
        return bias.Bias(unit.name, stages, counts, unit.lanes, tags, memories, orders)
    if unit.kind == "convert":
        places = [len(order.rows) for order in vector_orders(plan, schedule, jobs)]
        return convert.Convert(unit.name, stages, layers, unit.lanes, tags, memories, places)
    return UNITS[unit.kind](unit.name, stages, layers, unit.lanes, tags, memories)


def make_noise(
    plan: Plan, schedule: Schedule, unit: Unit, position_bits: int, memories: Memories
) -> Noise:
    """The noise generator of a sampler: a queue as deep as the vocabulary, within reason."""
    depth = min(plan.n_vocab, MAX_NOISE_DEPTH)
    size = noise_size(plan, schedule, unit)
    name = sample.noise_name(unit.name)
    return Noise(name, plan.n_vocab, unit.lanes, position_bits, depth, memories, size)


def vector_orders(plan: Plan, schedule: Schedule, jobs: Sequence[Job]) -> list[Order]:
    """Where elements of every job's answer and input stand (attention pads its heads).

    For a linear layer these are the rows and the columns of its matrix.
    """
    named = dict(sections(plan, schedule.instances))
    return [_order(named[job.section], job, schedule) for job in jobs]


def _order(section: Section, job: Job, schedule: Schedule) -> Order:
    def places(value: str) -> tuple[int, ...]:
        return tuple(int(p) for p in value_order(section, job.section, schedule, value))

    return Order(places(job.template.output), places(job.template.inputs[0]))


def memory_image(plan: Plan, schedule: Schedule) -> dict[str, Sequence[int]]:
    """The words of every loadable memory of the core, by name."""
    if schedule.name == "serial":
        return serial_image(plan, schedule)
    image: dict[str, Sequence[int]] = {}
    for unit in schedule.units:
        image |= _unit_image(plan, schedule, unit)
    return image


def _unit_image(plan: Plan, schedule: Schedule, unit: Unit) -> dict[str, Sequence[int]]:
    jobs = unit_jobs(plan, schedule, unit)
    stages = [job.stages for job in jobs]
    if schedule.port and unit.kind in external.KINDS:
        return external.unit_image(unit, stages)
    if unit.kind == "linear":
        orders = vector_orders(plan, schedule, jobs)
        return linear.image(unit.name, stages, unit.lanes, unit.rows, orders)
    if unit.kind in ORDERED_IMAGES:
        orders = vector_orders(plan, schedule, jobs)
        return ORDERED_IMAGES[unit.kind].image(unit.name, stages, unit.lanes, orders)
    if unit.kind == "attention":
        return attention.image(unit.name, stages, unit.lanes)
    if unit.kind in LANED_IMAGES:
        return LANED_IMAGES[unit.kind].image(unit.name, stages, unit.lanes)
    return IMAGES[unit.kind].image(unit.name, stages)

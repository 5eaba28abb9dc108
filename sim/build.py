"""From model and options to a simulation: plan, schedule, memory image, and the built bench."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from golden.balancer import DEFAULT_MULTIPLIERS, make_schedule, usual_schedule
from golden.errors import WeftError
from golden.model import Checkpoint
from golden.numbers import MANTISSA_BITS
from golden.plan import Plan
from golden.quantize import Options, outside_scales, quantize
from golden.resize import resized
from golden.schedule import Schedule
from golden.zoo import load
from hdl.build import memory_image
from hdl.core import Core
from hdl.core_base import CoreBase
from hdl.external.core import ExternalCore
from hdl.memory import Memories
from hdl.serial.core import SerialCore
from sim import engines
from sim.bench import Bench
from sim.external import External
from sim.workload import REQUEST_DEPTH

CORES = {"serial": SerialCore, "external": ExternalCore}
"""Cores of schedules that have one of their own."""

BUILD = Path("build")
CACHE = BUILD / "cache" / "sim"
IMAGES = BUILD / "cache" / "images"
"""Weights as they lie in external memories."""


@dataclass(frozen=True)
class Target:
    """What to build: a model, how to quantise it, and the schedule it runs on.

    ``schedule`` None: folded, or external where weights have scales of rows or groups.  ``context``
    is the longest sequence, ``window`` how many positions attention sees: None as in the model.
    """

    model: str = "microgpt"
    checkpoint: Path | None = None
    numbers: str | None = None
    schedule: str | None = None
    multipliers: int = DEFAULT_MULTIPLIERS
    lanes: int | None = None
    streams: int = 1
    weights: str = "rom"
    scales: str | None = None
    cache_bits: int = MANTISSA_BITS
    memory: str = External.memory
    controller: str = External.controller
    port: int | None = External.port
    context: int | None = None
    window: int | None = None

    @property
    def external(self) -> External:
        """The external memory, for a schedule that has one."""
        return External(self.memory, self.controller, self.port)

    @property
    def options(self) -> Options:
        """How to quantise."""
        return Options(self.numbers, scales=self.scales, cache_bits=self.cache_bits)


@dataclass(frozen=True)
class Design:
    """A checkpoint with its plan, its schedule and the words of its memories."""

    checkpoint: Checkpoint
    plan: Plan
    schedule: Schedule
    image: Mapping
    external: External = field(default_factory=External)

    def core(self, memories: Memories, observe: bool) -> CoreBase:
        """The gateware; with weights in wires it holds its own words."""
        own = Memories(self.image, wires=True) if self.schedule.weights == "wires" else memories
        kind = CORES.get(self.schedule.name, Core)
        return kind(self.plan, self.schedule, own, observe=observe)

    def bench(self, memories: Memories) -> Bench:
        """The gateware with what drives and records it, an external memory included."""
        return Bench(self.core(memories, observe=True), memories, REQUEST_DEPTH)

    def open_bench(self, memories: Memories) -> Bench:
        """The same, but an external memory is left to the program around it."""
        return Bench(self.core(memories, observe=True), memories, REQUEST_DEPTH, outside=True)

    def least_cycles(self) -> dict[str, float]:
        """Cycles that a token of a prompt and one to sample after take, by an external memory."""
        if not self.schedule.port:
            return {}
        return {
            f"{kind}_cycles": self.external.bound(self.plan, [0], sampled)
            for kind, sampled in (("prefill", False), ("decode", True))
        }

    def key(self) -> str:
        """Digest of all that the gateware depends on."""
        parts = [self.plan.signature(), self.schedule.signature()]
        if self.schedule.weights == "wires":
            parts.append(self.plan.digest())
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def loaded(self) -> Mapping:
        """The words that are loaded at run time."""
        return {} if self.schedule.weights == "wires" else self.image


def quantised(target: Target) -> tuple[Checkpoint, Plan]:
    """The checkpoint of a target, and its plan; with scales that its schedule knows."""
    checkpoint = resized(load(target.model, target.checkpoint), target.context, target.window)
    options = target.options
    if target.schedule == "external":
        options = replace(options, scales=options.scales or outside_scales(checkpoint))
    return checkpoint, quantize(checkpoint, options)


MOST_BITS = 1 << 26
"""Bits of weights, or of a cache, that a core may keep: more than any chip here has."""


def scheduled(target: Target, checkpoint: Checkpoint, plan: Plan) -> Design:
    """The design of what :func:`quantised` gave.

    Raises
    ------
    WeftError
        If the weights take more than MOST_BITS, or make_schedule refuses.
    """
    name = target.schedule or usual_schedule(plan)
    external = target.external
    if name != "external":
        _check_bits(plan, "weights", weight_bits(plan, streamed=target.weights == "stream"))
        _check_bits(plan, "cached keys and values", target.streams * cache_bits(plan))
    schedule = make_schedule(
        plan, name, target.multipliers, target.streams, target.weights, target.lanes, external.bits
    )
    if schedule.port:
        external.check(plan)
    return Design(checkpoint, plan, schedule, memory_image(plan, schedule), external)


def _check_bits(plan: Plan, what: str, bits: int) -> None:
    if bits > MOST_BITS:
        raise WeftError(
            f"the {what} of {plan.name} take {bits / 1e6:,.0f} Mbit, and a core keeps them on the "
            f"chip; expected at most {MOST_BITS / 1e6:,.0f} Mbit: choose a smaller model, or "
            "an external memory (leave SCALES and SCHEDULE out) for one of the llama family"
        )


def cache_bits(plan: Plan) -> int:
    """Bits of the keys and values of a sequence, over all layers."""
    stages = [stage for _, stage in plan.stages() if stage.kind == "attention"]
    return sum(2 * s.slots * s.output_size * s.key.width for s in stages)


def weight_bits(plan: Plan, streamed: bool = False) -> int:
    """Bits of weights, biases and embeddings without padding; ``streamed``: without weights."""
    total = 0
    for _, stage in plan.stages():
        if stage.kind == "linear" and not streamed:
            total += stage.weights.size * stage.weight_bits
        elif stage.kind == "bias":
            total += stage.bias.size * stage.format.width
        elif stage.kind == "embed":
            positions = 0 if stage.positions is None else stage.positions.size
            total += (stage.tokens.size + positions) * stage.format.width
    return total


def make_design(target: Target) -> Design:
    """Load, quantise and schedule."""
    return scheduled(target, *quantised(target))


def is_open(design: Design, engine: str) -> bool:
    """Whether the external memory of a bench is one of sim/memory: others play it themselves."""
    return bool(design.schedule.port) and engine == "verilator"


def build(design: Design, engine: str, cache: Path = CACHE) -> engines.Simulation:
    """The design's bench, built for an engine or found in the cache."""
    if is_open(design, engine):
        key = f"{design.key()} open"
        return engines.engine(engine).build(design.open_bench, key, cache)
    return engines.engine(engine).build(design.bench, design.key(), cache)

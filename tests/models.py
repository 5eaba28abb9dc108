"""Cores of small models for tests: built once for every shape, and kept between runs."""

import functools
from pathlib import Path

import numpy as np

from golden.balancer import make_schedule
from golden.generate import Request
from golden.model import Checkpoint, ModelConfig
from golden.noise import noise_scale
from golden.plan import Plan
from golden.quantize import Options, quantize
from golden.zoo import load
from hdl.build import memory_image
from sim.build import Design
from sim.engines import Simulation, engine
from sim.engines.verilator import Verilator
from sim.session import Outcome, run
from sim.setup.paths import ROOT
from tests.random_models import random_checkpoint

CACHE = ROOT / "build" / "cache" / "sim"
TEMPERATURES = (0.0, 1 / 64, 0.5, 1.0, 8.0)


def design(source: Checkpoint | ModelConfig, name="folded", multipliers=4, **options) -> Design:
    """A design of a checkpoint, or of seeded random weights of a shape.

    ``options``: numbers, seed (of the weights), scale (of the weights), streams, weights, lanes.
    """
    numbers = options.pop("numbers", None)
    seed, scale = options.pop("seed", 0), options.pop("scale", 1.0)
    if isinstance(source, ModelConfig):
        source = random_checkpoint(source, seed, scale)
    plan = quantize(source, Options(numbers))
    schedule = make_schedule(plan, name, multipliers, **options)
    return Design(source, plan, schedule, memory_image(plan, schedule))


@functools.cache
def microgpt(name="folded", multipliers=64, streams=1) -> Design:
    """The preset on a schedule."""
    return design(load("microgpt"), name, multipliers, streams=streams)


@functools.cache
def preset(model: str) -> Checkpoint:
    """A preset with its own weights."""
    return load(model)


def built(made: Design, quick: bool = True) -> Simulation:
    """The design on Verilator; ``quick``: compiled for few cycles."""
    chosen = Verilator(quick=True) if quick else engine("verilator")
    return chosen.build(made.bench, made.key(), CACHE)


def simulate(made: Design, requests, folder: Path, quick: bool = True, **settings) -> Outcome:
    """Run requests on Verilator; every tap is compared."""
    return run(made, built(made, quick), requests, folder, **settings)


def some_requests(plan: Plan, count: int, seed: int = 0, longest: int = 6) -> list[Request]:
    """Random prompts, counts, seeds, temperatures and stop tokens."""
    rng = np.random.default_rng(seed)
    limit = min(longest, plan.n_ctx or longest)
    return [
        Request(
            prompt=tuple(int(t) for t in rng.integers(0, plan.n_vocab, rng.integers(1, limit + 1))),
            count=int(rng.integers(1, 2 * limit)),
            sequence=int(rng.integers(0, 1 << 32)),
            seed=int(rng.integers(0, 1 << 32)),
            noise_scale=noise_scale(TEMPERATURES[k % len(TEMPERATURES)]),
            stop=int(rng.integers(0, plan.n_vocab)) if k % 2 else None,
        )
        for k in range(count)
    ]


def answers(outcome: Outcome) -> dict[int, list[int]]:
    """Sampled tokens by the logical number of their sequence."""
    found: dict[int, list[int]] = {}
    for _, token in outcome.tokens:
        found.setdefault(token["sequence"], []).append(token["token"])
    return found


def mean_cycles(outcome: Outcome) -> float:
    """Cycles a sampled token, from its acceptance to the answer."""
    return sum(token["cycles"] for _, token in outcome.tokens) / len(outcome.tokens)

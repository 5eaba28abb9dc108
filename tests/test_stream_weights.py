"""Streamed weights end to end: hdl/weight_ports.py and sim/weight_player.py on a small core."""

from functools import cache

import pytest

from golden.balancer import make_schedule
from golden.generate import Request
from golden.model import ModelConfig
from golden.noise import noise_scale
from golden.quantize import Options, quantize
from hdl.build import memory_image
from hdl.weight_ports import weight_ports
from sim.build import Design
from sim.engines import engine
from sim.report import bounds
from sim.session import run
from sim.setup.paths import ROOT
from tests.random_models import random_checkpoint

CACHE = ROOT / "build" / "cache" / "sim"
SMALL = ModelConfig(n_layer=2, n_head=2, d_model=8, d_ff=16, n_vocab=11, n_ctx=8)
REQUESTS = [
    Request(prompt=(1, 2, 3), count=3, sequence=0, seed=1, noise_scale=noise_scale(0.5), stop=None),
    Request(prompt=(4,), count=3, sequence=1, seed=1, noise_scale=0, stop=None),
]
"""Prompts of several tokens: all but the last pass the head by."""


@cache
def design(name: str, multipliers: int, weights: str = "stream") -> Design:
    checkpoint = random_checkpoint(SMALL)
    plan = quantize(checkpoint, Options("fixed"))
    schedule = make_schedule(plan, name, multipliers, weights=weights)
    return Design(checkpoint, plan, schedule, memory_image(plan, schedule))


@cache
def simulation(name: str, multipliers: int, weights: str = "stream"):
    made = design(name, multipliers, weights)
    return engine("icarus").build(made.bench, made.key(), CACHE)


def outcome(folder, *shape, **settings):
    made = design(*shape)
    return run(made, simulation(*shape), REQUESTS, folder, **settings)


PIPELINED = pytest.param(("pipelined", 40), marks=pytest.mark.slow)


@pytest.mark.parametrize("shape", [("folded", 8), PIPELINED])
def test_every_value_matches(shape, tmp_path):
    smooth = outcome(tmp_path, *shape)
    rough = outcome(tmp_path, *shape, weight_idle=120, seed=3)
    assert [t["token"] for _, t in smooth.tokens] == [t["token"] for _, t in rough.tokens]
    assert rough.simulated_cycles > smooth.simulated_cycles


def test_streamed_words_cost_no_more_cycles_than_a_rom(tmp_path):
    streamed, rom = outcome(tmp_path, "folded", 8), outcome(tmp_path, "folded", 8, "rom")
    assert streamed.simulated_cycles <= rom.simulated_cycles


def test_the_memory_bound_counts_weights_and_the_width_of_the_port(tmp_path):
    found = bounds(design("folded", 8), outcome(tmp_path, "folded", 8))
    weights = 2 * (4 * 8 * 8 + 2 * 8 * 16) + 11 * 8
    assert found["memory_bytes_per_cycle"] == 8
    assert found["memory_cycles"] == weights / 8
    assert found["binding"] == "multiplier"  # attention has products but no weights
    assert bounds(design("folded", 8, "rom"), outcome(tmp_path, "folded", 8))["memory_cycles"] == 0


def test_ports():
    made = design("folded", 8)
    (port,) = weight_ports(made.plan, made.schedule)
    assert (port.memory, port.width, port.most) == ("linear.weights", 64, 16)
    assert port.depth == len(made.image["linear.weights"])
    assert not weight_ports(made.plan, make_schedule(made.plan, multipliers=8))

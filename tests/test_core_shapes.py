"""Cores of other shapes, on few multipliers: every value against the integer model."""

from dataclasses import replace

import pytest
from amaranth.hdl import Cat, Signal, unsigned
from amaranth.lib import data

from golden.config import LINEARS
from golden.generate import generate_all
from golden.model import ModelConfig
from hdl.observe import Tap
from sim import session, taps
from sim.bench import REQUESTS, SETTINGS, Bench, requests, settings
from sim.engines.verilator import Verilator
from sim.mismatch import Mismatch
from sim.workload import Sampling, make_requests, request_rows
from tests.models import CACHE, answers, design, mean_cycles, preset, simulate, some_requests

BASE = ModelConfig(n_layer=1, n_head=2, d_model=8, d_ff=12, n_vocab=7, n_ctx=6)

GATED = {"position": "rotary", "gated": True, "activation": "silu", "norm_embedding": False}

SHAPES = {
    "2 layers, 4 heads of 6": (
        replace(BASE, n_layer=2, n_head=4, d_model=24, d_ff=96, n_vocab=65),
        {"multipliers": 8},
    ),
    "three layers on one datapath, one head": (
        replace(BASE, n_layer=3, n_head=1, n_vocab=5, n_ctx=5),
        {"streams": 3},
    ),
    "three layers, each its own": (
        replace(BASE, n_layer=3, n_head=1, n_vocab=5, n_ctx=5),
        {"name": "pipelined", "multipliers": 36, "streams": 2},
    ),
    "4 heads of 12": (replace(BASE, n_head=4, d_model=48, d_ff=40), {"multipliers": 16}),
    "3 heads of 8": (replace(BASE, n_head=3, d_model=24, d_ff=31), {"multipliers": 13, "lanes": 4}),
    "gelu": (replace(BASE, activation="gelu", n_layer=2, d_ff=20), {"multipliers": 6}),
    "gelu, pipelined": (
        replace(BASE, activation="gelu", norm_head=True),
        {"name": "pipelined", "multipliers": 20},
    ),
    "window": (
        replace(BASE, n_ctx=None, position="none", window=3, norm_embedding=False),
        {"multipliers": 3, "streams": 2},
    ),
    "norm before the head only": (
        replace(BASE, norm_head=True, norm_embedding=False, window=4, n_layer=2),
        {"multipliers": 2},
    ),
    "blocks": (replace(BASE, n_layer=2, d_ff=18), {"numbers": "block", "multipliers": 8}),
    "blocks, pipelined": (
        replace(BASE, norm_head=True, norm_embedding=False, n_head=1, window=3),
        {"numbers": "block", "name": "pipelined", "multipliers": 24, "streams": 2},
    ),
    "llama": (
        replace(
            BASE,
            n_layer=2,
            n_head=4,
            d_model=24,
            d_ff=10,
            n_kv_head=2,
            position="rotary",
            gated=True,
            activation="silu",
            norm_gain=True,
            tied_head=True,
            norm_embedding=False,
            norm_head=True,
        ),
        {"multipliers": 16},
    ),
    "biases": (
        replace(BASE, **GATED, norm_head=True, d_ff=10, biases=LINEARS),
        {"multipliers": 8},
    ),
    "biases of attention, several sequences": (
        replace(
            BASE,
            **GATED,
            norm_head=True,
            n_layer=2,
            n_head=4,
            d_model=24,
            n_kv_head=2,
            biases=LINEARS[:4],
        ),
        {"multipliers": 16, "streams": 3},
    ),
    "biases, pipelined": (
        replace(BASE, **GATED, n_ctx=None, window=3, biases=LINEARS),
        {"name": "pipelined", "multipliers": 40, "streams": 2},
    ),
    "biases beside ReLU": (
        replace(BASE, n_layer=2, d_ff=18, biases=(*LINEARS[:4], *LINEARS[5:])),
        {"multipliers": 8},
    ),
    "llama, several sequences": (
        replace(
            BASE,
            n_layer=2,
            position="rotary",
            gated=True,
            activation="silu",
            norm_head=True,
            norm_embedding=False,
        ),
        {"multipliers": 8, "streams": 3},
    ),
    "llama, pipelined": (  # positions without end
        replace(
            BASE,
            position="rotary",
            gated=True,
            activation="silu",
            norm_embedding=False,
            n_ctx=None,
            window=3,
        ),
        {"numbers": "block", "name": "pipelined", "multipliers": 32, "streams": 2},
    ),
    "one lane": (replace(BASE, n_head=8, d_ff=5), {"lanes": 1, "multipliers": 5}),
    "wires": (replace(BASE, n_vocab=6, n_ctx=4), {"weights": "wires"}),
    "serial, 2 layers, 4 heads of 6": (
        replace(BASE, n_layer=2, n_head=4, d_model=24, d_ff=50, n_vocab=65),
        {"name": "serial", "multipliers": 8},
    ),
    "serial, window, one head of more elements than sums": (
        replace(BASE, n_ctx=None, position="none", window=3, norm_embedding=False, n_head=1),
        {"name": "serial", "multipliers": 2, "weights": "wires"},
    ),
    "serial, one sum": (
        replace(BASE, norm_head=True, n_layer=3, n_ctx=5, n_vocab=6),
        {"name": "serial", "multipliers": 1},
    ),
    "serial, more sums than slots": (
        replace(BASE, norm_head=True, norm_embedding=False, n_head=1, d_model=12),
        {"name": "serial", "multipliers": 16},
    ),
}


SLOW = (
    "gelu, pipelined",
    "blocks, pipelined",
    "norm before the head only",
    "llama, several sequences",
    "llama, pipelined",
    "biases of attention, several sequences",
    "biases, pipelined",
    "biases beside ReLU",
    "serial, more sums than slots",
)


def marked(shape):
    return pytest.param(shape, marks=pytest.mark.slow) if shape in SLOW else shape


@pytest.mark.parametrize("shape", [marked(shape) for shape in SHAPES])
def test_shape(shape, tmp_path, monkeypatch):
    monkeypatch.setattr(session, "BATCH", 3)  # the comparison cuts in the middle of other streams
    config, options = SHAPES[shape]
    made = design(config, **options)
    requests = some_requests(made.plan, 15, seed=len(shape))
    outcome = simulate(made, requests, tmp_path, idle=60, pressure=60, seed=3)
    wanted = [s for s in generate_all(made.plan, requests) if s.sampled is not None]
    assert sorted(t["token"] for _, t in outcome.tokens) == sorted(s.sampled for s in wanted)
    assert outcome.checker.compared > 1000
    print("shape", shape, mean_cycles(outcome))


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("shape", [s for s in SHAPES if s.endswith("2 layers, 4 heads of 6")])
def test_other_weights_of_one_shape(shape, seed, tmp_path):
    # Exponents, shifts and tables differ, and so does what saturates; the program is the same.
    config, options = SHAPES[shape]
    made = design(config, seed=seed, scale=(0.2, 3.0, 20.0)[seed - 1], **options)
    requests = some_requests(made.plan, 6, seed)
    assert simulate(made, requests, tmp_path).tokens


def test_a_wrong_bias_is_noticed(tmp_path):
    config, options = SHAPES["biases"]
    made = design(config, **options)
    words = list(made.image["bias.biases"])
    words[0] ^= 1 << 28
    spoilt = replace(made, image={**made.image, "bias.biases": words})
    where = r"stage layer0\.q_bias \(layer 0\), sequence \d+, position 0, element 0"
    with pytest.raises(Mismatch, match=where):
        simulate(spoilt, some_requests(made.plan, 1), tmp_path)


def test_lanes_change_cycles_only(tmp_path):
    config = replace(BASE, n_layer=2)
    narrow, wide = (design(config, multipliers=8, lanes=lanes) for lanes in (2, 4))
    requests = some_requests(narrow.plan, 12, seed=5)
    one, other = (simulate(made, requests, tmp_path) for made in (narrow, wide))
    assert len(answers(one)) == 12
    assert answers(one) == answers(other)
    assert mean_cycles(one) != mean_cycles(other)


def confessing(made, memories):
    """A core whose sticky bits are seen with every token."""
    core = made.core(memories, observe=True)

    class Confessing(type(core)):
        def elaborate(self, platform):
            m = super().elaborate(platform)
            told = Signal(data.StructLayout({"units": unsigned(len(self.saturated))}))
            m.d.comb += told.units.eq(Cat(self.saturated))
            self.taps.append(Tap("saturated", self.tokens.valid & self.tokens.ready, told))
            return m

    core.__class__ = Confessing
    return core


@pytest.mark.parametrize("name", ["folded", "serial"])
@pytest.mark.parametrize("scale", [0.3, 30.0])
def test_saturation_is_told(scale, name, tmp_path):
    made = design(replace(BASE, n_head=1), name, scale=scale)

    def bench(memories):
        return Bench(confessing(made, memories), memories, 256)

    simulation = Verilator(quick=True).build(bench, made.key() + "confessing", CACHE)
    asked = some_requests(made.plan, 12, seed=1)
    rows = requests(simulation.design, list(request_rows(asked)))
    image = {**made.image, REQUESTS: rows, SETTINGS: settings()}
    lines = [x for x in simulation.run(image, tmp_path) if x[0] == "@"]
    bits = int(taps.decode(simulation.design, lines)["saturated"]["units"][-1])
    names = [unit.name for unit in made.schedule.units]
    told = {name for k, name in enumerate(names) if bits >> k & 1}
    wanted = set()
    for step in generate_all(made.plan, asked):
        for _, stage in step.saturated:
            wanted |= {unit for (_, name), unit in made.schedule.binding if name == stage}
    assert told == wanted
    print("saturated", scale, sorted(told))


def test_ailang(tmp_path):
    made = design(preset("ailang"), multipliers=64)
    requests = make_requests(made.checkpoint, Sampling(1.0, 7), 2, tokens=6)
    outcome = simulate(made, requests, tmp_path)
    assert sorted(map(len, answers(outcome).values())) == [6, 6]
    print("ailang", mean_cycles(outcome))
    assert mean_cycles(outcome) <= 3000

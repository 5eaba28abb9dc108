"""The memories that a core asks for, and what its gateware may depend on."""

from dataclasses import replace

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Fragment

from golden.errors import WeftError
from golden.model import ModelConfig
from golden.quantize import Options, quantize
from hdl.memory import Memories
from sim.build import MOST_BITS, Target, make_design, scheduled, weight_bits
from tests.models import design, microgpt
from tests.random_models import LLAMA, random_checkpoint

SMALL = ModelConfig(n_layer=2, n_head=2, d_model=4, d_ff=6, n_vocab=5, n_ctx=4)
DESIGNS = {
    "microgpt": microgpt,
    "pipelined": lambda: microgpt("pipelined"),
    "small": lambda: design(SMALL, multipliers=2),
    "gelu": lambda: design(replace(SMALL, activation="gelu"), multipliers=5),
    "window": lambda: design(replace(SMALL, n_ctx=None, position="none", window=3)),
    "blocks": lambda: design(SMALL, numbers="block"),
    "llama": lambda: design(LLAMA["llama"], multipliers=8),
    "biases": lambda: design(replace(SMALL, biases=("attn_wq", "attn_wo", "mlp_fc1"))),
    "llama, pipelined": lambda: design(LLAMA["llama"], "pipelined", 64),
    "blocks, pipelined": lambda: design(SMALL, "pipelined", 24, numbers="block"),
}


def text(made, observe=False):
    return rtlil.convert(made.core(Memories(), observe), name="top", emit_src=False)


@pytest.mark.parametrize("name", DESIGNS)
def test_the_image_is_what_the_core_asks_for(name):
    made = DESIGNS[name]()
    memories = Memories()
    Fragment.get(made.core(memories, observe=False), None)
    assert set(made.image) == set(memories.shapes)
    for memory, (width, depth) in memories.shapes.items():
        words = [int(word) for word in made.image[memory]]
        assert 1 <= len(words) <= depth, memory
        assert all(-(1 << (width - 1)) <= word < 1 << width for word in words), memory


@pytest.mark.parametrize("numbers", ["fixed", "block"])
def test_one_shape_is_one_gateware(numbers):
    ours, theirs = (
        design(SMALL, seed=n, scale=s, numbers=numbers) for n, s in ((1, 1.0), (2, 7.0))
    )
    assert ours.key() == theirs.key()
    assert ours.plan.digest() != theirs.plan.digest()
    assert any(
        not np.array_equal(ours.image[name], theirs.image[name])
        for name in ours.image
        if name.endswith("parameters")
    )
    assert text(ours) == text(theirs)


def test_what_changes_the_gateware_changes_the_key():
    variants = [
        design(SMALL),
        design(SMALL, multipliers=8),
        design(SMALL, streams=2),
        design(SMALL, "pipelined", 24),
        design(SMALL, numbers="block"),
        design(replace(SMALL, n_vocab=6)),
        design(replace(SMALL, n_ctx=5)),
        design(SMALL, weights="wires"),
    ]
    assert len({made.key() for made in variants}) == len(variants)


def test_wires_hold_their_words_and_load_none():
    made, other = (design(SMALL, seed=seed, weights="wires") for seed in (1, 2))
    assert made.key() != other.key()
    assert made.loaded() == {}
    memories = Memories()
    wires = rtlil.convert(made.core(memories, False), name="top", emit_src=False)
    assert memories.shapes == {}
    assert "weft_linear__weights" not in wires
    assert wires != text(other)
    rom = design(SMALL, seed=1)
    assert "weft_linear__weights" in text(rom)
    assert set(rom.loaded()) == set(rom.image)


def test_observation_costs_nothing_when_off():
    made = design(SMALL)
    bare = made.core(Memories(), observe=False)
    Fragment.get(bare, None)
    assert (bare.taps, bare.units, bare.counters) == ([], [], [])
    assert "scores_tap" not in text(made)
    assert len(text(made)) < len(text(made, observe=True))


def test_targets_are_found_by_name():
    made = make_design(Target(schedule="pipelined", multipliers=48, streams=2, lanes=4))
    assert made.schedule.name == "pipelined"
    assert made.schedule.streams == 2
    assert max(unit.lanes for unit in made.schedule.units) <= 4
    assert made.key() != make_design(Target()).key() == microgpt().key()


def test_a_cache_that_no_chip_holds_is_refused():
    checkpoint = random_checkpoint(replace(LLAMA["llama"], n_ctx=1 << 31))
    with pytest.raises(WeftError, match=r"the cached keys and values of random take .* Mbit, and"):
        scheduled(Target(), checkpoint, quantize(checkpoint))


def test_streamed_weights_may_be_large():
    plan = quantize(random_checkpoint(SMALL))
    assert 0 < weight_bits(plan, streamed=True) < weight_bits(plan)


def test_weights_that_no_chip_holds_are_refused():
    large = replace(SMALL, d_model=1024, n_head=1, d_ff=1024, n_vocab=2)
    checkpoint = random_checkpoint(large)
    plan = quantize(checkpoint, Options("block"))
    assert weight_bits(plan) > MOST_BITS
    with pytest.raises(WeftError, match=r"of random take \d+ Mbit, .* expected at most 67 Mbit"):
        scheduled(Target(), checkpoint, plan)

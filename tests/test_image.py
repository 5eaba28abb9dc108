"""hdl/external/image.py and layout.py: what lies in an external memory, bit by bit."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from golden.config import LINEARS
from golden.generate import run_token
from golden.quantize import Options, quantize
from golden.schedules.external import PORT_BITS
from golden.stages import Context
from golden.stages.attention import Cache
from hdl.external.image import cache_bytes, memory_bytes, tensor_bytes
from hdl.external.layout import Layout
from tests.llama import BASE, random_llama
from tests.memory_reader import (
    Bits,
    read_biases,
    read_gains,
    read_groups,
    read_keys,
    read_rows,
    read_values,
)

WIDE = replace(BASE, d_model=64, d_ff=96, n_vocab=37)
CONFIGS = {
    "row": (BASE, "row"),
    "odd rows": (
        replace(BASE, n_head=5, n_kv_head=5, d_model=30, d_ff=7, n_vocab=13, n_layer=3),
        "row",
    ),
    "untied rows": (replace(BASE, tied_head=False, n_vocab=17), "row"),
    "group": (WIDE, "group"),
    "untied groups": (replace(WIDE, tied_head=False, n_layer=1), "group"),
    "biases": (replace(BASE, biases=LINEARS), "row"),
    "some biases": (replace(WIDE, n_layer=1, biases=LINEARS[:3]), "group"),
    "few groups": (replace(WIDE, n_head=16, n_kv_head=1, d_model=32, d_ff=32), "group"),
}


@cache
def plan_of(name: str, cache_bits: int = 16):
    config, scales = CONFIGS[name]
    return quantize(random_llama(config), Options(scales=scales, cache_bits=cache_bits))


@pytest.mark.parametrize("port", PORT_BITS)
@pytest.mark.parametrize("name", CONFIGS)
def test_every_bit_of_the_weights(name, port):
    plan, layout = plan_of(name), Layout(plan_of(name), port)
    memory = Bits(memory_bytes(layout), port)
    sections = [layer.stages for layer in plan.layers] + [plan.epilogue.stages]
    for section in sections:
        for stage in section:
            if stage.kind == "norm":
                np.testing.assert_array_equal(read_gains(memory, stage.size), stage.gain)
            elif stage.kind == "bias":
                np.testing.assert_array_equal(read_biases(memory, stage.output_size), stage.bias)
            elif stage.kind == "linear":
                check_matrix(memory, stage.weights, stage.scales, stage.minima)
    embed = plan.prologue.stages[0]
    if not CONFIGS[name][0].tied_head:
        check_matrix(memory, embed.tokens, embed.scales, None)
    assert layout.tied == CONFIGS[name][0].tied_head
    assert memory.beat == layout.weights_end
    assert len(memory_bytes(layout)) == layout.weights_end * port // 8


def check_matrix(memory, codes, scales, minima):
    if minima is None:
        found = read_rows(memory, *codes.shape)
        expected = (codes, scales)
    else:
        found = read_groups(memory, *codes.shape)
        expected = (codes, scales, minima)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_order_of_consumption():
    layout = Layout(plan_of("group"), 128)
    names = [(t.layer, t.stage.name) for t in layout.tensors]
    once = ["norm_attention", "q", "k", "v", "project", "norm_mlp", "gate", "fc1", "fc2"]
    expected = [(layer, name) for layer in range(2) for name in once]
    assert names == [*expected, (0, "norm_head"), (0, "logits")]
    untied = Layout(plan_of("untied groups"), 128)
    assert [t.stage.name for t in untied.tensors][-3:] == ["norm_head", "logits", "embed"]
    biased = [t.stage.name for t in Layout(plan_of("some biases"), 128).tensors]
    assert biased[1:7] == ["q", "q_bias", "k", "k_bias", "v", "v_bias"]


@pytest.mark.parametrize("name", ["few groups", "biases"])
@pytest.mark.parametrize("port", PORT_BITS)
def test_every_bit_counts(port, name):
    # The comparison above would mean little if the reader passed over some.
    layout = Layout(plan_of(name), port)
    memory = bytearray(memory_bytes(layout))
    rng = np.random.default_rng(port)
    for at in rng.integers(len(memory), size=40):
        spoilt = bytearray(memory)
        spoilt[at] ^= 1 << rng.integers(8)
        assert differs(layout, spoilt, port), at


def differs(layout, memory, port):
    bits = Bits(memory, port)
    try:
        for stage in (tensor.stage for tensor in layout.tensors):
            if stage.kind == "norm":
                np.testing.assert_array_equal(read_gains(bits, stage.size), stage.gain)
            elif stage.kind == "bias":
                np.testing.assert_array_equal(read_biases(bits, stage.output_size), stage.bias)
            else:
                check_matrix(bits, stage.weights, stage.scales, stage.minima)
    except AssertionError:
        return True
    return False


@pytest.mark.parametrize("port", PORT_BITS)
def test_a_tensor_alone_is_what_lies_in_the_memory(port):
    layout = Layout(plan_of("odd rows"), port)
    memory, beat = memory_bytes(layout), port // 8
    for tensor in layout.tensors:
        data = tensor_bytes(tensor)
        assert len(data) == tensor.form.beats * beat
        np.testing.assert_array_equal(memory[tensor.first * beat :][: len(data)], data)


@pytest.mark.parametrize("port", PORT_BITS)
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", ["row", "odd rows", "group"])
def test_every_bit_of_the_cache(name, bits, port):
    plan = plan_of(name, bits)
    layout = Layout(plan, port)
    stage, rng = layout.attention, np.random.default_rng(bits)
    caches = [random_cache(stage, bits, rng) for _ in plan.layers]
    written = [cache_bytes(layout, layer, each) for layer, each in enumerate(caches)]
    assert sum(map(len, written)) == (layout.end - layout.weights_end) * port // 8
    memory = Bits(np.concatenate(written), port)
    for layer, kept in enumerate(caches):
        for head in range(stage.kv_heads):
            assert memory.beat == layout.keys(layer, head) - layout.weights_end
            exponents, keys = read_keys(memory, stage.slots, stage.d_head, bits)
            assert memory.beat == layout.values(layer, head) - layout.weights_end
            values = read_values(memory, stage.slots, stage.d_head, bits)
            np.testing.assert_array_equal(exponents[:, 0], kept.key_exponents)
            np.testing.assert_array_equal(exponents[:, 1], kept.value_exponents)
            np.testing.assert_array_equal(keys, kept.keys[:, head])
            np.testing.assert_array_equal(values, kept.values[:, head])


def test_the_cache_of_a_real_sequence():
    plan = plan_of("group", 8)
    layout, cache = Layout(plan, 64), {}
    stage, tokens = layout.attention, [3, 1, 30, 7, 7]
    for position, token in enumerate(tokens):
        run_token(plan, Context(token, position, cache=cache), wanted=False)
    for layer in range(len(plan.layers)):
        kept = cache[layer, stage.name]
        memory = Bits(cache_bytes(layout, layer, kept), 64)
        for head in range(stage.kv_heads):
            exponents, keys = read_keys(memory, stage.slots, stage.d_head, 8)
            values = read_values(memory, stage.slots, stage.d_head, 8)
            np.testing.assert_array_equal(exponents[:, 0], kept.key_exponents)
            np.testing.assert_array_equal(keys, kept.keys[:, head])
            np.testing.assert_array_equal(values, kept.values[:, head])
            assert exponents[: len(tokens)].all()
            assert not exponents[len(tokens) :].any()
            assert not keys[len(tokens) :].any()


def test_places_of_a_layout():
    tied, untied = (Layout(plan_of(name), 32) for name in ("row", "untied rows"))
    for layout in (tied, untied):
        first = {(t.layer, t.stage.name): t.first for t in layout.tensors}
        assert 2 * first[1, "norm_attention"] == first[0, "norm_head"]
        assert layout.keys(0, 0) == layout.weights_end
        assert layout.end == layout.weights_end + 2 * 2 * layout.head_beats
        # d_head 6: three beats of mantissas and one of exponents for a key, of 16 slots.
        assert (layout.key_record, layout.head_beats) == (4, 16 * 7)
    assert tied.embedding == first_of(tied, "logits")
    assert untied.embedding == first_of(untied, "embed") > first_of(untied, "logits")


def first_of(layout, name):
    return next(t.first for t in layout.tensors if t.stage.name == name)


def random_cache(stage, bits, rng):
    shape, top = (stage.slots, stage.kv_heads, stage.d_head), 1 << (bits - 1)
    return Cache(
        rng.integers(-top, top, shape),
        rng.integers(-top, top, shape),
        rng.integers(-128, 128, stage.slots),
        rng.integers(-128, 128, stage.slots),
    )

from dataclasses import fields, replace

import numpy as np
import pytest

from golden.accuracy import sampled_texts
from golden.errors import WeftError
from golden.model import Checkpoint, ModelConfig
from golden.quantize import quantize
from golden.reference import Cache, forward, rotate, sequence_logits, silu, step
from tests.llama import BASE, CONFIGS, halves, logits, random_llama

TOKENS = [3, 0, 10, 1, 1, 7, 3, 9]


@pytest.mark.parametrize("name", CONFIGS)
def test_the_reference_is_the_family(name):
    c = random_llama(CONFIGS[name])
    expected = logits(c, TOKENS)
    for found in (forward(c, TOKENS), sequence_logits(c, TOKENS)):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)


def test_every_weight_counts():
    # The comparison above would mean little if both sides passed over a tensor.
    c = random_llama(CONFIGS["all biases"])
    exact = logits(c, TOKENS)
    for name, tensor in c.tensors.items():
        spoilt = tensor.copy()
        spoilt[(0,) * tensor.ndim if name != "wte" else 3] += 0.5
        other = replace(c, tensors=c.tensors | {name: spoilt})
        for found in (forward(other, TOKENS), sequence_logits(other, TOKENS)):
            if name.endswith("attn_wk.bias"):  # turned with its position, else it would cancel
                assert abs(found - exact).max() > 1e-4
            else:
                assert abs(found - exact).max() > 1e-3, name


@pytest.mark.parametrize(
    "change", [{"rope_theta": 100.0}, {"n_kv_head": 4}, {"norm_eps": 0.5}, {"activation": "relu"}]
)
def test_every_option_counts(change):
    c = random_llama(BASE)
    other = replace(BASE, **change)
    tensors = {n: np.resize(c.tensors[n], shape) for n, shape in other.shapes.items()}
    changed = Checkpoint(other, tensors, c.vocabulary, "other")
    assert abs(forward(changed, TOKENS) - forward(c, TOKENS)).max() > 1e-2


def test_a_token_costs_one_pass():
    c, cache, record = random_llama(BASE), Cache(), {}
    forward(c, TOKENS[:-1], cache)
    last = step(c, TOKENS[-1], cache, record)
    np.testing.assert_array_equal(last, forward(c, TOKENS)[-1])
    assert {position for position, _, _ in record} == {7}
    assert record[7, 0, "rotate_k"].shape == record[7, 1, "v"].shape == (12,)
    assert record[7, 1, "gate"].shape == record[7, 1, "gated"].shape == (20,)
    assert record[7, 1, "scores"].shape == (4, 8)


def test_a_window_keeps_counting_positions():
    c = random_llama(replace(BASE, n_layer=1, window=3))
    np.testing.assert_allclose(forward(c, TOKENS), sequence_logits(c, TOKENS), rtol=1e-4, atol=1e-5)
    # Scores depend on distances only, so an unlimited context starts anywhere.
    endless = replace(c, config=replace(c.config, n_ctx=None))
    cache = Cache(position=5000)
    moved = forward(endless, TOKENS, cache)
    np.testing.assert_allclose(moved, forward(c, TOKENS), rtol=1e-3, atol=1e-3)


def test_rotation():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((5, 3, 8)).astype(np.float32)
    positions = np.arange(5)[:, None]
    turned = rotate(x, positions, 10000.0)
    np.testing.assert_array_equal(turned[0], x[0])
    np.testing.assert_allclose(
        np.linalg.norm(turned, axis=-1), np.linalg.norm(x, axis=-1), rtol=1e-6
    )
    np.testing.assert_array_equal(turned[3], rotate(x[3], 3, 10000.0))
    # The first pair turns by one radian a position, the last by 10000^(-6/8).
    z = x[2, 0, 0] + 1j * x[2, 0, 1]
    np.testing.assert_allclose(complex(*turned[2, 0, :2]), z * np.exp(2j), rtol=1e-5)
    z = x[2, 0, 6] + 1j * x[2, 0, 7]
    np.testing.assert_allclose(complex(*turned[2, 0, 6:]), z * np.exp(2j * 1e-3), rtol=1e-5)


def test_halves_are_pairs():
    assert halves(np.arange(8), 2).tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_silu():
    x = np.array([-1e30, -90, -1, 0, 2, 90, 1e30], np.float32)
    with np.errstate(all="raise"):
        found = silu(x)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[2:5], x[2:5] / (1 + np.exp(-x[2:5])), rtol=1e-6)
    assert found[[0, 1, 3]].tolist() == [0, 0, 0]
    assert found[5:].tolist() == x[5:].tolist()


REFUSED = {
    "gated": (True, "a gated MLP with relu"),
    "activation": ("silu", "SiLU without a gate"),
    "norm_gain": (True, "gains in the norm after its embedding"),
}


@pytest.mark.parametrize("option", REFUSED)
def test_what_has_no_integer_model_is_refused(option):
    value, named = REFUSED[option]
    plain = ModelConfig(n_layer=1, n_head=4, d_model=8, d_ff=8, n_vocab=11, n_ctx=8)
    quantize(random_llama(plain))
    c = random_llama(replace(plain, **{option: value}))
    for use in (quantize, lambda c: sampled_texts(c, 1)):
        with pytest.raises(WeftError, match=f"random has {named}: only its import and its float"):
            use(c)


def test_all_options_are_refused_together():
    assert set(REFUSED) <= {field.name for field in fields(ModelConfig)}
    c = replace(BASE, activation="gelu", norm_embedding=True, biases=("attn_wq",))
    sentence = (
        "a gated MLP with gelu, GELU beside rotary positions, gains in the norm after its "
        "embedding, biases beside GELU: only"
    )
    with pytest.raises(WeftError, match=sentence):
        quantize(random_llama(c))

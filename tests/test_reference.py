import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden import reference, scalar, zoo
from golden.errors import WeftError
from golden.model import Checkpoint, ModelConfig
from golden.reference import Cache, forward, gelu, norm, sequence_logits, softmax, step

BASE = ModelConfig(n_layer=2, n_head=2, d_model=8, d_ff=12, n_vocab=5, n_ctx=9)
CONFIGS = {
    "microgpt": BASE,
    "gelu": replace(BASE, activation="gelu"),
    "norms": replace(BASE, norm_embedding=False, norm_head=True),
    "no positions": replace(BASE, position="none"),
    "window": replace(BASE, position="none", window=3, n_ctx=None),
    "window of one": replace(BASE, window=1),
    "one head": replace(BASE, n_head=1),
}
TOKENS = [4, 0, 1, 1, 3, 2, 4, 0, 2]


def checkpoint(config, seed=0, scale=0.5):
    rng = np.random.default_rng(seed)
    t = {k: (rng.normal(size=s) * scale).astype(np.float32) for k, s in config.shapes.items()}
    return Checkpoint(config, t, tuple(map(str, range(config.n_vocab))), "random")


@pytest.mark.parametrize("name", CONFIGS)
def test_sequences_equal_steps(name):
    c = checkpoint(CONFIGS[name])
    stepwise = forward(c, TOKENS)
    whole = sequence_logits(c, TOKENS)
    assert stepwise.dtype == whole.dtype == np.float32
    assert whole.shape == (9, 5)
    np.testing.assert_allclose(whole, stepwise, rtol=1e-4, atol=1e-5)


def test_configs_differ():
    # The comparison above would mean little if an option were ignored by both sides.
    window = checkpoint(CONFIGS["window"])
    full = replace(window, config=CONFIGS["no positions"])
    np.testing.assert_allclose(forward(window, TOKENS)[:3], forward(full, TOKENS)[:3], rtol=1e-5)
    assert abs(forward(window, TOKENS) - forward(full, TOKENS))[3:].max(axis=1).min() > 1e-3
    base = checkpoint(BASE)
    for name in ("gelu", "norms", "one head"):
        other = replace(base, config=CONFIGS[name])
        assert abs(forward(base, TOKENS) - forward(other, TOKENS)).max() > 1e-3, name


def test_batches_are_sequences_side_by_side():
    c = checkpoint(BASE)
    batch = np.array([[[0, 1, 2], [4, 3, 2]]])
    logits = sequence_logits(c, batch)
    assert logits.shape == (1, 2, 3, 5)
    np.testing.assert_allclose(logits[0, 1], sequence_logits(c, [4, 3, 2]), rtol=1e-5, atol=1e-6)


@given(st.lists(st.integers(0, 4), min_size=2, max_size=9), st.data())
@settings(max_examples=25)
def test_the_future_has_no_influence(tokens, data):
    cut = data.draw(st.integers(1, len(tokens) - 1))
    c = checkpoint(BASE)
    np.testing.assert_allclose(
        sequence_logits(c, tokens)[:cut], sequence_logits(c, tokens[:cut]), rtol=1e-4, atol=1e-5
    )


def test_a_window_forgets():
    # With one layer, nothing older than the window reaches the logits.
    c = checkpoint(replace(CONFIGS["window"], n_layer=1))
    one, other = forward(c, [0, 1, 2, 3, 4]), forward(c, [4, 4, 2, 3, 4])
    np.testing.assert_array_equal(one[-1], other[-1])
    assert abs(one[-2] - other[-2]).max() > 1e-3


def test_positions_keep_counting_in_a_window():
    c = checkpoint(CONFIGS["window"])
    cache = Cache()
    forward(c, [0] * 50, cache)
    assert cache.position == 50
    assert len(cache.keys[0]) == 3


def test_a_cache_continues_a_sequence():
    c, cache = checkpoint(BASE), Cache()
    parts = [forward(c, TOKENS[:4], cache), forward(c, TOKENS[4:], cache)]
    np.testing.assert_array_equal(np.concatenate(parts), forward(c, TOKENS))


def test_no_tokens_no_logits():
    c = checkpoint(BASE)
    assert forward(c, []).shape == sequence_logits(c, []).shape == (0, 5)


@pytest.mark.parametrize("name", ["microgpt", "norms", "window"])
def test_record_names_every_stage(name):
    c, record = checkpoint(CONFIGS[name]), {}
    logits = forward(c, TOKENS[:5], record=record)
    slots = 3 if name == "window" else 5
    outside = {"embed": (8,), "logits": (5,)}
    outside |= {"norm_head" if name == "norms" else "norm_embedding": (8,)}
    inside = dict.fromkeys(("norm_attention", "q", "k", "v", "attention", "project"), (8,))
    inside |= {"scores": (2, slots), "softmax": (2, slots), "residual_attention": (8,)}
    inside |= {"norm_mlp": (8,), "fc1": (12,), "activation": (12,), "fc2": (8,)}
    inside |= {"residual_mlp": (8,)}
    last = {key[1:]: x for key, x in record.items() if key[0] == 4}
    assert {k: x.shape for k, x in last.items()} == {(None, s): n for s, n in outside.items()} | {
        (i, s): n for i in range(2) for s, n in inside.items()
    }
    assert all(x.dtype == np.float32 for x in record.values())
    np.testing.assert_array_equal(last[None, "logits"], logits[-1])
    np.testing.assert_allclose(
        last[0, "residual_mlp"], last[0, "residual_attention"] + last[0, "fc2"], rtol=1e-6
    )


def test_it_is_the_scalar_model():
    c = checkpoint(BASE)
    weights, keys, values = scalar.scalars(c.tensors), [[], []], [[], []]
    for position, (token, logits) in enumerate(zip(TOKENS, forward(c, TOKENS), strict=True)):
        expected = scalar.step(BASE, weights, token, position, keys, values)
        np.testing.assert_allclose(logits, [v.data for v in expected], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("token", [-1, 5])
def test_unknown_tokens(token):
    c = checkpoint(BASE)
    for run in (lambda: step(c, token, Cache()), lambda: sequence_logits(c, [0, token])):
        with pytest.raises(WeftError, match=f"token {token} is not in the vocabulary; .* 0 to 4"):
            run()


def test_more_tokens_than_positions():
    c = checkpoint(BASE)
    for run in (forward, sequence_logits):
        with pytest.raises(WeftError, match="10 tokens or more; this model has positions for 9"):
            run(c, [0] * 10)


def test_functions():
    x = np.array([-3.0, -0.5, 0.0, 2.0], np.float32)
    np.testing.assert_allclose(norm(x, 1e-5), x / math.sqrt((13.25) / 4 + 1e-5), rtol=1e-6)
    assert not norm(np.zeros(4, np.float32), 1e-5).any()
    np.testing.assert_allclose(softmax(x + 1000), np.exp(x) / np.exp(x).sum(), rtol=1e-5)
    expected = [v * 0.5 * math.erfc(-v / math.sqrt(2)) for v in x.tolist()]
    np.testing.assert_allclose(gelu(x), expected, rtol=1e-4)
    assert gelu(x).dtype == norm(x, 1e-5).dtype == reference.relu(x).dtype == np.float32


def test_the_committed_model_knows_names():
    c = zoo.load("microgpt")
    after_q = softmax(forward(c, [26, ord("q") - ord("a")])[-1])
    assert after_q.argmax() == ord("u") - ord("a")

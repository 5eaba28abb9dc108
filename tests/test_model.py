from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from golden.errors import WeftError
from golden.model import Checkpoint, ModelConfig

TINY = ModelConfig(n_layer=2, n_head=2, d_model=4, d_ff=6, n_vocab=3, n_ctx=5)
WINDOW = replace(TINY, position="none", window=2, n_ctx=None)


def tensors(config=TINY, seed=0):
    rng = np.random.default_rng(seed)
    return {k: rng.normal(size=v).astype(np.float32) for k, v in config.shapes.items()}


def checkpoint(config=TINY, seed=0, **changes):
    fields = {"tensors": tensors(config, seed), "vocabulary": ("a", "b", "<BOS>"), "name": "tiny"}
    return Checkpoint(config, **(fields | changes))


def test_shapes_and_counts():
    assert TINY.d_head == 2
    assert TINY.shapes["wpe"] == (5, 4)
    assert TINY.shapes["layer1.mlp_fc1"] == (6, 4)
    assert TINY.shapes["layer1.mlp_fc2"] == (4, 6)
    assert TINY.parameters == 2 * 3 * 4 + 5 * 4 + 2 * (4 * 16 + 2 * 24)
    assert "wpe" not in WINDOW.shapes


LLAMA = replace(
    TINY, position="rotary", n_kv_head=1, activation="silu", gated=True, norm_gain=True,
    norm_embedding=False, norm_head=True, tied_head=True, biases=("attn_wq", "mlp_gate"),
)  # fmt: skip


def test_shapes_of_the_llama_family():
    shapes = LLAMA.shapes
    assert (LLAMA.kv_heads, TINY.kv_heads) == (1, 2)
    assert shapes["layer0.attn_wk"] == shapes["layer0.attn_wv"] == (2, 4)
    assert shapes["layer1.mlp_gate"] == shapes["layer1.mlp_fc1"] == (6, 4)
    assert shapes["layer1.mlp_gate.bias"] == (6,)
    assert shapes["layer0.norm_mlp"] == shapes["norm_head"] == (4,)
    assert not {"wpe", "lm_head", "norm_embedding", "layer0.attn_wk.bias"} & set(shapes)
    assert LLAMA.parameters == 3 * 4 + 2 * (2 * 16 + 2 * 8 + 3 * 24 + 4 + 6 + 2 * 4) + 4
    c = checkpoint(LLAMA)
    assert c.head is c.tensors["wte"]
    assert checkpoint().head is not checkpoint().tensors["wte"]


def test_every_option_is_part_of_the_digest():
    changes = [
        {"n_kv_head": 1}, {"rope_theta": 2.0}, {"gated": True}, {"norm_gain": True},
        {"tied_head": True}, {"biases": ("attn_wo",)}, {"position": "rotary"},
    ]  # fmt: skip
    zeros = []
    for change in ({}, *changes):
        config = replace(TINY, **change)
        content = {name: np.zeros(shape, np.float32) for name, shape in config.shapes.items()}
        zeros.append(checkpoint(config, tensors=content).digest)
    assert len(set(zeros)) == 1 + len(changes)


def test_the_published_model_has_4192_parameters():
    assert ModelConfig(1, 4, 16, 64, 27, 16).parameters == 4192


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"n_layer": 0}, "n_layer is 0; expected a whole number of at least 1"),
        ({"d_model": 4.0}, "d_model is 4.0; expected a whole number"),
        ({"n_vocab": True}, "n_vocab is True"),
        ({"n_head": None}, "n_head is None"),
        ({"window": 0}, "window is 0"),
        ({"n_head": 3}, "d_model 4 is not divisible by n_head 3"),
        ({"position": "sine"}, "position is 'sine'; expected one of 'learned', 'rotary', 'none'"),
        ({"activation": "tanh"}, "activation is 'tanh'; expected one of 'relu', 'gelu', 'silu'"),
        ({"n_kv_head": 0}, "n_kv_head is 0; expected a whole number of at least 1"),
        ({"n_kv_head": 3}, "n_head 2 is not divisible by n_kv_head 3"),
        ({"position": "rotary", "n_head": 4}, "a head has 1 elements .* expected an even number"),
        ({"rope_theta": 10000}, "rope_theta is 10000; expected a positive number"),
        ({"gated": 1.5}, "gated is 1.5"),
        ({"biases": ("attn_wk", "attn_wq")}, "biases is .*; expected some of attn_wq, attn_wk"),
        ({"biases": ("mlp_gate",)}, "biases is .*attn_wo, mlp_fc1, mlp_fc2, in order"),
        ({"norm_head": None}, "norm_head is None"),
        ({"norm_eps": 0.0}, "norm_eps is 0.0; expected a positive number"),
        ({"norm_eps": float("nan")}, "norm_eps is nan"),
        ({"n_ctx": None}, "n_ctx is None"),
        ({"n_ctx": None, "window": 2}, "n_ctx is None"),
        ({"n_ctx": None, "position": "none"}, "n_ctx is None"),
        ({"window": 6}, "window 6 is larger than n_ctx 5"),
    ],
)
def test_config_refuses(change, sentence):
    with pytest.raises(WeftError, match=sentence):
        replace(TINY, **change)


def test_nothing_can_be_changed():
    source = tensors()
    c = checkpoint(tensors=source)
    source["wte"][0, 0] = 99
    assert c.tensors["wte"][0, 0] != 99
    with pytest.raises(ValueError, match="read-only"):
        c.tensors["wte"][0, 0] = 1
    with pytest.raises(TypeError):
        c.tensors["wte"] = source["wte"]
    with pytest.raises(FrozenInstanceError):
        c.name = "x"


def test_read_only_arrays_are_shared_and_views_copied():
    source = tensors()
    for tensor in source.values():
        tensor.flags.writeable = False
    c = checkpoint(tensors=source)
    assert c.tensors["wte"] is source["wte"]
    base = np.zeros((3, 8), np.float32)
    view = base[:, ::2]
    view.flags.writeable = False
    c = checkpoint(tensors=source | {"wte": view})
    base[:] = 1
    assert not c.tensors["wte"].any()


def altered(name, change):
    t = tensors()
    change(t, name)
    return t


def spoil(value):
    def change(t, name):
        t[name][1, 2] = value

    return change


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("layer1.attn_wk", dict.pop, "tensor layer1.attn_wk is missing"),
        ("extra", lambda t, n: t.update({n: t["wte"]}), "tensor extra is unexpected"),
        ("wpe", lambda t, n: t.update({n: t[n].T}), r"tensor wpe has shape \(4, 5\); .* \(5, 4\)"),
        ("wte", lambda t, n: t.update({n: t[n].astype(float)}), "type float64; expected float32"),
        ("lm_head", spoil(np.nan), r"tensor lm_head holds nan at index \[1, 2\]"),
        ("layer0.mlp_fc2", spoil(-np.inf), r"tensor layer0.mlp_fc2 holds -inf at index \[1, 2\]"),
    ],
)
def test_checkpoint_refuses_tensors(name, change, sentence):
    with pytest.raises(WeftError, match=sentence):
        checkpoint(tensors=altered(name, change))


@pytest.mark.parametrize(
    ("vocabulary", "sentence"),
    [(("a", "b"), "lists 2 tokens; expected 3"), (("a", "b", "a"), "lists 'a' twice")],
)
def test_checkpoint_refuses_vocabulary(vocabulary, sentence):
    with pytest.raises(WeftError, match=sentence):
        checkpoint(vocabulary=vocabulary)


def test_digest_is_of_values():
    c = checkpoint()
    same = {name: np.asfortranarray(t) for name, t in reversed(tensors().items())}
    assert checkpoint(tensors=same, name="other").digest == c.digest
    assert len(c.digest) == 64


def test_digest_sees_every_change():
    seen = {checkpoint().digest, checkpoint(replace(TINY, norm_eps=1e-6)).digest}
    for name in TINY.shapes:
        t = tensors()
        t[name][0, 0] = np.nextafter(t[name][0, 0], np.float32(9))
        seen.add(checkpoint(tensors=t).digest)
    assert len(seen) == 2 + len(TINY.shapes)


def test_digest_is_stable():
    zeros = {name: np.zeros(shape, np.float32) for name, shape in TINY.shapes.items()}
    assert checkpoint(tensors=zeros).digest == (
        "9928a7e33499a3c4a8d7d0dd561b0f8dd8068bf5b5f2439494fbc01c656bbb03"
    )

import hashlib
import math
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden import data, scalar, zoo
from golden.backprop import exp, loss_and_gradients, product
from golden.errors import WeftError
from golden.model import Checkpoint, ModelConfig
from golden.reference import sequence_logits
from golden.tokenizer import CharacterTokenizer
from golden.train import Adam, TrainOptions, mean_loss, sequence, train

ROOT = Path(__file__).parents[1]
TINY = TrainOptions(n_embd=8, n_head=2, block_size=6, d_ff=12)
NAMES = ["anna", "bob", "abba", "nan", "bonobo"]
CONFIG = ModelConfig(2, 2, 8, 12, n_vocab=5, n_ctx=7)
TOKENS = np.array([4, 0, 1, 1, 3, 2, 4])
CONFIGS = {
    "relu": CONFIG,
    "gelu": replace(CONFIG, activation="gelu"),
    "norms": replace(CONFIG, norm_embedding=False, norm_head=True),
    "window": replace(CONFIG, position="none", window=2, n_ctx=None),
}


def random_weights(config, seed=1):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0, 0.4, shape) for name, shape in config.shapes.items()}


def empty(config):
    return {name: np.full(shape, np.nan) for name, shape in config.shapes.items()}


@pytest.mark.parametrize("tokens", [TOKENS, TOKENS[:2]])
@pytest.mark.parametrize("n_head", [1, 2, 4])
def test_gradients_are_those_of_the_scalar_engine(tokens, n_head):
    config = replace(CONFIG, n_head=n_head)
    weights, gradients = random_weights(config), empty(config)
    loss = loss_and_gradients(config, weights, tokens, gradients)
    values = scalar.scalars(weights)
    expected = scalar.loss(config, values, tokens.tolist())
    expected.backward()
    assert loss == pytest.approx(expected.data, rel=1e-12)
    for name, matrix in values.items():
        exact = [[value.grad for value in row] for row in matrix]
        np.testing.assert_allclose(gradients[name], exact, rtol=1e-9, atol=1e-14, err_msg=name)


@pytest.mark.parametrize("name", CONFIGS)
def test_gradients_are_slopes(name):
    config = CONFIGS[name]
    weights, gradients, scratch = random_weights(config), empty(config), empty(config)
    loss_and_gradients(config, weights, TOKENS, gradients)
    rng, h = np.random.default_rng(2), 1e-5
    for tensor, weight in weights.items():
        direction = rng.normal(size=weight.shape)
        losses = []
        for sign in (1, -1):
            moved = weights | {tensor: weight + sign * h * direction}
            losses.append(loss_and_gradients(config, moved, TOKENS, scratch))
        slope = (losses[0] - losses[1]) / (2 * h)
        assert (gradients[tensor] * direction).sum() == pytest.approx(slope, rel=1e-5), tensor


@pytest.mark.parametrize("name", CONFIGS)
def test_loss_is_that_of_the_reference(name):
    config = CONFIGS[name]
    weights = random_weights(config)
    loss = loss_and_gradients(config, weights, TOKENS, empty(config))
    tensors = {name: weight.astype(np.float32) for name, weight in weights.items()}
    checkpoint = Checkpoint(config, tensors, (*"abno", "<BOS>"), "random")
    logits = sequence_logits(checkpoint, TOKENS[:-1]).astype(float)
    logits -= np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    assert loss == pytest.approx(-logits[np.arange(6), TOKENS[1:]].mean(), rel=1e-5)


@given(st.floats(-700, 700))
def test_exp_is_within_one_unit(x):
    result, expected = float(exp(np.array(x))), math.exp(x)
    assert abs(result - expected) <= math.ulp(expected)


def test_exp_of_the_far_left_is_zero():
    np.testing.assert_array_equal(exp(np.array([-700.5, -1e300, -np.inf, 0.0])), [0, 0, 0, 1])


@pytest.mark.parametrize("n", [5, 40_000])
def test_product_large_and_small(n):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 3, 6)), rng.normal(size=(2, 6, n))
    result = product(a, b)
    np.testing.assert_allclose(result, a @ b, rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(result[..., :5], product(a, b[..., :5]))


def test_adam_takes_the_published_step():
    parameters = np.array([1.0, -2.0])
    adam = Adam(parameters, TrainOptions(), steps=4)
    rng = np.random.default_rng(0)
    m, v, p = np.zeros(2), np.zeros(2), parameters.copy()
    for t in range(4):
        g = rng.normal(size=2)
        adam.step(g)
        m = 0.85 * m + 0.15 * g
        v = 0.99 * v + 0.01 * g**2
        rate = 0.01 * (1 - t / 4)
        p -= rate * (m / (1 - 0.85 ** (t + 1))) / (np.sqrt(v / (1 - 0.99 ** (t + 1))) + 1e-8)
        np.testing.assert_allclose(parameters, p, rtol=1e-12)


def test_the_first_step_is_the_published_one():
    # Shuffle, then weights from the same generator, tensor by tensor, row by row.
    rng = random.Random(3)
    order = list(NAMES)
    rng.shuffle(order)
    config = TINY.model(5)
    drawn = {n: [[rng.gauss(0, 0.08) for _ in range(s[1])] for _ in range(s[0])]
             for n, s in config.shapes.items()}  # fmt: skip
    losses = []
    train(NAMES, TINY, seed=3, steps=1, observe=lambda step, loss: losses.append((step, loss)))
    tokenizer = CharacterTokenizer(("a", "b", "n", "o", "<BOS>"))
    ids = [4, *tokenizer.encode(order[0]), 4][:7]
    expected = scalar.loss(config, scalar.scalars(drawn), ids)
    assert losses == [(0, pytest.approx(expected.data, rel=1e-6))]


def test_sequences_are_cut_to_the_context():
    tokenizer = CharacterTokenizer(("a", "b", "<BOS>"))
    assert sequence(tokenizer, "ab", 4).tolist() == [2, 0, 1, 2]
    assert sequence(tokenizer, "abab", 4).tolist() == [2, 0, 1, 0, 1]


def test_same_arguments_same_bytes():
    first = train(NAMES, TINY, seed=1, steps=20)
    assert train(NAMES, TINY, seed=1, steps=20).digest == first.digest
    assert train(NAMES, TINY, seed=2, steps=20).digest != first.digest
    assert train(NAMES, TINY, seed=1, steps=21).digest != first.digest


@pytest.mark.parametrize("features", ["", "X86_V3 X86_V4 AVX512_ICL AVX512_SPR"])
def test_bytes_do_not_depend_on_the_processor(features):
    # NumPy picks its inner loops by what the processor can do; here it may not use all of it.
    environment = os.environ | {"NPY_DISABLE_CPU_FEATURES": features}
    program = (
        "from golden import data, train; "
        "print(train.train(data.load_names()[:500], steps=300).digest)"
    )
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert run.stdout.strip() == (
        "655bd7a5d3e9d0d2680ad124cfae9745304dc34d391391354bf642db2294af73"
    )


def test_it_learns_and_generalises():
    training, held_out = data.split(data.load_names())
    losses = []
    checkpoint = train(training, steps=1000, observe=lambda step, loss: losses.append(loss))
    assert len(losses) == 1000
    assert np.mean(losses[:20]) > 2.9
    assert mean_loss(checkpoint, held_out) < 2.36


def test_an_alphabet_may_be_larger_than_the_names():
    checkpoint = train(["a"], TINY, steps=1, alphabet="cab")
    assert checkpoint.vocabulary == ("a", "b", "c", "<BOS>")


def test_gelu_and_two_layers_learn():
    options = TrainOptions(n_layer=2, n_embd=8, n_head=2, activation="gelu", block_size=8)
    checkpoint = train(NAMES, options, steps=150)
    assert checkpoint.config.activation == "gelu"
    assert checkpoint.config.d_ff == 32
    assert mean_loss(checkpoint, NAMES) < 0.8


def test_mean_loss_counts_every_token():
    checkpoint = train(NAMES, TINY, steps=5)
    total = count = 0
    for name in NAMES:
        ids = sequence(CharacterTokenizer(checkpoint.vocabulary), name, 6)
        logits = sequence_logits(checkpoint, ids[:-1]).astype(float)
        p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
        total -= sum(math.log(row[target]) for row, target in zip(p, ids[1:], strict=True))
        count += len(ids) - 1
    assert mean_loss(checkpoint, NAMES) == pytest.approx(total / count, rel=1e-6)
    assert math.isnan(mean_loss(checkpoint, []))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"names": []}, "there are no names to train on"),
        ({"steps": 0}, "steps is 0; expected at least 1"),
        ({"options": replace(TINY, n_head=3)}, "d_model 8 is not divisible by n_head 3"),
        ({"options": replace(TINY, n_embd=100_000)}, "the model would have 40,.* parameters"),
        ({"options": replace(TINY, activation="silu")}, "activation is 'silu'; training knows"),
        ({"options": replace(TINY, block_size=0)}, "n_ctx is 0"),
        ({"options": replace(TINY, learning_rate=1e200)}, "training diverged at step . with"),
    ],
)
def test_train_refuses(arguments, sentence):
    with pytest.raises(WeftError, match=sentence):
        train(**{"names": NAMES, "options": TINY, "steps": 9} | arguments)


def test_the_carried_list():
    content = data.NAMES.read_bytes()
    names = data.load_names()
    assert hashlib.sha256(content).hexdigest() in (data.NAMES.parent / "README.md").read_text()
    assert len(names) == len(set(names)) == 32_000
    assert set("".join(names)) == set("abcdefghijklmnopqrstuvwxyz")
    assert (min(map(len, names)), max(map(len, names))) == (2, 14)


def test_split():
    names = list(map(str, range(1, 46)))
    training, held_out = data.split(names)
    assert held_out == ["20", "40"]
    assert sorted(training + held_out) == sorted(names)
    assert data.split(names, 0) == (names, [])
    assert len(data.split(data.load_names())[1]) == 1600


def test_load_names_forgives_line_ends_marks_and_blanks(tmp_path):
    path = tmp_path / "names"
    path.write_bytes("\ufeffzoë\r\n\n  bo  \r\n".encode())
    assert data.load_names(path) == ["zoë", "bo"]


def test_the_committed_checkpoint_is_good():
    training, held_out = data.split(data.load_names())
    checkpoint = zoo.load("microgpt")
    assert mean_loss(checkpoint, training) == pytest.approx(2.1828, abs=1e-3)
    assert mean_loss(checkpoint, held_out) == pytest.approx(2.1984, abs=1e-3)

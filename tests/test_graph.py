import math
from dataclasses import replace

import numpy as np
import pytest

from golden.graph import PASSES, Past, fold_attention_scale, from_checkpoint, lower, run
from golden.reference import sequence_logits
from tests.random_models import BASE, CONFIGS, LLAMA, random_checkpoint, random_tokens

ALL = CONFIGS | LLAMA


def assert_same_function(logits, expected):
    assert logits.shape == expected.shape
    assert np.abs(logits - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_graph_is_the_reference(name, seed):
    checkpoint, tokens = random_checkpoint(ALL[name], seed), random_tokens(ALL[name])
    expected = sequence_logits(checkpoint, tokens)
    assert_same_function(run(from_checkpoint(checkpoint), tokens), expected)
    assert_same_function(run(lower(checkpoint), tokens), expected)


@pytest.mark.parametrize("apply", PASSES, ids=lambda p: p.__name__)
@pytest.mark.parametrize("name", ALL)
def test_a_pass_keeps_the_float_function(apply, name):
    graph, tokens = from_checkpoint(random_checkpoint(ALL[name])), random_tokens(ALL[name])
    assert_same_function(run(apply(graph), tokens), run(graph, tokens))


@pytest.mark.parametrize("name", ALL)
def test_a_sequence_can_come_in_parts(name):
    graph, tokens = lower(random_checkpoint(ALL[name])), random_tokens(ALL[name])
    past = Past()
    parts = [run(graph, part, past=past) for part in np.split(tokens, [1, 2, 9], axis=1)]
    assert past.length == tokens.shape[1]
    assert_same_function(np.concatenate(parts, axis=1), run(graph, tokens))


@pytest.mark.parametrize("name", ALL)
def test_single_precision_is_close(name):
    graph, tokens, kinds = lower(random_checkpoint(ALL[name])), random_tokens(ALL[name]), set()
    logits = run(graph, tokens, lambda *x: kinds.add(x[2].dtype), dtype=np.float32)
    assert kinds == {np.dtype(np.float32)}
    exact = run(graph, tokens)
    assert 0 < np.abs(logits - exact).max() <= 1e-4 * np.abs(exact).max()


@pytest.mark.parametrize("broken", [{"scale": 1.0}, {"base": 2.0}])
def test_a_pass_that_forgets_half_of_it_is_caught(broken):
    # The comparison above notices the scale alone, and the base alone.
    graph, tokens = from_checkpoint(random_checkpoint(BASE)), random_tokens(BASE)
    layers = tuple(
        tuple(replace(n, **broken) if n.kind == "attention" else n for n in nodes)
        for nodes in graph.layers
    )
    with pytest.raises(AssertionError):
        assert_same_function(run(replace(graph, layers=layers), tokens), run(graph, tokens))


def test_folded_scores_count_powers_of_two():
    graph = from_checkpoint(random_checkpoint(CONFIGS["two layers"]))
    for before, after in zip(graph.layers, fold_attention_scale(graph).layers, strict=True):
        old, new = ({n.name: n for n in nodes} for nodes in (before, after))
        assert (new["attention"].base, new["attention"].scale) == (2.0, 1.0)
        factor = math.log2(math.e) / math.sqrt(8)
        np.testing.assert_allclose(new["q"].weights["w"], old["q"].weights["w"] * factor, rtol=1e-6)
        assert new["k"] is old["k"]


def test_values_have_names_and_layers():
    graph, seen = from_checkpoint(random_checkpoint(CONFIGS["two layers"])), {}
    logits = run(graph, random_tokens(BASE), lambda layer, name, x: seen.update({(layer, name): x}))
    assert seen[0, "logits"] is logits
    assert {layer for layer, name in seen if name == "fc2"} == {0, 1}
    assert seen[1, "fc1"].shape == (4, 16, 96)
    assert all(x.dtype == np.float64 for x in seen.values())


def test_a_window_hides_what_is_older():
    graph = from_checkpoint(random_checkpoint(CONFIGS["window"]))
    one = np.zeros((1, 12), int)
    other = one.copy()
    other[0, 0] = 3
    same = (run(graph, one) == run(graph, other)).all(axis=-1)[0]
    assert not same[:4].any()
    assert same[4:].all()

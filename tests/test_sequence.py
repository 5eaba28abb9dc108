"""golden/sequence.py against golden.generate.run_token: every value of every token."""

from dataclasses import replace

import numpy as np
import pytest

from golden import sequence as module
from golden.errors import WeftError
from golden.generate import Request, generate, run_token
from golden.noise import noise_scale
from golden.numbers import Vector
from golden.quantize import Options, quantize
from golden.sequence import TokenSequence, cache_before, token_row
from golden.stages import Context
from tests.llama import BASE as ROTARY
from tests.llama import CONFIGS as FAMILY
from tests.llama import random_llama
from tests.random_models import CONFIGS, LLAMA, random_checkpoint

CASES = [
    *((random_checkpoint, config, {}) for config in CONFIGS.values()),
    (random_checkpoint, CONFIGS["two layers"], {"numbers": "block"}),
    (random_checkpoint, CONFIGS["window"], {"numbers": "block"}),
    *((random_checkpoint, config, {}) for config in LLAMA.values()),
    *((random_llama, FAMILY[name], {"scales": "row"}) for name in ("llama", "one kv head")),
    (random_llama, ROTARY, {"scales": "row", "cache_bits": 8}),
    (random_llama, replace(ROTARY, window=5), {"scales": "row"}),
    (random_llama, replace(ROTARY, d_model=96, d_ff=64), {"scales": "group", "cache_bits": 8}),
]
LENGTH = 16


def one_by_one(plan, tokens, **settings):
    """(taps of every token by (layer, name), what overflowed, the cache)."""
    cache, taps, saturated = {}, [], set()
    for position, token in enumerate(tokens):
        context = Context(int(token), position, cache=cache, **settings)
        run_token(plan, context, wanted=True)
        taps.append(context.taps)
        saturated |= context.saturated
    return taps, saturated, cache


def at_once(plan, tokens, cuts=(), **settings):
    """The same from a sequence that is taken in in parts."""
    taps, seen = [{} for _ in tokens], {}

    def record(layer, name, value):
        for row in range(len(value.mantissa)):
            key = (layer, name)
            taps[seen.get(key, 0)][key] = token_row(value, row)
            seen[key] = seen.get(key, 0) + 1

    sequence = TokenSequence(plan, record, **settings)
    logits = [rows for part in np.split(tokens, cuts) for rows in sequence.logits(part)]
    assert sequence.position == len(tokens)
    return taps, sequence.saturated, sequence.cache, logits


def assert_equal(found, wanted):
    for position, (one, other) in enumerate(zip(found, wanted, strict=True)):
        assert one.keys() == other.keys()
        for key, value in other.items():
            place = f"{key} at position {position}"
            assert isinstance(one[key].exponent, int), place
            assert one[key].exponent == value.exponent, place
            np.testing.assert_array_equal(one[key].mantissa, value.mantissa, place, strict=True)


def some_tokens(plan, length=LENGTH, seed=4):
    return np.random.default_rng(seed).integers(0, plan.n_vocab, length)


@pytest.mark.parametrize("case", range(len(CASES)))
@pytest.mark.parametrize(("run", "cuts"), [(128, ()), (5, (1, 3, 9))])
def test_every_value_is_that_of_single_tokens(monkeypatch, case, run, cuts):
    monkeypatch.setattr(module, "RUN", run)
    make, config, options = CASES[case]
    plan = quantize(make(config), Options(**options))
    tokens, settings = some_tokens(plan), {"seed": 3, "sequence": 2}
    settings["noise_scale"] = noise_scale(0.7)
    taps, saturated, cache = one_by_one(plan, tokens, **settings)
    found, also, kept, logits = at_once(plan, tokens, cuts, **settings)
    assert_equal(found, taps)
    assert also == saturated
    name = plan.epilogue.stages[-1].inputs[0]
    rows = np.concatenate([rows.to_float() for rows in logits])
    np.testing.assert_array_equal(rows, [token[0, name].to_float() for token in taps])
    for key, entry in cache.items():
        for field, array in vars(entry).items():
            np.testing.assert_array_equal(getattr(kept[key], field), array, f"{key} {field}")


@pytest.mark.parametrize("scale", [4, 64])
def test_what_overflows_is_told(scale):
    config = CONFIGS["two layers"]
    plan = quantize(random_checkpoint(config))
    loud = quantize(random_checkpoint(config, scale=scale))
    layers = [
        replace(layer, stages=tuple(
            replace(stage, weights=other.weights) if stage.kind == "linear" else stage
            for stage, other in zip(layer, wild, strict=True)
        ))
        for layer, wild in zip(plan.layers, loud.layers, strict=True)
    ]  # fmt: skip
    narrow = [
        replace(layer, stages=tuple(
            replace(stage, format=replace(stage.format, width=8))
            if stage.kind in ("linear", "residual") else stage
            for stage in layer
        ))
        for layer in layers
    ]  # fmt: skip
    plan = replace(plan, layers=tuple(narrow))
    tokens = some_tokens(plan)
    taps, saturated, _ = one_by_one(plan, tokens)
    found, also, *_ = at_once(plan, tokens)
    assert_equal(found, taps)
    assert saturated
    assert also == saturated


def test_a_token_goes_on_from_a_run():
    plan = quantize(random_llama(ROTARY), Options(scales="row"))
    tokens = some_tokens(plan)
    taps, *_ = one_by_one(plan, tokens)
    sequence = TokenSequence(plan)
    sequence.take(tokens[:-1])
    assert sequence.position == LENGTH - 1
    context = Context(int(tokens[-1]), LENGTH - 1, cache=sequence.cache)
    run_token(plan, context, wanted=True)
    assert_equal([context.taps], taps[-1:])


@pytest.mark.parametrize("window", [None, 3])
def test_steps_go_on_from_a_start(window):
    plan = quantize(random_llama(replace(ROTARY, window=window)), Options(scales="row"))
    request = Request((1, 2, 3, 4, 5, 6), 4, 7, 8, noise_scale(1.0))
    whole = list(generate(plan, request))
    for start in (1, 5):
        begun = replace(request, start=start)
        steps = list(generate(plan, begun, cache_before(plan, begun)))
        assert [(s.position, s.token, s.sampled, s.last) for s in steps] == [
            (s.position, s.token, s.sampled, s.last) for s in whole[start:]
        ]
        for mine, others in zip(steps, whole[start:], strict=True):
            assert mine.taps.keys() == others.taps.keys()
            for key, value in mine.taps.items():
                assert value.exponent == others.taps[key].exponent
                assert np.array_equal(value.mantissa, others.taps[key].mantissa)
    assert whole[2].sampled is None
    assert {s.sampled for s in generate(plan, replace(request, start=5), {})} != {
        s.sampled for s in whole[5:]
    }  # without its cache


@pytest.mark.parametrize("start", [-1, 3, 4])
def test_starts_that_are_refused(start):
    plan = quantize(random_llama(ROTARY), Options(scales="row"))
    with pytest.raises(WeftError, match="tokens of the prompt were taken in before, and it has 3"):
        next(generate(plan, Request((1, 2, 3), 1, start=start)))


def test_a_window_keeps_counting():
    config = replace(CONFIGS["window"], window=3)
    plan = quantize(random_checkpoint(config))
    tokens = some_tokens(plan, 50)
    taps, *_ = one_by_one(plan, tokens)
    found, *_ = at_once(plan, tokens, (2, 7, 8))
    assert_equal(found, taps)


def test_another_token_has_other_values():
    plan = quantize(random_llama(ROTARY), Options(scales="row"))
    tokens = some_tokens(plan)
    taps, *_ = one_by_one(plan, tokens)
    tokens[5] = (tokens[5] + 1) % plan.n_vocab
    found, *_ = at_once(plan, tokens)
    assert_equal(found[:5], taps[:5])
    with pytest.raises(AssertionError):
        assert_equal(found[5:], taps[5:])


def test_rows_of_a_run():
    value = Vector(np.arange(6).reshape(3, 2), np.array([[4], [5], [6]]))
    row = token_row(value, 1)
    assert (row.mantissa.tolist(), row.exponent) == ([2, 3], 5)
    assert token_row(Vector(value.mantissa, -7), 2).exponent == -7


@pytest.mark.parametrize(
    ("tokens", "sentence"),
    [
        ([1, 11], "token 11 is not in the vocabulary; expected 0 to 10"),
        ([-1], "token -1 is not in the vocabulary"),
        ([0] * 17, "the sequence has 17 tokens; this model has positions for 16"),
    ],
)
def test_tokens_that_are_refused(tokens, sentence):
    sequence = TokenSequence(quantize(random_llama(ROTARY)))
    with pytest.raises(WeftError, match=sentence):
        sequence.take(tokens)
    assert sequence.position == 0


def test_no_tokens_are_no_work():
    sequence = TokenSequence(quantize(random_llama(ROTARY)))
    sequence.take([])
    assert list(sequence.logits([])) == []

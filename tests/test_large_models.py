"""The integer models of published weights: what they say, in every format, and how fast."""

import time
from functools import cache

import numpy as np
import pytest

from golden import zoo
from golden.accuracy import Means, integer_logits
from golden.exact import operand
from golden.generate import Request, generate, run_token
from golden.quantize import Options, quantize
from golden.reference import sequence_logits
from golden.sequence import TokenSequence, token_row
from golden.stage import Linear
from golden.stages import Context
from golden.tokenizer import tokenizer_for
from golden.traffic import weight_bytes

pytestmark = pytest.mark.models

PROMPT = "The capital of France is"
BOUND = 15
"""Seconds for five tokens, on a machine that does other things as well: one a second is wanted."""

model = cache(zoo.load)


@cache
def plan_of(name, scales=None, cache_bits=16):
    return quantize(model(name), Options(scales=scales, cache_bits=cache_bits))


def test_what_smollm2_needs():
    plan = plan_of("smollm2")
    assert (plan.scales, plan.cache_bits, plan.numbers) == ("group", 16, "block")
    # 106 M weights in 20 bytes a group of 32, the head in a byte and a scale a row.
    assert weight_bytes(plan) == pytest.approx(66_355_200 + 28_409_856 + 70_272 + 578)


def test_its_sums_fit_float64():
    for _, stage in plan_of("smollm2").stages():
        if isinstance(stage, Linear):
            assert operand(stage) is not None


def test_it_knows_the_capital_at_more_than_a_token_a_second():
    tokenizer, plan = tokenizer_for(model("smollm2")), plan_of("smollm2")
    prompt = tuple(tokenizer.encode(PROMPT))
    list(generate(plan, Request(prompt[:1], 1)))  # weights are made ready on first use
    start = time.perf_counter()
    steps = list(generate(plan, Request(prompt, 3)))
    assert time.perf_counter() - start < BOUND
    said = [step.sampled for step in steps if step.sampled is not None]
    assert tokenizer.decode(said).startswith(" Paris")
    assert not set().union(*(step.saturated for step in steps))


def test_a_run_equals_single_tokens_in_every_value():
    plan, tokens = plan_of("smollm2"), tokenizer_for(model("smollm2")).encode(PROMPT)
    runs = {}
    sequence = TokenSequence(plan, lambda layer, name, value: runs.update({(layer, name): value}))
    list(sequence.logits(tokens))
    cache_ = {}
    for position, token in enumerate(tokens):
        context = Context(token, position, cache=cache_)
        run_token(plan, context, wanted=True)
        assert context.taps.keys() == runs.keys()
        for key, value in context.taps.items():
            row = token_row(runs[key], position)
            assert row.exponent == value.exponent, key
            np.testing.assert_array_equal(row.mantissa, value.mantissa, str(key))


@pytest.mark.parametrize(
    ("name", "scales", "cache_bits", "bound"),
    [
        ("smollm2", "group", 16, 0.006),
        ("stories15m", "row", 16, 0.006),
        ("stories15m", "row", 8, 0.01),
    ],
)
def test_formats_are_close_to_float32(name, scales, cache_bits, bound):
    tokens = tokenizer_for(model(name)).encode("Once upon a time there was a little girl who " * 3)
    exact, saturated = sequence_logits(model(name), tokens), set()
    means = Means()
    plan = plan_of(name, scales, cache_bits)
    means.add(exact[:-1], integer_logits(plan, tokens, saturated)[:-1], np.array(tokens[1:]))
    found = means.accuracy(1)
    assert 0 < found.kl < bound
    assert abs(found.nll_difference) < 0.02
    assert not saturated

"""golden/generate.py: the loop around a real, tiny plan."""

from dataclasses import replace

import numpy as np
import pytest

from golden.errors import WeftError
from golden.generate import Request, generate, generate_all
from golden.noise import noise_scale
from golden.numbers import Fixed
from golden.plan import Plan, Section
from golden.stage import Activation, Embed, Exponent, Linear, Sample

N_VOCAB, N_CTX, SIZE = 11, 8, 4
STREAM, LOGITS = Fixed(16, 12), Fixed(16, 10)
REQUEST = Request(prompt=(3, 1, 4), count=3, sequence=2, seed=7, noise_scale=noise_scale(1.0))


def tiny_plan(n_ctx=N_CTX):
    """Embedding, two layers of ReLU, a linear layer and the sampler."""
    rng = np.random.default_rng(1)
    tokens = rng.integers(-8000, 8000, (N_VOCAB, SIZE))
    positions = None if n_ctx is None else rng.integers(-8000, 8000, (n_ctx, SIZE))
    weights = rng.integers(-100, 100, (N_VOCAB, SIZE))
    embed = Embed("embed", ("token",), "x", tokens, positions, STREAM)
    layer = Section((Activation("relu", ("x",), "y", "relu", SIZE, STREAM),), "x", "y")
    head = Linear("head", ("x",), "logits", weights, 8, Exponent(-6), STREAM, LOGITS)
    sample = Sample("sample", ("logits",), "next", N_VOCAB, LOGITS)
    return Plan(
        "tiny",
        Section((embed,), "token", "x"),
        (layer, layer),
        Section((head, sample), "x", "next"),
        N_VOCAB,
        n_ctx,
    )


def sampled(plan, request):
    return [step.sampled for step in generate(plan, request) if step.sampled is not None]


def test_the_prompt_goes_in_then_every_sample_comes_back():
    steps = list(generate(tiny_plan(), REQUEST))
    assert [s.position for s in steps] == [0, 1, 2, 3, 4]
    assert [s.token for s in steps[:3]] == [3, 1, 4]
    assert [s.sampled is None for s in steps] == [True, True, False, False, False]
    assert [s.token for s in steps[3:]] == [s.sampled for s in steps[2:4]]
    assert [s.last for s in steps] == [False] * 4 + [True]
    assert {s.sequence for s in steps} == {2}


def test_every_stage_is_tapped_and_prefill_samples_nothing():
    steps = list(generate(tiny_plan(), REQUEST))
    body = {(0, "embed"), (0, "relu"), (1, "relu")}
    for step in steps[:2]:
        assert set(step.taps) == body
    for step in steps[2:]:
        assert set(step.taps) == body | {(0, "head"), (0, "sample")}
        assert step.taps[0, "sample"].mantissa.tolist() == [step.sampled]
        assert step.taps[0, "head"].mantissa.shape == (N_VOCAB,)
    assert not any(step.saturated for step in steps)


def test_taps_hold_what_the_stages_compute():
    plan = tiny_plan()
    step = list(generate(plan, REQUEST))[2]
    embed, head = plan.prologue.stages[0], plan.epilogue.stages[0]
    row = embed.tokens[4] + embed.positions[2]
    assert step.taps[0, "embed"].mantissa.tolist() == row.tolist()
    relu = np.maximum(row, 0)
    assert step.taps[1, "relu"].mantissa.tolist() == relu.tolist()
    exact = (head.weights @ relu) * 2.0 ** (-6 - 12)
    assert np.abs(step.taps[0, "head"].to_float() - exact).max() <= 2.0**-11


@pytest.mark.parametrize(
    ("count", "prompt", "length"),
    [
        (1, (5,), 1),
        (2, (5, 6), 2),
        (100, (5,), N_CTX),  # the last position is sampled, its answer has no place
        (100, (5,) * N_CTX, 1),
    ],
)
def test_count_and_context(count, prompt, length):
    steps = list(generate(tiny_plan(), replace(REQUEST, count=count, prompt=prompt)))
    assert sum(s.sampled is not None for s in steps) == length
    assert len(steps) == len(prompt) + length - 1
    assert [s.last for s in steps] == [False] * (len(steps) - 1) + [True]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"prompt": (5,) * (N_CTX + 1)}, "positions for 8"),
        ({"prompt": ()}, "empty"),
        ({"prompt": (3, N_VOCAB)}, "token 11 is not in the vocabulary"),
        ({"prompt": (-1,)}, "token -1"),
        ({"count": 0}, "at least 1"),
    ],
)
def test_what_is_refused(change, why):
    with pytest.raises(WeftError, match=why):
        next(generate(tiny_plan(), replace(REQUEST, **change)))


def test_endless():
    assert len(sampled(tiny_plan(None), replace(REQUEST, count=50))) == 50


def test_stop():
    plan = tiny_plan()
    free = sampled(plan, replace(REQUEST, count=5))
    stop = free[1]
    expected = free[: free.index(stop) + 1]
    assert sampled(plan, replace(REQUEST, count=5, stop=stop)) == expected
    absent = next(token for token in range(N_VOCAB) if token not in free)
    assert sampled(plan, replace(REQUEST, count=5, stop=absent)) == free
    in_prompt = replace(REQUEST, count=5, prompt=(absent, 1, 4), stop=absent)
    assert len(sampled(plan, in_prompt)) >= 1  # a stop token of the prompt stops nothing


def test_requests_do_not_disturb_each_other():
    plan = tiny_plan()
    other = replace(REQUEST, sequence=3)
    together = list(generate_all(plan, [REQUEST, other, REQUEST]))
    alone = [list(generate(plan, r)) for r in (REQUEST, other, REQUEST)]
    assert [s.sampled for s in together] == [s.sampled for steps in alone for s in steps]
    assert [s.sequence for s in together] == [2] * 5 + [3] * 5 + [2] * 5


def test_the_noise_is_a_function_of_seed_and_sequence():
    plan = tiny_plan(None)
    base = replace(REQUEST, count=30, noise_scale=noise_scale(4.0))
    assert sampled(plan, base) == sampled(plan, base)
    for changed in (replace(base, seed=8), replace(base, sequence=9)):
        assert sampled(plan, changed) != sampled(plan, base)
    greedy = replace(base, noise_scale=0)
    assert sampled(plan, greedy) == sampled(plan, replace(greedy, seed=8, sequence=9))


def test_a_changed_weight_changes_the_taps():
    """The comparison of taps can fail: one weight of one token's row."""
    plan = tiny_plan()
    embed = plan.prologue.stages[0]
    tokens = embed.tokens.copy()
    tokens[4, 0] += 1
    section = replace(plan.prologue, stages=(replace(embed, tokens=tokens),))
    changed = list(generate(replace(plan, prologue=section), REQUEST))
    same = list(generate(plan, REQUEST))
    differ = [
        not np.array_equal(a.taps[0, "embed"].mantissa, b.taps[0, "embed"].mantissa)
        for a, b in zip(changed, same, strict=True)
    ]
    assert differ[:3] == [False, False, True]

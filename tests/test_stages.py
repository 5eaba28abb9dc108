import math

import numpy as np
import pytest

from golden import noise, tables
from golden.numbers import Block, Fixed, Vector
from golden.stage import (
    Activation,
    Attention,
    Bias,
    Convert,
    Embed,
    Exponent,
    Linear,
    Norm,
    Residual,
)
from golden.stage import Sample as SampleStage
from golden.stages import (
    Context,
    activation,
    attention,
    bias,
    convert,
    embed,
    linear,
    norm,
    residual,
)
from golden.stages import sample as sampling

FORMATS = [Fixed(16, 9), Block(16)]
RNG = np.random.default_rng(8)


def context(position=0, **options):
    return Context(0, position, **options)


def vector(size, exponent=-12, peak=32767):
    return Vector(RNG.integers(-peak, peak + 1, size), exponent)


def unit_of(answer):
    return 2.0**answer.exponent


# Embedding, conversion, residual ------------------------------------------------------------


def test_embed_adds_two_rows_and_saturates():
    tokens, positions = np.array([[1, 2], [127, -128]]), np.array([[0, 0], [5, -5]])
    stage = Embed("embed", ("token",), "embed", tokens, positions, Fixed(8, 3))
    assert embed.execute(stage, context(1), 0).mantissa.tolist() == [6, -3]
    assert embed.execute(stage, context(1), 1).mantissa.tolist() == [127, -128]
    bare = Embed("embed", ("token",), "embed", tokens, None, Fixed(8, 3))
    assert embed.execute(bare, context(1), 0) == Vector(pytest.approx([1, 2]), -3)


def test_convert_rounds_half_to_even():
    stage = Convert("c", ("x",), "c", 4, Fixed(16, 4), Fixed(8, 3))
    answer = convert.execute(stage, context(), Vector(np.array([1, 3, -1, -3]), -4))
    assert answer.mantissa.tolist() == [0, 2, 0, -2]
    assert answer.exponent == -3


def test_convert_flags_saturation():
    stage, c = Convert("c", ("x",), "c", 2, Fixed(16, 0), Fixed(8, 0)), context()
    assert convert.execute(stage, c, Vector(np.array([127, -128]), 0)).mantissa.tolist() == [
        127, -128,
    ]  # fmt: skip
    assert not c.saturated
    assert convert.execute(stage, c, Vector(np.array([128, 0]), 0)).mantissa.tolist() == [127, 0]
    assert c.saturated == {(0, "c")}


def test_a_block_takes_the_least_shift():
    stage = Convert("c", ("x",), "c", 2, Fixed(32, 20), Block(16))
    answer = convert.execute(stage, context(), Vector(np.array([1 << 20, 3]), -20))
    assert answer.exponent == -14
    assert answer.mantissa.tolist() == [1 << 14, 0]
    exact = convert.execute(stage, context(), Vector(np.array([32767, -32768]), -20))
    assert exact.mantissa.tolist() == [32767, -32768]
    assert exact.exponent == -20
    zero = convert.execute(stage, context(), Vector(np.zeros(2, int), -20))
    assert (zero.mantissa.any(), zero.exponent) == (False, -20)


def test_residual_rounds_the_branch_once():
    stage = Residual("r", ("x", "b"), "r", 4, Block(16), Fixed(16, 4))
    x = Vector(np.array([10, 10, 32767, -32768]), -4)
    branch, c = Vector(np.array([2, 6, 8, -8]), -6), context()
    answer = residual.execute(stage, c, x, branch)
    assert answer.mantissa.tolist() == [10, 12, 32767, -32768]
    assert c.saturated == {(0, "r")}


def test_a_bias_is_added_exactly_and_saturates():
    stage = Bias("b", ("x",), "b", np.array([1, -3, 127, -128]), Block(16), Fixed(8, 4))
    x, c = Vector(np.array([2, 6, 8, -8]), -6), context()
    answer = bias.execute(stage, c, x)
    assert answer.mantissa.tolist() == [1, -1, 127, -128]  # 1/2 and 3/2 go to the even
    assert (answer.exponent, c.saturated) == (-4, {(0, "b")})
    c = context()
    assert bias.execute(stage, c, Vector(np.array([3, 1, -1, 1]), -4)).mantissa.tolist() == [
        4, -2, 126, -127,
    ]  # fmt: skip
    assert not c.saturated


# Linear ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS, ids=str)
def test_linear_is_within_half_a_unit(form):
    weights, x = RNG.integers(-128, 128, (27, 24)), vector(24)
    stage = Linear("l", ("x",), "l", weights, 8, Exponent(-9), Fixed(16, 12), form)
    answer = linear.execute(stage, context(), x)
    exact = weights.astype(float) * 2**-9 @ x.to_float()
    limit = 0.5 if isinstance(form, Fixed) else 1.0  # the largest of a block may be held back
    bound = np.abs(exact) < 32767 * unit_of(answer)
    assert bound.any()
    assert np.abs(answer.to_float() - exact)[bound].max() <= limit * unit_of(answer)


def test_linear_by_hand():
    weights = np.array([[1, 2], [3, -4]])
    stage = Linear("l", ("x",), "l", weights, 8, Exponent(0), Fixed(16, 2), Fixed(16, 1))
    answer = linear.execute(stage, context(), Vector(np.array([3, 1]), -2))
    assert answer.mantissa.tolist() == [2, 2]  # 5/2 and 5/2: ties to even
    assert answer.exponent == -1


# Norm -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [16, 24, 48, 576])
@pytest.mark.parametrize("form", [None, Block(16)], ids=["fixed", "block"])
@pytest.mark.parametrize("peak", [3, 200, 32767])
def test_norm_is_close(size, form, peak):
    form = form or Fixed(16, 15 - tables.norm_exponent(size))
    mantissa, exponent = math.frexp(size * 1e-5)
    stage = Norm(
        "n", ("x",), "n", size, Exponent(round(mantissa * 2**15)), Exponent(exponent - 15),
        Fixed(16, 12), form,
    )  # fmt: skip
    x = vector(size, peak=peak)
    exact = x.to_float() / np.sqrt(np.mean(x.to_float() ** 2) + 1e-5)
    answer, peak = norm.execute(stage, context(), x), np.abs(exact).max()
    # One rounding of the answer, and one unit of 2**-14 of the tabulated root.
    error = np.abs(answer.to_float() - exact).max()
    assert error <= unit_of(answer) + 2**-13 * peak + 2 ** -(12 if peak < 1 else 16)


def test_a_zero_vector_stays_zero():
    for form in (Fixed(16, 13), Block(16)):
        stage = Norm("n", ("x",), "n", 16, Exponent(0), Exponent(0), Block(16), form)
        answer = norm.execute(stage, context(), Vector(np.zeros(16, int), -12))
        assert not answer.mantissa.any()


def test_reciprocal_root_of_every_octave():
    for total in [1, 2, 3, 4, 5, 1000, 2**30 - 1, 2**35 + 12345]:
        r, h = norm.reciprocal_root(16, total)
        assert r * 2.0 ** (2 - 15 - h) == pytest.approx(math.sqrt(16 / total), rel=2**-13)


def test_epsilon_is_aligned_downwards():
    stage = Norm("n", ("x",), "n", 16, Exponent(5), Exponent(-3), Block(16), Block(16))
    assert [norm.aligned_epsilon(stage, e) for e in (-3, -2, -1, 0)] == [40, 10, 2, 0]
    assert norm.aligned_epsilon(stage, -100) == 2**stage.square_bits - 1


# Attention ------------------------------------------------------------------------------------


def attend(stage, history, exponents=None, ctx=None):
    """The last answer of attention fed with (q, k, v) mantissas, one position after the other."""
    cache = {} if ctx is None else ctx
    for position, (q, k, v) in enumerate(history):
        e = (-11, -11, -11) if exponents is None else exponents[position]
        c = context(position, cache=cache)
        answer = attention.execute(stage, c, *map(Vector, (q, k, v), e))
    return answer, c


def exact_attention(stage, history, exponents=None):
    """The same in float64, from scratch, over the positions in sight."""
    seen = list(range(len(history)))[-stage.slots :]
    e = exponents or [(-11, -11, -11)] * len(history)
    shape = (stage.n_head, stage.d_head)
    q = history[-1][0].reshape(shape) * 2.0 ** e[-1][0]
    k, v = (np.stack([history[p][i].reshape(shape) * 2.0 ** e[p][i] for p in seen]) for i in (1, 2))
    scores = np.einsum("hd,phd->ph", q, k)
    weights = 2.0 ** (scores - scores.max(axis=0))
    return np.einsum("ph,phd->hd", weights / weights.sum(axis=0), v).reshape(-1)


def stage_of(form, slots=8, n_head=3, d_head=4):
    return Attention("a", ("q", "k", "v"), "a", n_head, d_head, slots, form, form, form, form)


def history_of(length, size=12, peak=4000):
    return [tuple(RNG.integers(-peak, peak, size) for _ in "qkv") for _ in range(length)]


@pytest.mark.parametrize("form", [Fixed(16, 11), Block(16)], ids=str)
@pytest.mark.parametrize("length", [1, 2, 8, 9, 21])
def test_attention_is_close_and_the_ring_is_the_window(form, length):
    stage, history = stage_of(form), history_of(length)
    answer, c = attend(stage, history)
    error = np.abs(answer.to_float() - exact_attention(stage, history)).max()
    # One unit, and the relative errors of exp2 and of the reciprocal.
    assert error <= 2.0**-11 + 2**-11 * np.abs(history).max() * 2**-11
    assert not c.saturated
    if length > 8:  # what has left the window has no influence
        fresh = stage_of(form)
        shifted = [*history_of(length - 8), *history[-8:]]
        np.testing.assert_array_equal(attend(fresh, shifted)[0].mantissa, answer.mantissa)


def test_one_position_is_its_value():
    (q, k, v) = history_of(1)[0]
    answer, c = attend(stage_of(Fixed(16, 11)), [(q, k, v)])
    assert np.abs(answer.mantissa - v).max() <= 1
    assert c.taps[0, "a.weights"].mantissa.min() >= tables.ONE


def test_block_values_are_aligned():
    stage, history = stage_of(Block(16)), history_of(6, peak=30000)
    exponents = [(-14, -14, e) for e in (-11, -14, -3, -20, -11, -9)]
    answer, _ = attend(stage, history, exponents)
    exact = exact_attention(stage, history, exponents)
    assert np.abs(answer.to_float() - exact).max() <= 2**-10 * 30000 * 2.0**-3
    same = [(-14, -14, -11)] * 6
    wrong = attend(stage, history, same)[0].to_float()
    assert np.abs(wrong - exact).max() > 2**-5 * 30000 * 2.0**-3


def test_weights_sum_to_what_the_reciprocal_divides_by():
    scores = RNG.integers(-40000, 40000, (16, 4))
    weights = attention.softmax_weights(scores)
    exact = 2.0 ** ((scores - scores.max(axis=0)) / 4096)
    assert np.abs(weights / 2**15 - exact).max() <= 2**-15
    totals = weights.sum(axis=0)
    for total, expected in zip(totals, exact.sum(axis=0), strict=True):
        r, top = attention.reciprocal(int(total))
        assert total * r * 2.0 ** -(15 + top) == pytest.approx(1, abs=2**-14)
        assert total / 2**15 == pytest.approx(expected, abs=16 * 2**-15)


def test_scores_beyond_the_range_are_flagged():
    stage = stage_of(Fixed(16, 0))
    big = np.full(12, 30000)
    c = context()
    attention.execute(stage, c, *(Vector(big, 0) for _ in "qkv"))
    assert (0, "a") in c.saturated


# Activation -----------------------------------------------------------------------------------


def test_relu():
    stage = Activation("f", ("x",), "f", "relu", 3, Fixed(16, 10))
    answer = activation.execute(stage, context(), Vector(np.array([-5, 0, 7]), -10))
    assert answer.mantissa.tolist() == [0, 0, 7]


@pytest.mark.parametrize("fraction", [0, 5, 11, 12])
def test_gelu_is_within_a_unit_for_every_input(fraction):
    stage = Activation("f", ("x",), "f", "gelu", 65536, Fixed(16, fraction))
    x = Vector(np.arange(-32768, 32768), -fraction)
    answer = activation.execute(stage, context(), x).to_float()
    values = x.to_float().tolist()
    exact = np.array([v * 0.5 * math.erfc(-v / math.sqrt(2)) for v in values])
    assert np.abs(answer - exact).max() <= 0.5 * 2.0**-fraction + 2**-15


# Sampling -------------------------------------------------------------------------------------


def test_greedy_takes_the_lowest_of_equals():
    stage = SampleStage("s", ("x",), "next", 4, Fixed(16, 10))
    answer = sampling.execute(stage, context(), Vector(np.array([1, 9, 9, 3]), -10))
    assert answer.mantissa.tolist() == [1]


def test_noise_follows_the_softmax():
    stage = SampleStage("s", ("x",), "next", 5, Fixed(16, 10))
    logits = np.array([0, 1024, -1024, 500, 2048])
    scale, count = noise.noise_scale(1.0), 4000
    drawn = [
        sampling.execute(stage, context(p, noise_scale=scale), Vector(logits, -10)).mantissa[0]
        for p in range(count)
    ]
    expected = np.exp(logits / 1024)
    expected *= count / expected.sum()
    chi_square = ((np.bincount(drawn, minlength=5) - expected) ** 2 / expected).sum()
    assert chi_square < 25  # four degrees of freedom: one in 20,000


def test_noise_depends_on_its_key_only():
    stage = SampleStage("s", ("x",), "next", 50, Fixed(16, 10))
    keys = [{"seed": 1}, {"sequence": 1}, {"position": 1}, {}]
    noises = [
        sampling.scaled_noise(stage, Context(0, k.pop("position", 0), noise_scale=900, **k))
        for k in keys
    ]
    again = sampling.scaled_noise(stage, Context(7, 0, noise_scale=900, layer=3))
    np.testing.assert_array_equal(noises[-1], again)
    assert len({tuple(n) for n in noises}) == 4

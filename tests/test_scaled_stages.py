"""Stages with scales, gains and shared heads, against integers of Python's own."""

import math
from fractions import Fraction

import numpy as np
import pytest

from golden import tables
from golden.blocks import GROUP
from golden.formats import GROUP_TOP
from golden.numbers import Block, Fixed, Vector
from golden.stage import SCALE_FRACTION, Attention, Embed, Exponent, Linear, Norm
from golden.stages import Context, attention, embed, linear, norm

RNG = np.random.default_rng(21)
FORMATS = [Fixed(16, 9), Fixed(32, 18), Block(16), Block(8)]


def halves(shape, top=20):
    """Random float16 values as integers, of either sign."""
    x = RNG.standard_normal(shape) * 2.0 ** RNG.integers(-top, 1, shape)
    return np.ldexp(x.astype(np.float16).astype(float), SCALE_FRACTION).astype(np.int64)


def linear_of(codes, bits, exponent, form, scales, minima=None):
    return Linear(
        "l", ("x",), "l", codes, bits, Exponent(exponent), Block(16), form, scales, minima
    )


def rows_of(shape=(9, 24), form=Block(16), peak=127, scales=None):
    codes = RNG.integers(-peak, peak + 1, shape).astype(np.int8)
    return linear_of(codes, 8, -3, form, halves(shape[0]) if scales is None else scales)


def groups_of(shape=(9, 96), form=Block(16), minima=True):
    codes = RNG.integers(0, GROUP_TOP + 1, shape).astype(np.uint8)
    scales, low = halves((shape[0], shape[1] // GROUP)), halves((shape[0], shape[1] // GROUP))
    return linear_of(codes, 4, -3, form, scales, low if minima else -8 * scales)


def exact_sums(stage, x):
    """Sums of scaled products, one product after the other."""
    sums = []
    for i, codes in enumerate(stage.weights.tolist()):
        total = 0
        for j, code in enumerate(codes):
            at = i if stage.scales.ndim == 1 else (i, j // GROUP)
            weight = int(stage.scales[at]) * code
            weight += 0 if stage.minima is None else int(stage.minima[at])
            total += weight * int(x[j])
        sums.append(total)
    return sums


def rounded(wide, exponent, form):
    """(mantissas, exponent) of the integers ``wide`` times 2**exponent, by fractions."""
    if isinstance(form, Fixed):
        shift = form.exponent - exponent
    else:
        widest = max(max(w, -w - 1).bit_length() for w in wide)
        shift = max(0, widest - (form.width - 1))
    low, high = -(1 << (form.width - 1)), (1 << (form.width - 1)) - 1
    found = [min(max(round(Fraction(w) / Fraction(2) ** shift), low), high) for w in wide]
    return found, exponent + shift


def check(stage, x, exponent=-11):
    """The answer to ``x``, which is the one that Python's integers give."""
    answer = linear.execute(stage, Context(0, 0), Vector(np.asarray(x), exponent))
    sums = exact_sums(stage, np.asarray(x).tolist())
    assert max(map(abs, sums)) < 1 << 63
    wanted = rounded(sums, exponent + int(stage.weight_exponent) - SCALE_FRACTION, stage.format)
    assert (answer.mantissa.tolist(), answer.exponent) == wanted
    assert answer.mantissa.dtype == np.int64
    return answer


def vector(size, peak=32767):
    return RNG.integers(-peak - 1, peak + 1, size)


# Linear -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS, ids=str)
@pytest.mark.parametrize("make", [rows_of, groups_of])
@pytest.mark.parametrize("peak", [1, 300, 32767])
def test_linear_is_exact(make, form, peak):
    stage = make(form=form)
    check(stage, vector(stage.input_size, peak))


def test_groups_that_count_from_minus_eight():
    stage = groups_of(minima=False)
    x = vector(96)
    answer = check(stage, x)
    signed = np.repeat(stage.scales, GROUP, axis=1) * (stage.weights.astype(int) - 8)
    sums = [int(s) for s in signed.astype(object) @ x.astype(object)]
    assert answer.mantissa.tolist() == rounded(sums, 0, Block(16))[0]


def extreme(columns, code, dtype):
    """Every code and every element at one end: the largest sums, of both signs."""
    codes = np.full((4, columns), code, dtype)
    x = np.full(columns, -32768)
    return codes, x


@pytest.mark.parametrize("columns", [576, 1536, 8192])
def test_the_largest_sums_of_rows(columns):
    codes, x = extreme(columns, -128, np.int8)
    scales = np.array([1 << SCALE_FRACTION, (1 << SCALE_FRACTION) - (1 << 13), 1, 0])
    check(linear_of(codes, 8, 0, Block(16), scales), x)
    check(linear_of(codes, 8, 0, Fixed(32, 0), scales), x - (np.arange(columns) == 5))


@pytest.mark.parametrize("columns", [32, 576, 1536])
@pytest.mark.parametrize("top", [1 << 14, 1 << SCALE_FRACTION, 1 << 33])
def test_the_largest_sums_of_groups(columns, top):
    codes, x = extreme(columns, GROUP_TOP, np.uint8)
    scales = np.full((4, columns // GROUP), top)
    scales[1], scales[2, ::2] = -top, 1
    minima = np.full((4, columns // GROUP), top)
    minima[1], minima[3] = -top, -15 * top
    x[-1] += 1
    check(linear_of(codes, 4, 0, Block(16), scales, minima), x)


def test_one_wrong_bit_shows():
    for stage, field in ((rows_of(), "scales"), (groups_of(), "scales"), (groups_of(), "minima")):
        x = vector(stage.input_size)
        answer = check(stage, x)
        getattr(stage, field).flat[0] += 1 << SCALE_FRACTION
        with pytest.raises(AssertionError):
            assert check(stage, x).mantissa.tolist() == answer.mantissa.tolist()


# Embedding --------------------------------------------------------------------------------------


@pytest.mark.parametrize("exponent", [-9, 0, 3])
def test_embed_scales_a_row_of_codes(exponent):
    codes, scales = RNG.integers(-127, 128, (5, 24)).astype(np.int8), halves(5, 6)
    stage = Embed("e", ("token",), "e", codes, None, Fixed(32, 20), scales, Exponent(exponent))
    for token in range(5):
        c = Context(token, 7)
        answer = embed.execute(stage, c, token)
        wide = [int(scales[token]) * int(code) for code in codes[token]]
        wanted = rounded(wide, exponent - SCALE_FRACTION, stage.format)
        assert (answer.mantissa.tolist(), answer.exponent) == wanted
        assert not c.saturated


def test_an_embedding_beyond_the_stream_is_flagged():
    codes, scales = np.array([[127, 0]], np.int8), np.array([1 << SCALE_FRACTION])
    stage = Embed("e", ("token",), "e", codes, None, Fixed(16, 9), scales, Exponent(0))
    c = Context(0, 0)
    assert embed.execute(stage, c, 0).mantissa.tolist() == [32767, 0]
    assert c.saturated == {(0, "e")}


# Norm -------------------------------------------------------------------------------------------


def norm_of(size, gain, gain_exponent, form):
    mantissa, exponent = math.frexp(size * 1e-5)
    return Norm(
        "n", ("x",), "n", size, Exponent(round(mantissa * 2**15)), Exponent(exponent - 15),
        Block(16), form, gain, Exponent(gain_exponent),
    )  # fmt: skip


@pytest.mark.parametrize("form", FORMATS[:3], ids=str)
@pytest.mark.parametrize("size", [16, 24, 576])
def test_gains_multiply_before_the_one_rounding(size, form):
    gain = RNG.integers(-32768, 32768, size)
    stage, x = norm_of(size, gain, -14, form), Vector(vector(size), -12)
    answer = norm.execute(stage, Context(0, 0), x)
    total = sum(int(m) ** 2 for m in x.mantissa) + norm.aligned_epsilon(stage, x.exponent)
    r, h = norm.reciprocal_root(size, total)
    wide = [int(m) * r * int(g) for m, g in zip(x.mantissa, gain, strict=True)]
    exponent = tables.norm_exponent(size) - tables.UNIT - h - 14
    assert (answer.mantissa.tolist(), answer.exponent) == rounded(wide, exponent, form)
    exact = x.to_float() / np.sqrt(np.mean(x.to_float() ** 2) + 1e-5) * np.ldexp(gain, -14)
    inside = np.abs(exact) < 32767 * 2.0**answer.exponent
    error = np.abs(answer.to_float() - exact)[inside].max()
    assert error <= 2.0**answer.exponent + 2**-13 * np.abs(exact).max()


def test_gains_of_one_change_nothing():
    x = Vector(vector(24), -12)
    plain = norm.execute(norm_of(24, None, 0, Block(16)), Context(0, 0), x)
    ones = norm.execute(norm_of(24, np.full(24, 1 << 14), -14, Block(16)), Context(0, 0), x)
    np.testing.assert_array_equal(plain.to_float(), ones.to_float())


# Attention --------------------------------------------------------------------------------------


def attention_of(n_head=6, n_kv_head=None, d_head=4, slots=5, bits=16, scaled=False):
    cache = Block(bits)
    return Attention(
        "a", ("q", "k", "v"), "a", n_head, d_head, slots, Block(16), cache, cache, Block(16),
        n_kv_head, scaled,
    )  # fmt: skip


def attend(stage, history):
    """Answers to (q, k, v), each (mantissas, exponent), one position after the other."""
    cache, answers = {}, []
    for position, token in enumerate(history):
        c = Context(0, position, cache=cache)
        answers.append(attention.execute(stage, c, *(Vector(*x) for x in token)))
    return answers, c


def history_of(stage, length=9, bits=15):
    width = stage.d_head * stage.kv_heads
    sizes = (stage.output_size, width, width)
    peaks = (1 << bits, 1 << (stage.key.width - 1), 1 << (stage.value.width - 1))
    return [
        tuple(
            (RNG.integers(-peak, peak, size), int(RNG.integers(-18, -10)))
            for size, peak in zip(sizes, peaks, strict=True)
        )
        for _ in range(length)
    ]


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kv_heads", [1, 2, 3, 6])
def test_shared_heads_are_repeated_heads(kv_heads, bits):
    stage = attention_of(n_kv_head=kv_heads, bits=bits, scaled=True)
    history = history_of(stage)

    def repeated(x):
        heads = x[0].reshape(kv_heads, stage.d_head)
        return np.repeat(heads, 6 // kv_heads, axis=0).reshape(-1), x[1]

    alone = [(q, repeated(k), repeated(v)) for q, k, v in history]
    answers, c = attend(stage, history)
    wanted, d = attend(attention_of(bits=bits, scaled=True), alone)
    for answer, want in zip(answers, wanted, strict=True):
        assert answer.mantissa.tolist() == want.mantissa.tolist()
        assert answer.exponent == want.exponent
    for name in ("a.scores", "a.weights"):
        np.testing.assert_array_equal(c.taps[0, name].mantissa, d.taps[0, name].mantissa)


@pytest.mark.parametrize("d_head", [4, 16, 48, 64, 128])
def test_scores_are_scaled_once(d_head):
    factor, fraction = attention.score_scale(d_head)
    assert 1 << 14 <= factor < 1 << 15
    exact = math.log2(math.e) / math.sqrt(d_head)
    assert factor * 2.0**-fraction == pytest.approx(exact, rel=2**-15)
    stage = attention_of(2, 1, d_head, scaled=True)
    q, k, _ = history_of(stage, 1, bits=11)[0]
    _, c = attend(stage, [(q, k, (k[0], 0))])
    for head in range(2):
        dot = sum(int(a) * int(b) for a, b in zip(q[0][head * d_head :], k[0], strict=False))
        wide = Fraction(dot * factor) * Fraction(2) ** (q[1] + k[1] - fraction)
        assert c.taps[0, "a.scores"].mantissa[0, head] == round(wide * (1 << 12))


def test_weights_are_halved_as_often_as_exponents_differ():
    stage = attention_of(1, 1, slots=8)
    shifts = [0, 1, 2, 5, 14, 15, 31, 60]
    value = np.array([20000, -20000, 1, 0])
    history = [((np.zeros(4, int), 0), (np.zeros(4, int), 0), (value, -9 - s)) for s in shifts]
    answers, c = attend(stage, history)
    assert c.taps[0, "a.weights"].mantissa.tolist() == [[tables.ONE]] * 8
    for length, answer in enumerate(answers, 1):
        halved = [(tables.ONE >> s) + (tables.ONE >> (s - 1) & 1 if s else 0)
                  for s in shifts[:length]]  # fmt: skip
        sums = [sum(halved) * int(v) for v in value]
        quotients = attention.normalised(np.array([sums]), np.array([tables.ONE * length]), 0)
        wanted = rounded([int(x) for x in quotients[0]], -9 - 14, Block(16))
        assert (answer.mantissa.tolist(), answer.exponent) == wanted


@pytest.mark.parametrize("bits", [8, 16])
def test_sums_of_narrow_values_keep_their_fraction(bits):
    # Attention over values of 8 bits answers in 16: their mean is not rounded to their own unit.
    stage = attention_of(1, 1, slots=8, bits=bits)
    values = [np.array([100, 101, -3, 0]) + n % 2 for n in range(8)]
    still = np.zeros(4, int)
    answers, _ = attend(stage, [((still, 0), (still, 0), (v, -5)) for v in values])
    means = [np.mean(values[:n], axis=0) * 2.0**-5 for n in range(1, 9)]
    errors = [np.abs(a.to_float() - m).max() for a, m in zip(answers, means, strict=True)]
    unit = 2.0 ** (-5 - stage.spare_bits)
    assert max(errors) <= unit + 2**-13 * 102 * 2.0**-5
    assert (max(errors) > 2.0**-7) == (bits == 16)


def test_the_window_of_shared_heads_forgets():
    stage = attention_of(n_kv_head=2, slots=3, scaled=True)
    history = history_of(stage, 7)
    late = attend(attention_of(n_kv_head=2, slots=3, scaled=True), history[:2] + history[4:])
    answers, _ = attend(stage, history)
    # After other beginnings the last three positions alone are seen, in slots of their own.
    assert answers[-1].mantissa.tolist() == late[0][-1].mantissa.tolist()


def test_scaled_scores_beyond_the_range_are_flagged():
    stage = attention_of(2, 1, scaled=True)
    big = (np.full(8, 30000), 0), (np.full(4, 30000), 0), (np.full(4, 30000), 0)
    _, c = attend(stage, [big])
    assert c.saturated == {(0, "a")}

"""golden/numbers.py against fractions, and hdl/numbers.py against golden/numbers.py."""

from fractions import Fraction

import numpy as np
import pytest
from amaranth.hdl import Module, Signal, Value, signed, unsigned
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.numbers import (
    MAX_LEFT,
    MAX_RIGHT,
    Block,
    Fixed,
    Vector,
    fitting_fraction,
    limits,
    overflows,
    quantise,
    requantise,
    round_half_even,
    saturate,
    significant_bits,
)  # fmt: skip
from hdl import numbers

BYTES = np.arange(-128, 128)
INTEGERS = st.integers(-(2**44), 2**44)
VECTORS = st.lists(INTEGERS, min_size=1, max_size=9).map(lambda xs: np.array(xs, dtype=np.int64))


def test_round_half_even_of_every_byte_and_shift():
    for shift in range(12):
        want = [round(Fraction(int(x), 1 << shift)) for x in BYTES]
        assert round_half_even(BYTES, shift).tolist() == want
    for shift in range(1, MAX_LEFT + 1):
        assert round_half_even(BYTES, -shift).tolist() == (BYTES << shift).tolist()


@given(INTEGERS, st.integers(0, MAX_RIGHT))
def test_round_half_even_is_pythons(x, shift):
    assert int(round_half_even(x, shift)) == round(Fraction(x, 1 << shift))


def test_round_half_even_by_a_shift_an_element():
    shifts = np.arange(-MAX_LEFT, 12)
    want = [round_half_even(BYTES, int(shift)) for shift in shifts]
    assert (round_half_even(BYTES, shifts[:, None]) == want).all()


@given(st.integers(-(2**20), 2**20))
def test_far_shifts_count_as_the_largest(x):
    assert round_half_even(x, 1000) == 0
    assert round_half_even(x, -1000) == x << MAX_LEFT


@given(INTEGERS, st.integers(2, 40))
def test_saturate(x, width):
    low, high = limits(width)
    assert saturate(x, width) == min(max(x, low), high)
    assert high - low + 1 == 1 << width


@given(VECTORS)
def test_significant_bits(xs):
    bits = significant_bits(xs)
    assert all(-(1 << bits) <= x < (1 << bits) for x in xs.tolist())
    assert bits == 0 or not all(-(1 << bits - 1) <= x < (1 << bits - 1) for x in xs.tolist())
    assert significant_bits(np.array([], dtype=np.int64)) == 0


@given(VECTORS, st.integers(-40, 20), st.integers(4, 24))
def test_requantise_to_a_block(xs, exponent, width):
    y = requantise(xs, exponent, Block(width))
    shift = y.exponent - exponent
    assert shift >= 0
    assert not overflows(xs, exponent, Block(width))
    error = [abs(Fraction(int(a)) - int(b) * 2**shift) for a, b in zip(xs, y.mantissa, strict=True)]
    low, high = limits(width)
    held = (y.mantissa == high) | (y.mantissa == low)
    assert all(e <= Fraction(2**shift, 1 if h else 2) for e, h in zip(error, held, strict=True))
    if shift:
        assert significant_bits(y.mantissa) >= width - 2  # no bit of the format is wasted
    else:
        assert y.mantissa.tolist() == xs.tolist()


@given(VECTORS, st.integers(-30, 10), st.integers(2, 20))
def test_requantise_to_fixed(xs, exponent, fraction):
    form = Fixed(16, fraction)
    y = requantise(xs, exponent, form)
    scale = Fraction(2) ** (max(-MAX_LEFT, -fraction - exponent) * -1)
    exact = [round(Fraction(int(x)) * scale) for x in xs]
    assert y.mantissa.tolist() == [min(max(e, -32768), 32767) for e in exact]
    assert y.exponent == -fraction
    assert overflows(xs, exponent, form) == any(not -32768 <= e <= 32767 for e in exact)


@given(st.floats(-1e6, 1e6), st.integers(0, 14))
def test_quantise_is_the_nearest(x, fraction):
    form = Fixed(16, fraction)
    q = int(quantise(x, form))
    assert q == min(max(round(Fraction(x) * 2**fraction), -32768), 32767)


@given(st.floats(1e-9, 1e9), st.integers(8, 32))
def test_fitting_fraction(peak, width):
    fraction = fitting_fraction(peak, width)
    assert Fraction(peak) * Fraction(2) ** fraction < 2 ** (width - 1)
    assert Fraction(peak) * Fraction(2) ** (fraction + 1) >= 2 ** (width - 1)


def test_formats_say_what_they_are():
    assert str(Fixed(16, 9)) == "Q7.9"
    assert str(Block(16)) == "BFP16"
    assert Vector(np.array([3, -2]), -1).to_float().tolist() == [1.5, -1.0]


def evaluate(build, cases, **shapes):
    """Outputs of combinational logic ``build(m, **inputs)`` for every case (a tuple of inputs)."""
    m = Module()
    inputs = {name: Signal(shape, name=name) for name, shape in shapes.items()}
    output = Value.cast(build(m, **inputs))
    result = Signal(output.shape())
    m.d.comb += result.eq(output)
    seen = []

    async def run(ctx):
        for case in cases:
            for name, value in zip(inputs, case, strict=True):
                ctx.set(inputs[name], int(value))
            await ctx.delay(1e-9)
            seen.append(ctx.get(result))

    sim = Simulator(m)
    sim.add_testbench(run)
    sim.run()
    return seen


@pytest.mark.parametrize("shift", [0, 1, 2, 5, 7, 8, 9, 20])
def test_static_shift(shift):
    got = evaluate(
        lambda m, x: numbers.round_half_even(m, x, shift, "x"), [(x,) for x in BYTES], x=signed(8)
    )
    assert got == round_half_even(BYTES, shift).tolist()


def test_dynamic_shift():
    cases = [(x, s) for x in BYTES for s in range(16)]
    got = evaluate(
        lambda m, x, s: numbers.round_half_even(m, x, s, "x"), cases, x=signed(8), s=unsigned(4)
    )
    assert got == [int(round_half_even(x, s)) for x, s in cases]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(-(2**35), 2**35 - 1), st.integers(0, 255)), min_size=20))
def test_dynamic_shift_of_wide_integers(cases):
    def build(m, x, s):
        return numbers.round_half_even(m, x, numbers.clamp_shift(s, 6), "x")

    got = evaluate(build, cases, x=signed(36), s=unsigned(8))
    assert got == [int(round_half_even(x, s)) for x, s in cases]


def test_saturate_in_hardware():
    cases = [(x,) for x in range(-512, 512)]
    got = evaluate(lambda m, x: numbers.saturate(m, x, 6, "x")[0], cases, x=signed(10))
    assert got == [int(saturate(x, 6)) for (x,) in cases]
    over = evaluate(lambda m, x: numbers.saturate(m, x, 6, "x")[1], cases, x=signed(10))
    assert over == [int(saturate(x, 6) != x) for (x,) in cases]


def test_shift_left():
    cases = [(x, s) for x in (-8, -1, 0, 5, 7) for s in range(64)]
    got = evaluate(lambda m, x, s: numbers.shift_left(x, s), cases, x=signed(4), s=unsigned(6))
    assert got == [int(round_half_even(x, -s)) for x, s in cases]


def test_clamp_shift():
    cases = [(s,) for s in range(256)]
    got = evaluate(lambda m, s: numbers.clamp_shift(s, 5), cases, s=unsigned(8))
    assert all(g == s if s < 32 else g == 31 for g, (s,) in zip(got, cases, strict=True))


def test_leading_ones():
    cases = [(x,) for x in range(512)]
    lengths = [x.bit_length() for (x,) in cases]
    assert evaluate(lambda m, x: numbers.bit_count(m, x, "x"), cases, x=unsigned(9)) == lengths
    place = evaluate(lambda m, x: numbers.leading_one(m, x, "x"), cases, x=unsigned(9))
    assert place == [max(n - 1, 0) for n in lengths]

    def normal(m, x):
        return numbers.normalise_left(m, x, numbers.leading_one(m, x, "x"), "x")

    got = evaluate(normal, cases, x=unsigned(9))
    assert got == [x << (9 - n) if x else 0 for (x,), n in zip(cases, lengths, strict=True)]


def test_significant_in_hardware():
    got = evaluate(lambda m, x: numbers.significant(x), [(x,) for x in BYTES], x=signed(8))
    assert [g.bit_length() for g in got] == [significant_bits(x) for x in BYTES]


@pytest.mark.parametrize("part", [0, 1])
@pytest.mark.parametrize("width", [3, 4, 6, 8, 11])
def test_round_saturate_in_hardware(part, width):
    """As rounding and saturating one after the other; all cases are tried."""
    cases = [(x, lost) for x in range(-256, 256) for lost in (0, 1)]

    def apart(m, x, lost):
        return numbers.saturate(m, numbers.round_off(x, lost), width, "apart")[part]

    def at_once(m, x, lost):
        return numbers.round_saturate(m, x, lost, width, "at_once")[part]

    want = evaluate(apart, cases, x=signed(9), lost=unsigned(1))
    assert evaluate(at_once, cases, x=signed(9), lost=unsigned(1)) == want


@pytest.mark.parametrize("width", [4, 5, 9])
def test_saturate_wider_than_its_argument_changes_nothing(width):
    cases = [(x,) for x in range(-8, 8)]
    got = evaluate(lambda m, x: numbers.saturate(m, x, width, "x")[0], cases, x=signed(4))
    assert got == [x for (x,) in cases]
    held = evaluate(lambda m, x: numbers.saturate(m, x, width, "x")[1], cases, x=signed(4))
    assert not any(held)

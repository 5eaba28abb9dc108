"""The formats of ``golden/numbers.py`` as gates: the same operations, to the bit."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from golden.numbers import MAX_LEFT, limits


def saturate(m: Module, x: Value, width: int, name: str) -> tuple[Value, Value]:
    """(``x`` held to ``width`` bits signed, whether it was held).  No cycle."""
    return _held(m, x, *_outside(x, width), width, name)


def round_saturate(
    m: Module, extended: Value, sticky: Value, width: int, name: str
) -> tuple[Value, Value]:
    """``saturate(round_off(extended, sticky), width)`` with an adder of ``width`` bits.  No cycle.

    A number that needs two integer bits more than ``width`` is outside whichever way it is rounded.
    """
    near = extended[: width + 2].as_signed()
    rounded = round_off(near, sticky)
    over, under = _outside(rounded, width)
    if len(extended) > len(near):
        far_over, far_under = _outside(extended, len(near))
        far = far_over | far_under
        over, under = far_over | (~far & over), far_under | (~far & under)
    return _held(m, rounded, over, under, width, name)


def _outside(x: Value, width: int) -> tuple[Value, Value]:
    """(``x`` is above, below the range of ``width`` bits signed): no comparison, only its signs."""
    if len(x) <= width:
        return Const(0, 1), Const(0, 1)
    sign, rest = x[-1], x[width - 1 : -1]
    return ~sign & rest.any(), sign & ~rest.all()


def _held(
    m: Module, x: Value, over: Value, under: Value, width: int, name: str
) -> tuple[Value, Value]:
    low, high = limits(width)
    is_over, is_under = Signal(name=f"{name}_over"), Signal(name=f"{name}_under")
    result = Signal(signed(width), name=f"{name}_held")
    m.d.comb += [
        is_over.eq(over),
        is_under.eq(under),
        result.eq(Mux(is_over, high, Mux(is_under, low, x))),
    ]
    return result, is_over | is_under


def shift_right(m: Module, x: Value, shift: Value | int, name: str) -> tuple[Value, Value]:
    """(``x >> shift`` with one more bit below, the OR of the bits lost below that).  No cycle.

    The first half of rounding: the extra bit is worth one half.  ``shift`` is unsigned.
    """
    extended = Cat(Const(0, 1), x).as_signed()
    width = len(extended)
    if isinstance(shift, int):
        step = min(shift, width - 1)
        return (extended >> step)[: max(width - step, 2)].as_signed(), extended[:step].any()
    sticky = Const(0, 1)
    for k in reversed(range(len(shift))):  # at last, few bits are lost: the OR ends with the shift
        step = min(1 << k, width - 1)
        moved = Signal(signed(width), name=f"{name}_shift{k}")
        lost = Signal(name=f"{name}_sticky{k}")
        m.d.comb += [
            moved.eq(Mux(shift[k], extended >> step, extended)),
            lost.eq(sticky | (shift[k] & extended[:step].any())),
        ]
        extended, sticky = moved, lost
    return extended, sticky


def round_off(extended: Value, sticky: Value) -> Value:
    """The second half of rounding: to the nearest integer, ties to even.  No cycle."""
    floor = extended[1:].as_signed()
    return floor + (extended[0] & (sticky | floor[0]))


def round_half_even(m: Module, x: Value, shift: Value | int, name: str) -> Value:
    """``x / 2**shift`` to the nearest integer, ties to even.  No cycle."""
    return round_off(*shift_right(m, x, shift, name))


def clamp_shift(shift: Value, bits: int) -> Value:
    """The unsigned ``shift`` in ``bits`` bits; what does not fit becomes the largest.  No cycle."""
    if len(shift) <= bits:
        return shift
    return shift[:bits] | shift[bits:].any().replicate(bits)


def shift_left(x: Value, shift: Value) -> Value:
    """``x`` shifted left by ``min(shift, MAX_LEFT)``, MAX_LEFT bits wider.  No cycle."""
    limited = Mux(shift > MAX_LEFT, MAX_LEFT, shift)[: MAX_LEFT.bit_length()]
    return (x << limited)[: len(x) + MAX_LEFT].as_signed()


def significant(x: Value) -> Value:
    """The bits of ``x`` that count towards its magnitude (ones' complement when negative)."""
    sign = x.as_signed()[-1]
    return x[:-1] ^ sign.replicate(len(x) - 1)


def leading_one(m: Module, x: Value, name: str) -> Value:
    """Place of the leading one of ``x`` (0 when there is none): a tree of choices.  No cycle."""
    place = Signal(range(max(len(x), 2)), name=f"{name}_place")
    padding = Const(0, (1 << len(place)) - len(x))
    m.d.comb += place.eq(_leading(Cat(x, padding))[1])
    return place


def _leading(x: Value) -> tuple[Value, Value]:
    """(whether ``x`` has a one, the place of its leading one); of 2**n bits."""
    if len(x) == 1:
        return x, Const(0, 0)
    half = len(x) // 2
    (any_low, low), (any_high, high) = _leading(x[:half]), _leading(x[half:])
    return any_low | any_high, Cat(Mux(any_high, high, low), any_high)


def bit_count(m: Module, x: Value, name: str) -> Value:
    """Bits up to the leading one of ``x``, itself included; 0 when ``x`` is zero.  No cycle."""
    return leading_one(m, Cat(Const(1, 1), x), f"{name}_bits")


def normalise_left(m: Module, x: Value, place: Value, name: str) -> Value:
    """``x`` shifted left until its leading one (at ``place``) is the top bit.  No cycle."""
    result = Signal(len(x), name=f"{name}_normal")
    size = 1 << len(place)  # so that what is left to the top is the complement of the place
    m.d.comb += result.eq((x << ~place)[size - len(x) : size])
    return result

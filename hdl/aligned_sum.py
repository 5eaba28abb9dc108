"""Sums in a static format of which one side may be a block: what residuals and biases are made of.

Cycles: 0: the block is shifted to the exponent of the format; 1: it is rounded and added, the sum
is held to the range and put into a queue of two beats.
"""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from golden.numbers import MAX_LEFT
from hdl import numbers
from hdl.stream import Queue
from hdl.units.unit import SHIFT


def register(m: Module, valid: Value, take: Signal, move: Value, about) -> tuple[Signal, list]:
    """(whether a beat is in cycle 1, its tag, first and last); ``about`` has them in cycle 0.

    Drives ``take``: a beat can enter, for that before it leaves (``move``) or there is none.
    """
    full = Signal()
    fields = (about.tag, about.first, about.last)
    meta = [Signal.like(value) for value in fields]
    m.d.comb += take.eq(~full | move)
    with m.If(take):
        m.d.sync += full.eq(valid)
        m.d.sync += [a.eq(b) for a, b in zip(meta, fields, strict=True)]
    return full, meta


def align(m: Module, block, exponent: Value, take: Value) -> list[Value]:
    """The elements of a beat of a block in units of ``2**exponent``, rounded; in cycle 1."""
    width = block.data.shape().elem_shape.width + MAX_LEFT
    bits = (width + 1).bit_length()
    # The block starts MAX_LEFT places up, so that one right shift serves both directions.
    right = Signal(signed(SHIFT.width + 2))
    amount = Signal(bits)
    m.d.comb += [
        right.eq(exponent.as_signed() - block.exponent + MAX_LEFT),
        amount.eq(Mux(right < 0, 0, numbers.clamp_shift(right[:-1], bits))),
    ]
    aligned = []
    for k, element in enumerate(block.data):
        wide = Cat(Const(0, MAX_LEFT), element).as_signed()
        extended, sticky = numbers.shift_right(m, wide, amount, f"b{k}")
        extended_r, sticky_r = Signal.like(extended), Signal.like(sticky)
        with m.If(take):
            m.d.sync += [extended_r.eq(extended), sticky_r.eq(sticky)]
        aligned.append(numbers.round_off(extended_r, sticky_r))
    return aligned


def keep(m: Module, values: Sequence[Value], take: Value) -> list[Signal]:
    """Elements of the other side of cycle 0 in cycle 1."""
    kept = [Signal.like(value, name=f"x{k}") for k, value in enumerate(values)]
    with m.If(take):
        m.d.sync += [a.eq(b) for a, b in zip(kept, values, strict=True)]
    return kept


def answer(m: Module, queue: Queue, valid: Value, meta: Sequence, pairs, saturated: Signal) -> None:
    """The sums of pairs into the queue, and whether one was held to the range, a cycle later."""
    o, held = queue.i, []
    m.d.comb += [
        o.valid.eq(valid),
        o.p.tag.eq(meta[0]),
        o.p.first.eq(meta[1]),
        o.p.last.eq(meta[2]),
    ]
    for k, (a, b) in enumerate(pairs):
        width = o.p.data.shape().elem_shape.width
        value, over = numbers.saturate(m, a + b, width, f"y{k}")
        held.append(over)
        m.d.comb += o.p.data[k].eq(value)
    m.d.sync += saturated.eq(valid & o.ready & Cat(held).any())

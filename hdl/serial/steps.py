"""What the steps of all stages share: registers, waiting, and loops over elements."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from amaranth.hdl import Module, Signal

from golden import tables
from golden.numbers import MANTISSA_BITS
from hdl.norm_image import LEFT
from hdl.serial.datapath import TABLE_BITS, A, B, Datapath, Function, Held, Rounding
from hdl.serial.shape import WRITTEN, Shape

PERIOD = 2
"""Cycles from an element to the next where each is read and an answer written."""

RESTING = {
    "a": A.VALUE,
    "b": B.FACTOR,
    "factor": 1,
    "rounding": Rounding.EVEN,
    "held": Held.ELEMENT,
    "relu": 0,
    "store": 1,
    "race": 0,
}
"""Settings with which a stage begins."""


class Steps:
    """The registers of a serial core's control, and makers of states of its machine.

    Members
    -------
    m, shape, path, settings: the module that holds the machine, and what it controls.
    row: of the program.  read, other, write, weights: places in memories; ``read`` is read, or
    ``other`` while ``second`` is high.  i, out: count elements and answers.  at: what tables are
    asked for.  leading: place of a leading one, see normalise.  timer: of a wait.
    """

    def __init__(self, m: Module, shape: Shape, path: Datapath, row):
        self.m, self.shape, self.path, self.row = m, shape, path, row
        place = range(shape.depth)
        self.settings = Signal.like(path.settings, name="settings")
        self.read, self.other, self.write = (
            Signal(place, name=name) for name in ("read", "other", "write")
        )
        self.weights = Signal(range(shape.weight_words), name="weights")
        self.second = Signal()
        self.i, self.out = Signal(range(shape.longest + 1)), Signal(range(shape.longest + 1))
        self.at = Signal(TABLE_BITS)
        self.leading = Signal(range(shape.total_bits))
        self.timer = Signal(4)

    def set(self, **values):
        """Assignments to settings; they count from the next cycle on."""
        return [self.settings[name].eq(value) for name, value in values.items()]

    def take(self, **flags):
        """Assignments that make the datapath take what is read; ``flags`` are inputs of it."""
        return [getattr(self.path, name).eq(value) for name, value in {"take": 1, **flags}.items()]

    @contextmanager
    def last_of(self, name: str, cycles: int, meanwhile: Iterable = ()) -> Iterator[None]:
        """A state that lasts so many cycles; the block is of the last, ``meanwhile`` of all."""
        m = self.m
        with m.State(name):
            m.d.comb += meanwhile
            m.d.sync += self.timer.eq(self.timer + 1)
            with m.If(self.timer == cycles - 1):
                m.d.sync += self.timer.eq(0)
                yield

    def wait(self, name: str, cycles: int, then: str, action: Iterable = ()) -> None:
        """A state that lasts so many cycles; ``action`` is done in the last."""
        with self.last_of(name, cycles):
            self.m.d.sync += action
            self.m.next = then

    def stream(self, name: str, last, then: str) -> None:
        """States that read ``last + 1`` elements from ``read`` on, and answer each.

        Takes PERIOD * last + 1 + WRITTEN cycles.
        """
        m = self.m
        with m.State(name):
            m.d.comb += self.take(first=1, emit=1)
            m.d.sync += [self.read.eq(self.read + 1), self.i.eq(self.i + 1)]
            m.next = f"{name}_GAP"
            with m.If(self.i == last):
                m.d.sync += self.i.eq(0)
                m.next = f"{name}_END"
        with m.State(f"{name}_GAP"):
            m.next = name
        self.wait(f"{name}_END", WRITTEN, then)

    def normalise(self, name: str, then: str, action: Callable) -> None:
        """A state that doubles the first sum until its leading one is at the top.

        ``leading`` is counted down for every place; at 0 it ends too.  ``action()`` in its last
        cycle.
        """
        m, path = self.m, self.path
        with m.State(name):
            with m.If(path.total[self.shape.top] | (self.leading == 0)):
                m.d.sync += action()
                m.next = then
            with m.Else():
                m.d.comb += path.double.eq(1)
                m.d.sync += self.leading.eq(self.leading - 1)

    def below_leading(self, bits: int):
        """Bits of the first sum below its leading one."""
        return self.path.total[self.shape.top - bits : self.shape.top]

    def ask(self, function: Function):
        """Settings for a table."""
        shift = {Function.GUMBEL: tables.gumbel().shift}.get(function, tables.exp2().shift)
        return self.set(
            function=function, a=A.LOW, b=B.SLOPE, shift=shift + LEFT, rounding=Rounding.FLOOR,
            held=Held.ELEMENT, store=0,
        )  # fmt: skip

    def answered(self, name: str, then: str, action: Iterable = (), **flags) -> None:
        """States that take one element and wait for its answer; ``action`` is done with it."""
        m = self.m
        with m.State(name):
            m.d.comb += self.take(emit=1, **flags)
            m.next = f"{name}_WAIT"
        self.wait(f"{name}_WAIT", WRITTEN, then, action)

    def look_up(self, name: str, then: str, action: Iterable) -> None:
        """States that look up ``at``; the answer is there in the last cycle, that of ``action``."""
        self.answered(name, then, action, base=1)


def factor(value):
    """A signal's low bits as a factor."""
    return value[:MANTISSA_BITS].as_signed()

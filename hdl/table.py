"""A look-up in a piecewise linear table: ``golden.tables.Table.lookup`` as a pipeline.

Cycle 0: the address; 1: base and slope come out and the factors are offered to a multiplier;
1 + mac.LATENCY: the product comes back and ``y`` is valid.  The multiplier belongs to the unit's
Multiply port, so ``a``, ``b`` and ``p`` are wired by the unit.
"""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.numbers import MANTISSA_BITS
from golden.tables import Table
from hdl import mac
from hdl.memory import Memories
from hdl.stream import delay

LATENCY = 1 + mac.LATENCY
"""Cycles from ``x`` (with ``en``) to ``y``, when the factors are accepted at once."""


def table_words(table: Table) -> list[int]:
    """The memory image of a table: base and slope side by side."""
    mask = (1 << table.base_bits) - 1, (1 << table.slope_bits) - 1
    return [
        (base & mask[0]) | (slope & mask[1]) << table.base_bits
        for base, slope in zip(table.base, table.slope, strict=True)
    ]


class Lookup(wiring.Component):
    """One lane of a table.

    Members
    -------
    x: unsigned input (index and low bits).  en: takes ``x``; while low, ``a`` and ``b`` stay.
    a, b: factors (slope, low), valid 1 cycle after ``x``; offer them to a multiplier.
    p: the product, mac.LATENCY cycles after the factors were accepted.
    y: the answer, in the cycle of ``p``.
    """

    def __init__(self, table: Table, name: str, memories: Memories):
        self._table = table
        self._rom = memories.rom(name, table.base_bits + table.slope_bits, 1 << table.index_bits)
        super().__init__(
            {
                "x": In(table.index_bits + table.low_bits),
                "en": In(1, init=1),
                "a": Out(signed(MANTISSA_BITS)),
                "b": Out(signed(MANTISSA_BITS)),
                "p": In(signed(2 * MANTISSA_BITS)),
                "y": Out(signed(MANTISSA_BITS)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        table = self._table
        m.submodules.rom = rom = self._rom
        low = Signal(table.low_bits)
        m.d.comb += [rom.addr.eq(self.x[table.low_bits :]), rom.en.eq(self.en)]
        with m.If(self.en):
            m.d.sync += low.eq(self.x[: table.low_bits])
        base = rom.data[: table.base_bits].as_signed()
        slope = rom.data[table.base_bits :].as_signed()
        m.d.comb += [self.a.eq(slope), self.b.eq(low)]
        answer = Signal(signed(table.base_bits + 1))
        m.d.comb += [
            answer.eq((delay(m, base, mac.LATENCY, "base") + self.p) >> table.shift),
            self.y.eq(Mux(answer > table.top, table.top, answer)),
        ]
        return m

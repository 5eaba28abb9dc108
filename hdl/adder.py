"""Sums of products: an adder tree for every row, and an accumulator over the beats of a vector."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.stream import delay

LEVELS = 2
"""Additions in a row between two registers: two of about 24 bits fit 10 ns of an Artix-7 -1."""


def latency(lanes: int, accumulate: bool) -> int:
    """Cycles from products to the sum that holds them: the accumulation is one more addition."""
    additions = (lanes - 1).bit_length() + accumulate
    return -(-additions // LEVELS)


class Adders(wiring.Component):
    """``rows`` exact sums, each of ``lanes`` products a cycle.

    Latency :func:`latency`, throughput one beat of products a cycle.  It cannot stall.

    Parameters
    ----------
    rows, lanes: product ``row * lanes + k`` belongs to ``row``; lanes are a power of two.
    width: of a product.  total: of a sum; what does not fit is the caller's error.
    accumulate: whether a sum may run over several beats.

    Members
    -------
    products: the products of a beat.  valid: they count.  first: they start a new sum.
    sums: includes these products, :func:`latency` cycles later; only then when not ``accumulate``,
    until the next valid beat otherwise.
    """

    def __init__(self, rows: int, lanes: int, width: int, total: int, accumulate: bool):
        self._rows, self._lanes, self._accumulate = rows, lanes, accumulate
        self.latency = latency(lanes, accumulate)
        super().__init__(
            {
                "products": In(data.ArrayLayout(signed(width), rows * lanes)),
                "valid": In(1),
                "first": In(1),
                "sums": Out(data.ArrayLayout(signed(total), rows)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        wait = max(self.latency - 1, 0)  # the accumulator is the last register
        valid = delay(m, self.valid, wait, "valid")
        first = delay(m, self.first, wait, "first")
        for row in range(self._rows):
            terms = [self.products[row * self._lanes + k] for k in range(self._lanes)]
            terms, additions = self._tree(m, terms, row)
            if self._accumulate:
                total = Signal(self.sums[row].shape(), name=f"total{row}", reset_less=True)
                with m.If(valid):
                    m.d.sync += total.eq(Mux(first, 0, total) + terms[0])
            elif additions % LEVELS:
                (total,) = self._registers(m, terms, f"total{row}")
            else:
                (total,) = terms
            m.d.comb += self.sums[row].eq(total)
        return m

    def _tree(self, m: Module, terms: list, row: int):
        """(the single sum, levels of additions): a register after every LEVELS levels."""
        level = 0
        while len(terms) > 1:
            terms = [self._fit(a + b) for a, b in zip(terms[::2], terms[1::2], strict=True)]
            level += 1
            if level % LEVELS == 0:
                terms = self._registers(m, terms, f"row{row}_level{level}")
        return terms, level

    def _fit(self, value):
        """``value`` without the bits that no sum can need."""
        return value[: min(len(value), self.sums[0].shape().width)].as_signed()

    def _registers(self, m: Module, terms: list, name: str) -> list:
        held = []
        for k, term in enumerate(terms):
            register = Signal(signed(len(term)), name=f"{name}_{k}", reset_less=True)
            m.d.sync += register.eq(term)
            held.append(register)
        return held

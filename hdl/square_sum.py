"""The sum of the squares of a vector, beat by beat."""

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.numbers import MANTISSA_BITS
from hdl.stream import delay

GROUP = 8
"""Products that are added between two registers."""


def cycles(lanes: int) -> int:
    """Cycles from the products of a beat to the sum that holds them."""
    return 1 if lanes <= GROUP else 1 + cycles(-(-lanes // GROUP))


class SquareSum(wiring.Component):
    """Adds up products of mantissas with themselves, from a start value on; exact.

    Latency ``cycles(lanes)``; throughput one beat a cycle.

    Parameters
    ----------
    lanes: products of a beat.  bits: of ``start``, and of every sum without it.

    Members
    -------
    squares: products, not negative.  valid: they count.  first: of their vector.
    start: what the sum starts from, taken ``cycles(lanes) - 1`` cycles after the first beat.
    total: the sum so far, start included; in the cycle after the last beat was added it is whole.
    """

    def __init__(self, lanes: int, bits: int):
        super().__init__(
            {
                "squares": In(data.ArrayLayout(signed(2 * MANTISSA_BITS), lanes)),
                "valid": In(1),
                "first": In(1),
                "start": In(bits),
                "total": Out(bits + 1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        late = cycles(len(self.squares)) - 1
        partial = self._partial_sums(m)
        begins = delay(m, self.first, late, "begins")
        with m.If(delay(m, self.valid, late, "adds")):
            m.d.sync += self.total.eq(sum(partial, Mux(begins, self.start, self.total)))
        return m

    def _partial_sums(self, m: Module) -> list[Value]:
        """At most GROUP sums of the squares of a beat, ``cycles(lanes) - 1`` cycles late."""
        level = [Value.cast(p)[: 2 * MANTISSA_BITS - 1] for p in self.squares]
        while len(level) > GROUP:
            groups = [level[k :: -(-len(level) // GROUP)] for k in range(-(-len(level) // GROUP))]
            level = []
            for k, group in enumerate(groups):
                added = sum(group[1:], group[0])
                level.append(Signal.like(added, name=f"sum{len(groups)}_{k}"))
                m.d.sync += level[-1].eq(added)
        return level

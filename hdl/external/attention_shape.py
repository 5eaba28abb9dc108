"""The numbers that the parts of an external attention share."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import Out

from golden import tables
from golden.numbers import EXPONENT_BITS, MANTISSA_BITS
from golden.schedules.external import attention_lanes, attention_products
from golden.stage import Attention as Stage
from hdl.external.layout import whole


@dataclass(frozen=True)
class Shape:
    """An attention whose cache comes in beats of ``port`` bits.

    Parameters
    ----------
    job: a template of the stages.  port: bits of a beat.  widest: lanes at q, k, v and o at most.
    """

    job: Stage
    port: int
    widest: int

    @property
    def bits(self) -> int:
        """Width of a cached mantissa."""
        return self.job.key.width

    @property
    def elements(self) -> int:
        """Elements of a head that are multiplied at once, whatever their width."""
        return self.port // MANTISSA_BITS

    @property
    def steps(self) -> int:
        """Cycles that a beat takes."""
        return MANTISSA_BITS // self.bits

    @property
    def beats(self) -> int:
        """Beats of a cached head."""
        return whole(self.job.d_head * self.bits, self.port)

    @property
    def parts(self) -> int:
        """Cycles that a cached head takes; the last may hold zeros."""
        return self.beats * self.steps

    @property
    def heads(self) -> int:
        """Query heads that share a head of keys."""
        return self.job.n_head // self.job.kv_heads

    @property
    def lanes(self) -> int:
        """Elements of a beat at q, k, v and o: a head is a whole number of them."""
        return attention_lanes(self.job, self.port, self.widest)

    @property
    def head_beats(self) -> int:
        """Beats of a head at q, k, v and o."""
        return self.job.d_head // self.lanes

    @property
    def products(self) -> int:
        """Multipliers of a pass."""
        return attention_products(self.job, self.port)

    @property
    def slots(self) -> int:
        """Cached positions."""
        return self.job.slots

    @property
    def total_bits(self) -> int:
        """Width of an exact sum of weights; at least what the reciprocal looks at."""
        return max(tables.UNIT + (self.slots - 1).bit_length(), tables.UNIT + 1)

    @property
    def dot_bits(self) -> int:
        """Width of a query times a key."""
        return 2 * MANTISSA_BITS + (self.parts * self.elements - 1).bit_length()

    @property
    def sum_bits(self) -> int:
        """Width of an exact weighted sum."""
        return MANTISSA_BITS + tables.UNIT + 1 + (self.slots - 1).bit_length()

    def exponent(self):
        """Shape of the exponent of a vector."""
        return signed(EXPONENT_BITS)

    def weights(self) -> stream.Signature:
        """A weight of every head that shares a key, for one slot after the other."""
        return stream.Signature(data.ArrayLayout(unsigned(tables.UNIT), self.heads))

    def tap(self, element) -> wiring.Signature:
        """A look inside: ``data`` of one head for one slot, whenever ``valid``."""
        return wiring.Signature(
            {
                "valid": Out(1),
                "slot": Out(range(max(self.slots, 2))),
                "group": Out(range(max(self.job.n_head, 2))),
                "data": Out(data.ArrayLayout(element, 1)),
            }
        )

"""The numbers that the parts of an attention unit share: how heads lie in beats, and widths."""

from dataclasses import dataclass
from functools import cached_property

from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from golden import layout, tables
from golden.numbers import Block
from golden.stage import Attention as Stage
from hdl.stream import beats


@dataclass(frozen=True)
class Shape:
    """Shape of an attention on ``lanes`` lanes.

    Parameters
    ----------
    job: a template of the stages. lanes: elements of a beat, a power of two.
    """

    job: Stage
    lanes: int

    @cached_property
    def d_pad(self) -> int:
        """Places of a head."""
        return layout.padded_head(self.job.d_head, self.lanes)

    @cached_property
    def heads(self) -> int:
        """Heads of a beat, those that only fill it included."""
        return layout.heads_per_beat(self.job.d_head, self.lanes)

    @property
    def head_beats(self) -> int:
        """Beats of a head."""
        return max(1, self.d_pad // self.lanes)

    @property
    def beats(self) -> int:
        """Beats of a vector."""
        return beats(self.job.n_head * self.d_pad, self.lanes)

    @property
    def groups(self) -> int:
        """Groups of ``heads`` heads in a vector."""
        return self.beats // self.head_beats

    @property
    def slots(self) -> int:
        """Cached positions."""
        return self.job.slots

    @property
    def tree(self) -> int:
        """Cycles that sum the products of a head's beat, four to one a cycle."""
        return ((self.lanes // self.heads - 1).bit_length() + 1) // 2

    @property
    def dynamic(self) -> bool:
        """Whether scores shift by exponents that come with the vectors."""
        return isinstance(self.job.key, Block)

    @property
    def total_bits(self) -> int:
        """Width of an exact sum of weights; at least what the reciprocal looks at."""
        return max(tables.UNIT + (self.slots - 1).bit_length(), tables.UNIT + 1)

    def tap(self, element) -> wiring.Signature:
        """A look inside: ``data`` of a group of heads for one slot, whenever ``valid``."""
        return wiring.Signature(
            {
                "valid": Out(1),
                "slot": Out(range(self.slots)),
                "group": Out(range(self.groups)),
                "data": Out(data.ArrayLayout(element, self.heads)),
            }
        )

"""Steps of attention: head by head; scores, weights, sums over the slots, answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from amaranth.hdl import Mux, Signal

from golden import tables
from golden.stages.attention import SCORE_BITS
from hdl.norm_image import LEFT
from hdl.serial.datapath import A, B, Function, Held, Rounding
from hdl.serial.shape import WRITTEN
from hdl.serial.steps import Steps, factor

WHOLE = 16
"""From this whole part of a distance on, a weight is 0."""

NOTHING = 31
"""A whole part that leaves nothing."""


class Attention:
    """The states of an attention, and its registers.

    Parameters
    ----------
    steps: of the core.  final: the last slot that the token attends to.

    Members
    -------
    head, slot: at which it is.  opens: the next score is the first of its head.
    scored, weighed, summing: an answer that is emitted is a score, a weight, a weighted sum.
    """

    def __init__(self, steps: Steps, final):
        self.steps, self.final = steps, final
        shape = steps.shape
        place = range(shape.depth)
        stage = shape.attention
        self.size, self.d_head = stage.output_size, stage.d_head
        self.head, self.slot = Signal(range(stage.n_head)), Signal(range(stage.slots + 1))
        self.block = Signal(range(stage.slots + shape.rows))  # first slot of a block of scores
        self.query, self.key, self.values = (
            Signal(place, name=name) for name in ("query", "key", "values")
        )
        self.dim, self.lane = Signal(range(stage.d_head + 1)), Signal(range(shape.rows + 1))
        self.chunk = Signal(range(stage.d_head + shape.rows))  # first element of a block of sums
        self.total = Signal(tables.UNIT + (stage.slots - 1).bit_length() + 1)
        self.scored, self.weighed, self.summing = Signal(), Signal(), Signal()
        self.opens = Signal()

    def follow(self) -> None:
        """What goes on beside the states."""
        m, path = self.steps.m, self.steps.path
        with m.If(self.weighed & path.emitted):
            m.d.sync += self.total.eq(self.total + path.answer)
        with m.If(self.scored & path.emitted):
            m.d.sync += self.opens.eq(0)

    def states(self) -> None:
        """Add the states, from ``ATTENTION`` to ``NEXT``."""
        m, steps = self.steps.m, self.steps
        with m.State("ATTENTION"):
            m.d.sync += [
                self.head.eq(0),
                self.query.eq(steps.row.x),
                self.key.eq(steps.row.y),
                self.values.eq(steps.row.y + steps.shape.cache_size),
            ]
            m.next = "HEAD"
        self._scores()
        self._weights()
        self._sums()
        self._answer()

    def _scores(self) -> None:
        """A query element at a time meets the keys of a block of ``rows`` slots."""
        m, steps, rows = self.steps.m, self.steps, self.steps.shape.rows
        with m.State("HEAD"):
            m.d.sync += [
                self.block.eq(0), self.dim.eq(0), self.opens.eq(1),
                steps.write.eq(steps.shape.scores),
                *steps.set(a=A.VALUE, b=B.FACTOR, shift=steps.row.score, held=Held.SCORE,
                           rounding=Rounding.EVEN, store=1, race=1),
            ]  # fmt: skip
            m.next = "SCORE"
        with m.State("SCORE"):
            m.d.sync += [steps.read.eq(self.query + self.dim), self.lane.eq(0)]
            m.next = "SCORE_QUERY"
        with m.State("SCORE_QUERY"):
            m.d.sync += steps.read.eq(self.key + self.dim)
            m.next = "SCORE_KEYS"
        last = (self.lane == rows - 1) | (self.block + self.lane == self.final)
        with self._meet("SCORE_KEYS", self.size, self.dim == 0, last):
            m.d.sync += self.dim.eq(self.dim + 1)
            m.next = "SCORE"
            with m.If(self.dim == self.d_head - 1):
                m.d.sync += [self.dim.eq(0), self.lane.eq(0)]
                m.next = "SCORE_DRAIN"
        with self._drain("SCORE", self.scored, last):
            m.d.sync += [
                self.block.eq(self.block + rows),
                self.key.eq(self.key + rows * self.size),
            ]
            m.next = "SCORE"
            with m.If(self.block + self.lane == self.final + 1):
                m.next = "WEIGHTS"

    @contextmanager
    def _meet(self, name: str, apart: int, first, last) -> Iterator[None]:
        """A state in which what was read last meets elements ``apart``, a lane each; the block is
        of the ``last`` lane.
        """
        m, steps = self.steps.m, self.steps
        with m.State(name):
            m.d.comb += steps.take(first=first, lane=self.lane)
            m.d.sync += [steps.read.eq(steps.read + apart), self.lane.eq(self.lane + 1)]
            with m.If(self.lane == 0):
                m.d.sync += steps.set(factor=factor(steps.path.value))
            with m.If(last):
                yield

    @contextmanager
    def _drain(self, name: str, what: Signal, last) -> Iterator[None]:
        """States in which the sums of all lanes become answers, while ``what`` is high; the block
        is of the cycle in which the last is written.
        """
        m, path = self.steps.m, self.steps.path
        with m.State(f"{name}_DRAIN"):
            m.d.comb += [path.emit.eq(1), path.lane.eq(self.lane), what.eq(1)]
            m.d.sync += self.lane.eq(self.lane + 1)
            with m.If(last):
                m.next = f"{name}_END"
        with self.steps.last_of(f"{name}_END", WRITTEN, [what.eq(1)]):
            yield

    def _weights(self) -> None:
        """Scores become weights in their places, one every 6 cycles."""
        m, path, steps = self.steps.m, self.steps.path, self.steps
        with m.State("WEIGHTS"):
            m.d.sync += [
                steps.read.eq(steps.shape.scores), steps.write.eq(steps.shape.scores),
                self.slot.eq(0), self.total.eq(0),
                *steps.ask(Function.EXP2), *steps.set(store=1, race=0),
            ]  # fmt: skip
            m.next = "WEIGHT_READ"
        with m.State("WEIGHT_READ"):
            m.d.comb += self.weighed.eq(1)
            m.d.sync += steps.read.eq(steps.read + 1)
            m.next = "WEIGHT_FAR"
        above = path.below[tables.SCORE_FRACTION : SCORE_BITS]
        with m.State("WEIGHT_FAR"):
            whole = Mux(above >= WHOLE, NOTHING, above)
            m.d.comb += self.weighed.eq(1)
            m.d.sync += [
                steps.at.eq(path.below[: tables.SCORE_FRACTION]),
                *steps.set(
                    shift=whole + (tables.exp2().shift + LEFT),
                    rounding=Mux(above == 0, Rounding.FLOOR, Rounding.UP),
                ),
            ]
            m.next = "WEIGHT_LOOK"
        with m.State("WEIGHT_LOOK"):
            m.d.comb += [self.weighed.eq(1), *steps.take(base=1, emit=1)]
            m.d.sync += self.slot.eq(self.slot + 1)
            m.next = "WEIGHT_WAIT"
            with m.If(self.slot == self.final):
                m.next = "WEIGHTS_END"
        # ``at`` must stay until the product comes, the shift until the sum has passed.
        with steps.last_of("WEIGHT_WAIT", 3, [self.weighed.eq(1)]):
            m.next = "WEIGHT_READ"
        with steps.last_of("WEIGHTS_END", WRITTEN + 1, [self.weighed.eq(1)]):
            m.d.sync += steps.leading.eq(steps.shape.top)
            m.d.comb += [path.load.eq(1), path.loaded.eq(self.total)]
            m.next = "TOTAL"

    def _sums(self) -> None:
        """A weight at a time meets ``rows`` elements of the value of its slot."""
        m, steps, rows = self.steps.m, self.steps, self.steps.shape.rows
        steps.normalise("TOTAL", "SUM", lambda: [
            steps.at.eq(steps.below_leading(tables.UNIT)),
            *steps.set(a=A.VALUE, b=B.FACTOR, shift=steps.leading + (1 + LEFT),
                       rounding=Rounding.EVEN, held=Held.ELEMENT),
            steps.write.eq(steps.shape.sums), self.chunk.eq(0), self.slot.eq(0),
            steps.other.eq(self.values),
        ])  # fmt: skip
        with m.State("SUM"):
            m.d.sync += [steps.read.eq(steps.shape.scores + self.slot), self.lane.eq(0)]
            m.next = "SUM_WEIGHT"
        with m.State("SUM_WEIGHT"):
            m.d.sync += [steps.read.eq(steps.other), steps.other.eq(steps.other + self.size)]
            m.next = "SUM_VALUES"
        last = (self.lane == rows - 1) | (self.chunk + self.lane == self.d_head - 1)
        with self._meet("SUM_VALUES", 1, self.slot == 0, last):
            m.d.sync += self.slot.eq(self.slot + 1)
            m.next = "SUM"
            with m.If(self.slot == self.final):
                m.d.sync += [self.slot.eq(0), self.lane.eq(0)]
                m.next = "SUM_DRAIN"
        with self._drain("SUM", self.summing, last):
            m.d.sync += [
                self.chunk.eq(self.chunk + rows),
                steps.other.eq(self.values + self.chunk + rows),
            ]
            m.next = "SUM"
            with m.If(self.chunk + self.lane == self.d_head):
                m.d.sync += steps.ask(Function.RECIPROCAL)
                m.next = "RECIPROCAL"

    def _answer(self) -> None:
        """The sums times the reciprocal of the total."""
        m, path, steps = self.steps.m, self.steps.path, self.steps
        heads = steps.shape.attention.n_head
        steps.look_up("RECIPROCAL", "ANSWER", [
            *steps.set(
                a=A.VALUE, b=B.FACTOR, factor=factor(path.answer), rounding=Rounding.EVEN,
                shift=steps.row.shift, store=1,
            ),
            steps.read.eq(steps.shape.sums),
            steps.write.eq(steps.row.d + steps.out),
        ])  # fmt: skip
        steps.stream("ANSWER", self.d_head - 1, "HEAD_END")
        with m.State("HEAD_END"):
            m.d.sync += [
                self.head.eq(self.head + 1),
                steps.out.eq(steps.out + self.d_head),
                self.query.eq(self.query + self.d_head),
                self.key.eq(steps.row.y + steps.out + self.d_head),
                self.values.eq(self.values + self.d_head),
            ]
            m.next = "HEAD"
            with m.If(self.head == heads - 1):
                m.next = "NEXT"

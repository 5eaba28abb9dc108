"""The residual stream: ``golden.stages.residual``, a saturating sum of two streams."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.numbers import MAX_LEFT, Block, Fixed, Format
from golden.stage import Residual as Stage
from hdl import numbers
from hdl.memory import Memories
from hdl.stream import Queue, Tags, beat
from hdl.units.unit import (
    SHIFT,
    Work,
    check_jobs,
    moved,
    pack_row,
    pack_rows,
    parameter_rom,
    row_address,
)


def latency(branch: Format) -> int:
    """Cycles from a pair of beats to their sum: a block is shifted in a cycle of its own."""
    return 2 if isinstance(branch, Block) else 1


def image(name: str, jobs: Sequence[Sequence[Stage]]) -> dict[str, list[int]]:
    """Words of the memories of the unit ``name`` from its stages [job][layer]; none for Fixed.

    Raises
    ------
    ValueError
        If a Fixed branch has another exponent than the stream: there is no shifter for it.
    """
    for stages in jobs:
        for stage in stages:
            if isinstance(stage.branch, Fixed) and stage.branch.fraction != stage.format.fraction:
                raise ValueError(f"{stage.name}: branch is {stage.branch}, stream {stage.format}")
    if isinstance(jobs[0][0].branch, Fixed):
        return {}
    rows = pack_rows(jobs, lambda stage: pack_row([(stage.format.exponent, SHIFT)]))
    return {f"{name}.parameters": rows}


class Residual(wiring.Component):
    """``saturate(x + branch)`` [size], the branch first rounded to the exponent of ``x``.

    Latency :func:`latency`.  Throughput one beat a cycle.  Back-pressure: holds both inputs; a
    beat is taken from both in the same cycle.  Tested: sizes 1 to 48, 1 to 16 lanes, both branches.

    Parameters
    ----------
    name, jobs, layers, lanes, tags, memories: see docs/architecture.md.

    Members
    -------
    x: beats of ``jobs[0].format``.  branch: beats of ``jobs[0].branch``; the tag is that of ``x``.
    o: beats of ``jobs[0].format``.
    busy, job: work is inside; the job of the oldest.
    saturated: an element was held to the range of the format (one cycle).

    Raises
    ------
    ValueError
        If the jobs differ in size or kind of format.
    """

    def __init__(
        self, name: str, jobs: Sequence[Stage], layers: int, lanes: int, tags: Tags,
        memories: Memories,
    ):  # fmt: skip
        check_jobs(name, jobs, ("size", "branch", "format"))
        self._stage, self._lanes, self._tags = jobs[0], lanes, tags
        self._rows = len(jobs), layers
        self._parameters = None
        if isinstance(self._stage.branch, Block):
            self._parameters = parameter_rom(memories, name, SHIFT.width, *self._rows)
        super().__init__(
            {
                "x": In(stream.Signature(beat(lanes, self._stage.format, tags))),
                "branch": In(stream.Signature(beat(lanes, self._stage.branch, tags))),
                "o": Out(stream.Signature(beat(lanes, self._stage.format, tags))),
                "busy": Out(1),
                "job": Out(tags.job),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        x, branch = self.x, self.branch
        m.submodules.work = work = Work(self._tags.job, 4)
        m.submodules.answer = answer = Queue(self.o.p.shape(), 2)  # whose `ready` is a register
        o, move, take, valid = answer.i, answer.i.ready, Signal(), Signal()
        wiring.connect(m, answer.o, wiring.flipped(self.o))
        m.d.comb += [
            valid.eq(x.valid & branch.valid),
            x.ready.eq(take & branch.valid),
            branch.ready.eq(take & x.valid),
        ]
        if self._parameters is None:
            m.d.comb += take.eq(move)
            meta, pairs = (
                (x.p.tag, x.p.first, x.p.last),
                list(zip(x.p.data, branch.p.data, strict=True)),
            )
        else:
            valid, meta, pairs = self._shifted(m, valid, take, move)
        held = []
        m.d.comb += [
            o.valid.eq(valid),
            o.p.tag.eq(meta[0]),
            o.p.first.eq(meta[1]),
            o.p.last.eq(meta[2]),
        ]
        for k, (a, b) in enumerate(pairs):
            value, over = numbers.saturate(m, a + b, self._stage.format.width, f"y{k}")
            held.append(over)
            m.d.comb += o.p.data[k].eq(value)
        m.d.sync += self.saturated.eq(valid & move & Cat(held).any())
        work.connect(m, moved(x, "first"), moved(self.o, "last"), x.p.tag.job)
        m.d.comb += [self.busy.eq(work.busy), self.job.eq(work.job)]
        return m

    def _shifted(self, m: Module, valid: Signal, take: Signal, move: Signal):
        """A register stage that aligns the branch: (valid, (tag, first, last), pairs to add)."""
        x, branch = self.x, self.branch
        m.submodules.parameters = parameters = self._parameters
        m.d.comb += parameters.addr.eq(row_address(x.p.tag, *self._rows))
        width = self._stage.branch.width + MAX_LEFT
        bits = (width + 1).bit_length()
        # The branch starts MAX_LEFT places up, so that one right shift serves both directions.
        right = Signal(signed(SHIFT.width + 2))
        amount = Signal(bits)
        m.d.comb += [
            right.eq(parameters.data.as_signed() - branch.p.exponent + MAX_LEFT),
            amount.eq(Mux(right < 0, 0, numbers.clamp_shift(right[:-1], bits))),
        ]
        full = Signal()
        meta = [Signal.like(value) for value in (x.p.tag, x.p.first, x.p.last)]
        m.d.comb += take.eq(~full | move)
        with m.If(take):
            m.d.sync += full.eq(valid)
            m.d.sync += [a.eq(b) for a, b in zip(meta, (x.p.tag, x.p.first, x.p.last), strict=True)]
        pairs = []
        for k in range(self._lanes):
            a = Signal.like(x.p.data[k], name=f"x{k}")
            wide = Cat(Const(0, MAX_LEFT), branch.p.data[k]).as_signed()
            extended, sticky = numbers.shift_right(m, wide, amount, f"b{k}")
            extended_r, sticky_r = Signal.like(extended), Signal.like(sticky)
            with m.If(take):
                m.d.sync += [a.eq(x.p.data[k]), extended_r.eq(extended), sticky_r.eq(sticky)]
            pairs.append((a, numbers.round_off(extended_r, sticky_r)))
        return full, meta, pairs

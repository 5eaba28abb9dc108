"""The residual stream: ``golden.stages.residual``, a saturating sum of two streams."""

from collections.abc import Sequence

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.numbers import Block, Fixed, Format
from golden.stage import Residual as Stage
from hdl import aligned_sum
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
        move, take, valid = answer.i.ready, Signal(), Signal()
        wiring.connect(m, answer.o, wiring.flipped(self.o))
        m.d.comb += [
            valid.eq(x.valid & branch.valid),
            x.ready.eq(take & branch.valid),
            branch.ready.eq(take & x.valid),
        ]
        if self._parameters is None:
            m.d.comb += take.eq(move)
            full, meta, pairs = valid, (x.p.tag, x.p.first, x.p.last), (x.p.data, branch.p.data)
        else:
            m.submodules.parameters = parameters = self._parameters
            m.d.comb += parameters.addr.eq(row_address(x.p.tag, *self._rows))
            full, meta = aligned_sum.register(m, valid, take, move, x.p)
            aligned = aligned_sum.align(m, branch.p, parameters.data, take)
            pairs = aligned_sum.keep(m, list(x.p.data), take), aligned
        aligned_sum.answer(m, answer, full, meta, zip(*pairs, strict=True), self.saturated)
        work.connect(m, moved(x, "first"), moved(self.o, "last"), x.p.tag.job)
        m.d.comb += [self.busy.eq(work.busy), self.job.eq(work.job)]
        return m

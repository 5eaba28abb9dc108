"""A change of format: ``golden.stages.convert`` on top of ``hdl.requantise``."""

from collections.abc import Sequence

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.numbers import Block, Fixed, Format
from golden.stage import Convert as Stage
from hdl import requantise
from hdl.memory import Memories
from hdl.requantise import SCALE_BITS, Requantise
from hdl.stream import Tags, beat, beats
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


def latency(size: int, lanes: int, form: Format) -> int:
    """Cycles from the first beat accepted to the first beat at ``o``."""
    collect = beats(size, lanes) - 1 if isinstance(form, Block) else 0
    return requantise.latency(form) + collect


def _has_parameters(stage: Stage) -> bool:
    return isinstance(stage.source, Fixed) or isinstance(stage.format, Fixed)


def image(name: str, jobs: Sequence[Sequence[Stage]]) -> dict[str, list[int]]:
    """Words of the memories of the unit ``name`` from its stages [job][layer]; none for two blocks.

    A row is the exponent or shift that does not depend on the vector.
    """

    def row(stage: Stage) -> int:
        value = stage.format.exponent if isinstance(stage.format, Fixed) else 0
        if isinstance(stage.source, Fixed):
            value = value - stage.source.exponent
        return pack_row([(value, SHIFT)])

    if not _has_parameters(jobs[0][0]):
        return {}
    return {f"{name}.parameters": pack_rows(jobs, row)}


class Convert(wiring.Component):
    """The same vectors in another format; left shifts up to MAX_LEFT.

    Latency :func:`latency`.  Throughput one beat a cycle.  Back-pressure: ``i`` waits for room.
    Tested: sizes 1 to 48, 1 to 16 lanes, all pairs of Fixed and Block, 16 and 32 bits.

    Parameters
    ----------
    name, jobs, layers, lanes, tags, memories: see docs/architecture.md.
    places: of the vectors of every job, those without an element included; None for their sizes.

    Members
    -------
    i: beats of ``jobs[0].source``.  o: beats of ``jobs[0].format``.
    busy, job: work is inside; the job of the oldest.
    saturated: an element was held to the range of a Fixed format (one cycle).

    Raises
    ------
    ValueError
        If the jobs differ in kind of format.
    """

    def __init__(
        self, name: str, jobs: Sequence[Stage], layers: int, lanes: int, tags: Tags,
        memories: Memories, places: Sequence[int] | None = None,
    ):  # fmt: skip
        check_jobs(name, jobs, ("source", "format"))
        self._stage, self._lanes, self._tags = jobs[0], lanes, tags
        self._counts = [beats(n, lanes) for n in places or [job.size for job in jobs]]
        self._rows = len(jobs), layers
        self._parameters = None
        if _has_parameters(self._stage):
            self._parameters = parameter_rom(memories, name, SHIFT.width, *self._rows)
        super().__init__(
            {
                "i": In(stream.Signature(beat(lanes, self._stage.source, tags))),
                "o": Out(stream.Signature(beat(lanes, self._stage.format, tags))),
                "busy": Out(1),
                "job": Out(tags.job),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        stage, i, o = self._stage, self.i, self.o
        to_fixed = isinstance(stage.format, Fixed)
        kept = 0 if to_fixed else max(self._counts)
        depth = requantise.latency(stage.format) + 1 + kept
        m.submodules.answer = answer = Requantise(
            self._lanes, stage.source.width, stage.format, self._tags, depth, left=to_fixed
        )
        m.submodules.work = work = Work(self._tags.job, depth + 1)
        row = Signal(signed(SCALE_BITS))
        if self._parameters is not None:
            m.submodules.parameters = parameters = self._parameters
            m.d.comb += [
                parameters.addr.eq(row_address(i.p.tag, *self._rows)),
                row.eq(parameters.data.as_signed()),
            ]
        if isinstance(stage.source, Block):
            scale = row - i.p.exponent if to_fixed else i.p.exponent
        else:
            scale = row if to_fixed else -row
        m.d.comb += [
            i.ready.eq(answer.free),
            answer.reserve.eq(i.valid & answer.free),
            answer.i.valid.eq(i.valid & answer.free),
            answer.i.p.scale.eq(scale),
            answer.i.p.data.eq(i.p.data),
            answer.i.p.tag.eq(i.p.tag),
            answer.i.p.first.eq(i.p.first),
            answer.i.p.last.eq(i.p.last),
            self.saturated.eq(answer.saturated),
        ]
        wiring.connect(m, answer.o, wiring.flipped(o))
        work.connect(m, moved(i, "first"), moved(o, "last"), i.p.tag.job)
        m.d.comb += [self.busy.eq(work.busy), self.job.eq(work.job)]
        return m

"""The walk through a matrix as it comes out of the external memory: which beat is what."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Array, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.blocks import GROUP
from golden.schedules.external import CODE_BITS
from golden.stage import Linear as Stage
from hdl.external.layout import HALF, Groups, tensor_layout

SCALE = data.StructLayout({"scale": HALF, "minimum": HALF})
"""Float16 bits."""


def of_job(values: Sequence[int], job: Value) -> Value:
    """The value of a job, out of one for each."""
    pad = (1 << len(job)) - len(values)
    return Array([*map(int, values), *[int(values[-1])] * pad])[job]


class Geometry:
    """What control knows of a job's matrix.

    Members
    -------
    grouped: 4-bit codes in groups.  rows: outputs.  groups: that share a scale, of a row.
    beats: of codes in a group (of a row, without groups).  tile: groups behind a beat of scales.
    """

    def __init__(self, stage: Stage, port: int):
        form = tensor_layout(stage, port)
        self.grouped = isinstance(form, Groups)
        self.rows = stage.output_size
        self.groups = stage.input_size // GROUP if self.grouped else 1
        self.beats = form.group_beats if isinstance(form, Groups) else form.row_beats
        self.tile = form.tile

    @property
    def word_beats(self) -> int:
        """Beats of codes for a word of the vector: two with codes of 8 bits."""
        return 1 if self.grouped else 2


def beat_layout(port: int, words: int, groups: int) -> data.StructLayout:
    """A beat of codes, and what it is.

    word: of the vector, which it meets; half: which half of that word's lanes (8-bit codes).
    group: of the row.  scale: of the group.  first, last: of the group; opens, closes: it is the
    first or last beat of its row.
    """
    return data.StructLayout(
        {
            "codes": port,
            "word": range(max(words, 2)),
            "half": 1,
            "group": range(max(groups, 2)),
            "scale": SCALE,
            "first": 1,
            "last": 1,
            "opens": 1,
            "closes": 1,
        }
    )


class Walk(wiring.Component):
    """Tells scales from codes, and where a code belongs.

    Throughput a beat a cycle; a beat of codes is at ``o`` in the cycle in which it comes.

    Members
    -------
    go: the matrix of ``job`` begins with the next beat; only while not ``busy``.
    i: stream of beats.  o: stream of :func:`beat_layout`.
    """

    def __init__(self, jobs: Sequence[Stage], port: int):
        self._port = port
        self._jobs = [Geometry(job, port) for job in jobs]
        self._words = max(-(-g.groups * g.beats // g.word_beats) for g in self._jobs)
        groups = max(g.groups for g in self._jobs)
        super().__init__(
            {
                "go": In(1),
                "job": In(range(max(len(jobs), 2))),
                "busy": Out(1),
                "i": In(stream.Signature(port)),
                "o": Out(stream.Signature(beat_layout(port, self._words, groups))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        grouped, rows, groups, beats, tile = self._shape(m)
        heads = max(1, 2 * HALF // self._port)  # beats of the scales of a tile of groups
        scales = Signal(max(self._port, 2 * HALF))
        head, left = Signal(range(heads + 1)), Signal(range(self._port // HALF + 1))
        row, group = Signal(range(max(g.rows for g in self._jobs))), Signal.like(self.o.p.group)
        beat = Signal(range(max(g.beats for g in self._jobs)))
        o, i = self.o, self.i
        last, closes = beat == beats - 1, Signal()
        m.d.comb += [
            closes.eq(last & (group == groups - 1)),
            o.valid.eq(self.busy & i.valid & (head == 0)),
            i.ready.eq(self.busy & ((head != 0) | o.ready)),
            o.p.codes.eq(i.p),
            o.p.group.eq(group),
            o.p.scale.eq(Mux(grouped, scales, scales[:HALF])),
            o.p.first.eq(beat == 0),
            o.p.last.eq(last),
            o.p.opens.eq((beat == 0) & (group == 0)),
            o.p.closes.eq(closes),
        ]
        self._word(m, grouped, closes)
        with m.If(self.busy & i.valid & (head != 0)):
            m.d.sync += [scales.eq(self._scales(scales, heads, grouped)), head.eq(head - 1)]
            m.d.sync += left.eq(tile)
        with m.If(o.valid & o.ready):
            m.d.sync += beat.eq(beat + 1)
            with m.If(last):
                m.d.sync += [beat.eq(0), group.eq(group + 1), left.eq(left - 1)]
                m.d.sync += scales.eq(Mux(grouped, scales >> 2 * HALF, scales >> HALF))
                with m.If(left == 1):
                    m.d.sync += head.eq(Mux(grouped, heads, 1))
            with m.If(closes):
                m.d.sync += [group.eq(0), row.eq(row + 1)]
                with m.If(row == rows - 1):
                    m.d.sync += [row.eq(0), self.busy.eq(0)]
        with m.If(self.go):
            m.d.sync += [self.busy.eq(1), head.eq(Mux(grouped, heads, 1))]
        return m

    def _shape(self, m: Module):
        """The numbers of the job at work; from the cycle of ``go`` on."""
        job = Signal.like(self.job)
        now = Signal.like(self.job)
        m.d.comb += now.eq(Mux(self.go, self.job, job))
        m.d.sync += job.eq(now)
        names = ("grouped", "rows", "groups", "beats", "tile")
        return tuple(of_job([getattr(g, name) for g in self._jobs], now) for name in names)

    def _word(self, m: Module, grouped: Value, closes: Value) -> None:
        """Which word of the vector the beat meets."""
        o = self.o
        word, half = Signal.like(o.p.word), Signal()
        m.d.comb += [o.p.word.eq(word), o.p.half.eq(half)]
        with m.If(o.valid & o.ready):
            m.d.sync += half.eq(~half & ~grouped)
            with m.If(grouped | half):
                m.d.sync += word.eq(word + 1)
            with m.If(closes):
                m.d.sync += [word.eq(0), half.eq(0)]

    def _scales(self, scales: Signal, heads: int, grouped: Value) -> Value:
        """The scales with a beat more: of 16 bits two come one after the other, the first below."""
        if heads == 1:
            return self.i.p
        both = (scales >> self._port) | (self.i.p << self._port)
        return Mux(grouped, both, self.i.p)


def lane_codes(m: Module, beat, grouped: Value, lanes: int) -> list[Value]:
    """The factor of every lane: a code of 4 bits without a sign, or one of 8 with its sign.

    Codes of 8 bits fill half of the lanes; the others get zero.
    """
    factors = []
    width = 2 * CODE_BITS
    for k in range(lanes):
        small = beat.codes[k * CODE_BITS : (k + 1) * CODE_BITS]
        at = k % (lanes // 2) * width
        here = beat.half == k // (lanes // 2)
        large = beat.codes[at : at + width] & here.replicate(width)
        factor = Signal(width + 1, name=f"code{k}")
        m.d.comb += factor.eq(Mux(grouped, small, large.as_signed()))
        factors.append(factor.as_signed())
    return factors

"""Multi-head causal attention over a cache: ``golden.stages.attention`` as a unit.

Two passes over the cached slots (``hdl/attention_scores.py``, ``hdl/weighted_sum.py``) with the
table of the softmax between them (``hdl/softmax.py``), and one reciprocal a head behind
(``hdl/normalise.py``).
"""

from collections.abc import Sequence

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.numbers import MANTISSA_BITS, MAX_RIGHT, Block, Fixed
from golden.stage import Attention as Stage
from hdl import attention_scores, normalise, requantise, softmax, weighted_sum
from hdl.attention_image import check, image, row_layout, weight_unit
from hdl.attention_scores import Scores
from hdl.attention_shape import Shape
from hdl.kv_cache import Ring
from hdl.mac import Multiply
from hdl.mac_share import share
from hdl.memory import Memories
from hdl.normalise import Normalise
from hdl.requantise import SCALE_BITS, Requantise
from hdl.softmax import Softmax
from hdl.stream import Tags, beat
from hdl.units.unit import parameter_rom, row_address
from hdl.weighted_sum import WeightedSum

WIDE_BITS = 2 * MANTISSA_BITS
"""Width of a sum times a reciprocal."""

__all__ = ["Attention", "cycles", "image"]


def cycles(job: Stage, lanes: int, position: int) -> int:
    """Cycles from the last beat of q, k and v accepted to the first beat of the answer at ``o``.

    Of a unit that is empty, when all products are accepted at once and the last beats of q, k and v
    arrive in one cycle. A Block answer of several beats waits for its last one, which is not
    counted here; nor is the search for a block's largest exponent where the first pass is shorter.
    """
    shape = Shape(job, lanes)
    start = 1  # the cycle in which the last beats are accepted
    first_pass = shape.beats * job.attended(position) - 1 + attention_scores.latency(shape)
    second_pass = job.attended(position) - 1 + softmax.LATENCY + weighted_sum.TOTAL_LATENCY
    answer = normalise.latency(shape) + requantise.latency(job.format)
    return start + first_pass + second_pass + answer


class Attention(wiring.Component):
    """Attention with a cache of its own for every (stream, layer, job).

    A token's q, k and v may come in any order and at once; the scores start when q and k are in,
    the weighted sums when v is in too. Vectors are in the order of ``golden.layout.head_order``;
    the three inputs bring tokens in one and the same order, the positions of a stream one by one
    from 0, each in every layer. A sequence starts anew at position 0. The next token's q and k are
    accepted when the scores have read theirs, its v when the sums have; its first pass overlaps
    the end of this one's second.

    Latency: ``cycles``. Throughput: a pass reads one beat a cycle. Back-pressure: any, at every
    port. Tested: 1 to 16 lanes, 1 to 4 heads of 1 to 16 elements, 1 to 16 slots, Fixed and Block.

    Parameters
    ----------
    name: prefix of the memories' names. jobs: templates of the stages, of one shape.
    layers, streams: how many of each keep a cache. lanes: a power of two. tags: widths.
    memories: makes the loadable memories (see ``image``). taps: whether to have the taps.

    Members
    -------
    q, k, v: streams of vectors. o: stream of the answer. mul: multiplies; the last ``heads`` lanes
    look up tables. busy, job: see docs/architecture.md.
    saturated: a score or an element of the answer was held to its range.
    scores_tap, weights_tap (with ``taps``): valid, tag, slot, group, data: a score or a weight of
    every head of a group (of heads that share a beat) for a slot.

    Raises
    ------
    ValueError
        If jobs differ in shape, the formats cannot be mixed so, or the tags are too narrow.
    """

    def __init__(
        self,
        name: str,
        jobs: Sequence[Stage],
        layers: int,
        streams: int,
        lanes: int,
        tags: Tags,
        memories: Memories,
        taps: bool = False,
    ):
        check(name, jobs, layers, streams, tags)
        job = jobs[0]
        self._shape = shape = Shape(job, lanes)
        self._tags, self._taps = tags, taps
        region = (streams, layers, len(jobs))
        self._q = Ring(lanes, job.query, tags, 1, shape.beats, 1, 1, 1)
        self._k = Ring(lanes, job.key, tags, shape.slots, shape.beats, *region)
        self._v = Ring(lanes, job.value, tags, shape.slots, shape.beats, *region, peak=True)
        self._scores, self._sum = Scores(shape), WeightedSum(shape)
        self._softmax = Softmax(name, shape, memories)
        self._normalise = Normalise(name, shape, memories)
        self._rows, self._row, self._rom = (len(jobs), layers), row_layout(job), None
        if self._row.size:
            self._rom = parameter_rom(memories, name, self._row.size, *self._rows)
        members = {
            "q": In(stream.Signature(beat(lanes, job.query, tags))),
            "k": In(stream.Signature(beat(lanes, job.key, tags))),
            "v": In(stream.Signature(beat(lanes, job.value, tags))),
            "o": Out(stream.Signature(beat(lanes, job.format, tags))),
            "mul": Out(Multiply(lanes + shape.heads)),
            "busy": Out(1),
            "job": Out(tags.job),
            "saturated": Out(1),
        }
        if taps:
            for tap, part in (("scores_tap", self._scores), ("weights_tap", self._sum)):
                inner = dict(part.tap.signature.members)
                members[tap] = Out(wiring.Signature(inner | {"tag": Out(tags.layout())}))
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        for part in ("q", "k", "v", "scores", "softmax", "sum", "normalise"):
            m.submodules[part] = getattr(self, f"_{part}")
        self._connect(m)
        scale, tag = self._control(m)
        self._answer(m, scale, tag)
        last, sums, scores, table = self._normalise, self._sum, self._scores, self._softmax
        share(m, self.mul, (last.mul, sums.mul, scores.mul), (last.look, table.mul))
        return m

    def _connect(self, m: Module):
        scores, softmax_, sums = self._scores, self._softmax, self._sum
        for name, ring in (("q", self._q), ("k", self._k), ("v", self._v)):
            wiring.connect(m, wiring.flipped(getattr(self, name)), ring.i)
        wiring.connect(m, scores.query, self._q.read)
        wiring.connect(m, scores.key, self._k.read)
        wiring.connect(m, sums.value, self._v.read)
        wiring.connect(m, softmax_.o, sums.weights)
        wiring.connect(m, sums.totals, self._normalise.totals)
        wiring.connect(m, sums.sums, self._normalise.sums)
        m.d.comb += [
            scores.final.eq(self._k.final),
            softmax_.final.eq(self._v.final),
            sums.final.eq(self._v.final),
            scores.read_group.eq(softmax_.read_group),
            scores.read_slot.eq(softmax_.read_slot),
            scores.read_en.eq(softmax_.read_en),
            scores.peak_group.eq(softmax_.peak_group),
            softmax_.scores.eq(scores.scores),
            softmax_.peak.eq(scores.peak),
            self._q.release.eq(scores.done),
            self._k.release.eq(scores.done),
            self._v.release.eq(sums.done),
            sums.gone.eq(self._normalise.reserve),
        ]

    def _control(self, m: Module):
        """Which token each pass is at: the first pass may serve the next token already.

        The answer is the scale and the tag of the token in the second pass.
        """
        q, k, v, scores = self._q, self._k, self._v, self._scores
        first_busy, second_busy, scored = Signal(), Signal(), Signal()
        first_tag, second_tag = Signal(self._tags.layout()), Signal(self._tags.layout())
        go_first, go_second = Signal(), Signal()
        parameters, first_scale, second_scale = self._parameters(m), *self._scales()
        m.d.comb += [
            go_first.eq(~first_busy & q.held & k.held),
            go_second.eq((scores.complete | scored) & v.held & ~second_busy),
            scores.go.eq(go_first),
            self._softmax.go.eq(go_second),
            self._sum.go.eq(go_second),
            self.busy.eq(q.begun | k.begun | v.begun | first_busy | second_busy),
        ]
        arriving = Mux(k.begun, k.tag.job, Mux(q.begun, q.tag.job, v.tag.job))
        working = Mux(first_busy, first_tag.job, arriving)
        m.d.comb += self.job.eq(Mux(second_busy, second_tag.job, working))
        with m.If(self._softmax.done):
            m.d.sync += first_busy.eq(0)
        with m.If(go_first):
            m.d.sync += [first_busy.eq(1), first_tag.eq(k.tag)]
            if parameters is not None:
                loaded = {"shift": scores.shift, "scale": first_scale}
                m.d.sync += [loaded[field].eq(parameters[field]) for field in self._row.members]
        with m.If(scores.complete):
            m.d.sync += scored.eq(1)
        with m.If(self.o.valid & self.o.ready & self.o.p.last):
            m.d.sync += second_busy.eq(0)
        with m.If(go_second):
            m.d.sync += [
                scored.eq(0),
                second_busy.eq(1),
                second_tag.eq(v.tag),
                second_scale.eq(self._held(first_scale)),
                self._sum.top.eq(v.top),
            ]
        if self._taps:
            m.d.comb += [self.scores_tap.tag.eq(first_tag), self.weights_tap.tag.eq(second_tag)]
            for tap, part in ((self.scores_tap, scores.tap), (self.weights_tap, self._sum.tap)):
                for member in ("valid", "slot", "group", "data"):
                    m.d.comb += getattr(tap, member).eq(getattr(part, member))
        return self._scale(second_scale), second_tag

    def _scales(self):
        return (Signal(signed(SCALE_BITS), name=f"{which}_scale") for which in ("first", "second"))

    def _parameters(self, m: Module):
        """The row of the token that the first pass takes; None if all comes with the vectors."""
        if self._rom is None:
            return None
        m.submodules.parameters = self._rom
        m.d.comb += self._rom.addr.eq(row_address(self._k.tag, *self._rows))
        return data.View(self._row, self._rom.data)

    def _held(self, loaded: Value) -> Value:
        """A scale as it is kept for the answer; a static one is a right shift."""
        job = self._shape.job
        static = isinstance(job.value, Fixed) and isinstance(job.format, Fixed)
        return requantise.right_shift(loaded, WIDE_BITS) if static else loaded

    def _scale(self, loaded: Value) -> Value:
        """What Requantise takes as scale."""
        job, top = self._shape.job, self._sum.top
        if isinstance(job.value, Fixed):
            return loaded
        if isinstance(job.format, Block):
            return top - weight_unit(job)
        shift = loaded - top
        return Mux(shift > MAX_RIGHT, MAX_RIGHT, shift)

    def _answer(self, m: Module, scale: Value, tag):
        shape, job, last = self._shape, self._shape.job, self._normalise
        room = (shape.beats if isinstance(job.format, Block) else 0) + 8
        left = isinstance(job.value, Block)
        m.submodules.requantise = answer = Requantise(
            shape.lanes, WIDE_BITS, job.format, self._tags, room, left=left
        )
        m.d.comb += [
            last.free.eq(answer.free),
            answer.reserve.eq(last.reserve),
            answer.i.valid.eq(last.valid),
            answer.i.p.first.eq(last.first),
            answer.i.p.last.eq(last.last),
            answer.i.p.scale.eq(scale),
            answer.i.p.tag.eq(tag),
            answer.i.p.data.eq(last.mul.p),
            self.saturated.eq(self._scores.saturated | answer.saturated),
        ]
        wiring.connect(m, answer.o, wiring.flipped(self.o))

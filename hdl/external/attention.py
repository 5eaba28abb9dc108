"""Grouped-query attention over a cache in an external memory: ``golden.stages.attention``.

Keys and values of the token leave as records (records.py); then, for one head of keys after the
other, all keys come by (passes.py, scores.py), all values (softmax.py, weighted_sum.py), and the
sums are divided (normalise.py) while the next head's keys come.
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Array, Module, Mux, Signal, signed, unsigned
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from golden import tables
from golden.numbers import EXPONENT_BITS, MANTISSA_BITS
from golden.stage import Attention as Stage
from hdl import adder, mac, numbers, requantise
from hdl.adder import Adders
from hdl.external.attention_shape import Shape
from hdl.external.normalise import ROUNDED, Normalise
from hdl.external.passes import Passes
from hdl.external.query import Query
from hdl.external.records import Records
from hdl.external.scores import Scores
from hdl.external.softmax import Softmax
from hdl.external.weighted_sum import WeightedSum
from hdl.mac import Multiply
from hdl.memory import Memories
from hdl.requantise import SCALE_BITS, Requantise
from hdl.softmax import WHOLE_BITS
from hdl.stream import CreditQueue, Queue, Tags, beat, delay
from hdl.table import table_words
from hdl.units.unit import Work, check_jobs, moved

KEYS_AHEAD = 16
"""Keys whose scores are not all formed."""

WIDE = 2 * MANTISSA_BITS
"""Width of a sum times a reciprocal."""


def image(name: str) -> dict[str, list[int]]:
    """Words of the tables of the unit ``name``."""
    return {
        f"{name}.exp2": table_words(tables.exp2()),
        f"{name}.reciprocal": table_words(tables.reciprocal()),
    }


class Attention(wiring.Component):
    """One token's attention after the other.

    Parameters
    ----------
    name, jobs, tags, memories, taps: see docs/architecture.md.  port: bits of a beat of the cache.
    widest: lanes of q, k, v and o at most; ``lanes`` tells how many there are.

    Members
    -------
    q, k, v: streams of vectors, in any order.  o: stream of the answer.
    store: stream of beats: the records of k and v.  keys, values: streams of beats of the cache.
    mul: products of a pass, two tables, the division.
    busy, job, saturated, scores_tap, weights_tap: see hdl/units/attention.py.
    """

    def __init__(
        self, name: str, jobs: Sequence[Stage], port: int, widest: int, tags: Tags,
        memories: Memories, taps: bool = False,
    ):  # fmt: skip
        check_jobs(name, jobs, ("n_head", "d_head", "kv_heads", "slots"))
        job = jobs[0]
        self._shape = shape = Shape(job, port, widest)
        self._tags, self._taps, self.lanes = tags, taps, shape.lanes
        self._query, self._records = Query(shape, tags), Records(shape, tags)
        self._passes, self._scores, self._sum = Passes(shape), Scores(shape), WeightedSum(shape)
        self._softmax = Softmax(name, shape, memories)
        self._normalise = Normalise(name, shape, memories)
        cache = stream.Signature(port)
        members = {
            "q": In(stream.Signature(beat(shape.lanes, job.query, tags))),
            "k": In(stream.Signature(beat(shape.lanes, job.key, tags))),
            "v": In(stream.Signature(beat(shape.lanes, job.value, tags))),
            "o": Out(stream.Signature(beat(shape.lanes, job.format, tags))),
            "store": Out(cache),
            "keys": In(cache),
            "values": In(cache),
            "mul": Out(Multiply(shape.products + 2 + shape.lanes)),
            "busy": Out(1),
            "job": Out(tags.job),
            "saturated": Out(1),
        }
        if taps:
            for tap, part in (("scores_tap", self._scores), ("weights_tap", self._softmax)):
                inner = dict(part.tap.signature.members)
                members[tap] = Out(wiring.Signature(inner | {"tag": Out(tags.layout())}))
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        for part in ("query", "records", "passes", "scores", "softmax", "sum", "normalise"):
            m.submodules[part] = getattr(self, f"_{part}")
        self._streams(m)
        self._control(m)
        self._dots(m)
        self._exponents(m)
        self._sums(m)
        self._answer(m)
        self._share(m)
        if self._taps:
            self._show(m)
        return m

    def _streams(self, m: Module) -> None:
        wiring.connect(m, wiring.flipped(self.q), self._query.i)
        wiring.connect(m, wiring.flipped(self.k), self._records.k)
        wiring.connect(m, wiring.flipped(self.v), self._records.v)
        wiring.connect(m, self._records.o, wiring.flipped(self.store))
        wiring.connect(m, wiring.flipped(self.keys), self._passes.keys)
        wiring.connect(m, wiring.flipped(self.values), self._passes.values)
        wiring.connect(m, self._softmax.o, self._passes.weights)

    def _control(self, m: Module) -> None:
        """Whose turn it is: sums are kept until they are divided."""
        shape, passes = self._shape, self._passes
        position = self._query.tag.position
        final = Signal(range(max(shape.slots, 2)))
        m.d.sync += final.eq(Mux(position >= shape.slots, shape.slots - 1, position))
        sums_free = Signal(init=1)
        known = delay(m, self._query.full, 1, "known")
        m.d.comb += [
            passes.final.eq(final),
            self._scores.final.eq(final),
            self._softmax.final.eq(final),
            self._query.release.eq(passes.over),
            self._softmax.go.eq(self._scores.done),
            self._softmax.peak.eq(self._scores.peak),
            self._softmax.score.eq(self._scores.score),
            self._scores.address.eq(self._softmax.address),
            passes.values_open.eq(sums_free),
            self._normalise.go.eq(self._sum.done),
            self._normalise.totals.eq(self._softmax.totals),
        ]
        self._keys_open = self._query.full & known
        with m.If(passes.turn):
            m.d.sync += sums_free.eq(0)
        with m.If(self._normalise.done):
            m.d.sync += sums_free.eq(1)

    def _dots(self, m: Module) -> None:
        """Products of keys and queries are summed, with the exponents of both."""
        shape, passes = self._shape, self._passes
        several = shape.parts > 1
        m.submodules.adders = adders = Adders(
            shape.heads, shape.elements, 2 * MANTISSA_BITS, shape.dot_bits, several
        )
        m.submodules.dots = dots = CreditQueue(adders.sums.shape(), KEYS_AHEAD)
        m.submodules.exponents = exponents = Queue(signed(SCALE_BITS), KEYS_AHEAD)
        dot = passes.dot
        last = dot.place.part == shape.parts - 1
        wait = mac.LATENCY + adder.latency(shape.elements, several)
        m.d.comb += [
            self._query.head.eq(passes.head),
            self._query.part.eq(passes.part),
            passes.query.eq(self._query.data),
            passes.keys_open.eq(self._keys_open & dots.free),
            dots.reserve.eq(passes.header.valid),
            exponents.i.valid.eq(passes.header.valid),
            exponents.i.p.eq(passes.header.key + self._query.exponent),
            adders.valid.eq(delay(m, dot.valid, mac.LATENCY, "dot")),
            adders.first.eq(delay(m, dot.place.part == 0, mac.LATENCY, "dot_first")),
            dots.i.valid.eq(delay(m, dot.valid & last, wait, "dot_done")),
            dots.i.p.eq(adders.sums),
        ]
        for k in range(shape.products):
            m.d.comb += adders.products[k].eq(self.mul.p[k])
        scores = self._scores.i
        m.d.comb += [
            scores.valid.eq(dots.o.valid),
            scores.p.dots.eq(dots.o.p),
            scores.p.exponent.eq(exponents.o.p),
            dots.o.ready.eq(scores.ready),
            exponents.o.ready.eq(scores.ready & dots.o.valid),
        ]

    def _exponents(self, m: Module) -> None:
        """Exponents of the values, slot by slot, and the largest: the same for every head."""
        shape, header = self._shape, self._passes.header
        m.submodules.value_exponents = kept = memory.Memory(
            shape=signed(EXPONENT_BITS), depth=max(shape.slots, 2), init=[]
        )
        write, read = kept.write_port(), kept.read_port()
        self._top = top = Signal(signed(EXPONENT_BITS))
        apart = Signal(unsigned(EXPONENT_BITS + 1))
        m.d.comb += [
            write.en.eq(header.valid),
            write.addr.eq(self._passes.slot),
            write.data.eq(header.value),
            read.addr.eq(self._softmax.slot),
            apart.eq(top - read.data),
            self._softmax.down.eq(numbers.clamp_shift(apart, WHOLE_BITS)),
        ]
        first = (self._passes.slot == 0) & (self._passes.head == 0)
        with m.If(header.valid & (first | (header.value > top))):
            m.d.sync += top.eq(header.value)

    def _sums(self, m: Module) -> None:
        """Products of values and weights are summed."""
        sums, part = self._sum, self._passes.sum
        m.d.comb += [
            sums.valid.eq(delay(m, part.valid, mac.LATENCY, "sum")),
            sums.part.eq(delay(m, part.place, mac.LATENCY, "sum_part")),
            sums.read.eq(self._normalise.part),
            self._normalise.sums.eq(sums.sums),
        ]
        for k in range(self._shape.products):
            m.d.comb += sums.products[k].eq(self.mul.p[k])

    def _answer(self, m: Module) -> None:
        """Quotients, as beats of the whole vector, to Requantise."""
        shape, divided = self._shape, self._normalise
        vector = shape.job.n_head * shape.head_beats
        depth = vector + ROUNDED + mac.LATENCY + requantise.latency(shape.job.format) + 2
        m.submodules.answer = answer = Requantise(
            shape.lanes, WIDE, shape.job.format, self._tags, depth, least=vector
        )
        left = Signal(range(vector), init=vector - 1)
        m.d.comb += [
            divided.free.eq(answer.free),
            answer.reserve.eq(divided.reserve),
            answer.i.valid.eq(divided.valid),
            answer.i.p.scale.eq(self._top - (tables.UNIT - 1) - shape.job.spare_bits),
            answer.i.p.tag.eq(self._query.tag),
            answer.i.p.first.eq(left == vector - 1),
            answer.i.p.last.eq(left == 0),
        ]
        with m.If(divided.valid):
            m.d.sync += left.eq(Mux(left == 0, vector - 1, left - 1))
        for k in range(shape.lanes):
            m.d.comb += answer.i.p.data[k].eq(divided.mul.p[k])
        wiring.connect(m, answer.o, wiring.flipped(self.o))
        m.submodules.work = work = Work(self._tags.job, 4)
        work.connect(m, moved(self.q, "first"), moved(self.o, "last"), self.q.p.tag.job)
        m.d.comb += [self.busy.eq(work.busy), self.job.eq(work.job)]
        m.d.comb += self.saturated.eq(self._scores.saturated)

    def _share(self, m: Module) -> None:
        """Every user has multipliers of its own; the passes never meet."""
        m.d.comb += self.mul.valid.eq(1)
        users = (self._passes.mul, self._softmax.look, self._normalise.look, self._normalise.mul)
        at = 0
        for user in users:
            m.d.comb += user.ready.eq(1)
            for k in range(user.signature.lanes):
                m.d.comb += [
                    self.mul.a[at].eq(user.a[k]),
                    self.mul.b[at].eq(user.b[k]),
                    user.p[k].eq(self.mul.p[at]),
                ]
                at += 1

    def _show(self, m: Module) -> None:
        """Scores and weights, with the head's number in the whole vector."""
        heads = self._shape.heads
        head = Signal(range(max(self._shape.job.kv_heads, 2)))
        with m.If(self._passes.header.valid):
            m.d.sync += head.eq(self._passes.head)
        first = Array(k * heads for k in range(1 << len(head)))[head]
        for tap, part in ((self.scores_tap, self._scores), (self.weights_tap, self._softmax)):
            m.d.comb += [
                tap.valid.eq(part.tap.valid),
                tap.slot.eq(part.tap.slot),
                tap.group.eq(first + part.tap.group),
                tap.data.eq(part.tap.data),
                tap.tag.eq(self._query.tag),
            ]

"""The gated MLP: ``golden.stages.gate`` with a multiplier array that it does not own.

A beat passes the multipliers three times: interpolation of the sigmoid, gate times sigmoid, SiLU
times x.  Later passes go first, so what is inside waits for nothing that comes in.  A product is
back after mac cycles: of mac + 1 beats inside, one at least has factors to offer.

Cycles, from the acceptance of a pair of beats:
    0                   |gate| to the table's fraction, address of the table
    1                   base and slope; the interpolation is issued
    mac + 1             sigmoid, into a queue
    mac + 2             gate times sigmoid is issued
    2 mac + 2           round to the SiLU, into a queue
    2 mac + 3           SiLU times x is issued
    3 mac + 3           wide beats, into Requantise
"""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden import tables
from golden.numbers import EXPONENT_BITS, MANTISSA_BITS, Block
from golden.stage import Gate as Stage
from hdl import mac, numbers, requantise
from hdl.memory import Memories
from hdl.requantise import Requantise, wide_beat
from hdl.stream import Queue, Tags, beat, beats, delay
from hdl.table import Lookup, table_words
from hdl.units.unit import Work, check_jobs, moved

ROOM = mac.LATENCY + 1
"""Beats between the entry and their last product."""

WIDE = 2 * MANTISSA_BITS - 1
"""Width of a SiLU times an element."""

INPUT_BITS = tables.SIGMOID_FRACTION + tables.SIGMOID_RANGE_BITS

LEFT = INPUT_BITS
"""The most that |gate| is shifted left: whatever is not zero is then out of the table."""

RIGHT_BITS = 6
"""Right shift of |gate| that is already LEFT places up; the largest leaves zero."""


def latency(size: int, lanes: int) -> int:
    """Cycles from the last pair of beats accepted to the first beat at ``o``, when nothing stalls.

    The first of a round of ROOM beats is accepted while the round before is still at its last pass.
    """
    count = beats(size, lanes)
    early = ROOM - 2 if count > ROOM and count % ROOM == 1 else 0
    return 3 * ROOM + requantise.latency(Block()) + early


def image(name: str, jobs: Sequence[Sequence[Stage]], lanes: int) -> dict[str, list[int]]:
    """Words of the memories of the unit ``name``: the table, once a lane, whatever the jobs."""
    words = table_words(tables.sigmoid())
    return {f"{name}.sigmoid{k}": words for k in range(lanes)}


class Gate(wiring.Component):
    """``silu(gate) * x`` of vectors [size] in block floating point.

    Latency :func:`latency`.  Throughput: a beat every three cycles of the array.  Back-pressure:
    takes a pair of beats when ROOM are not yet inside; never drops a product.
    Tested: sizes 1 to 48, 1 to 8 lanes, all shifts of the gate, a contended array.

    Parameters
    ----------
    name, jobs, layers, lanes, tags, memories: see docs/architecture.md.

    Members
    -------
    gate: beats of ``jobs[0].gate``.  x: beats of ``jobs[0].source``; the tag is that of ``x``.
    o: beats of ``jobs[0].format``.
    mul: ``lanes`` products, three times a beat; later passes go first.
    busy, job: work is inside; the job of the oldest.
    saturated: always low, as a block never saturates.

    Raises
    ------
    ValueError
        If the jobs differ in size or kind of format, or a format is not a block of factors.
    """

    def __init__(
        self, name: str, jobs: Sequence[Stage], layers: int, lanes: int, tags: Tags,
        memories: Memories,
    ):  # fmt: skip
        check_jobs(name, jobs, ("size", "gate", "source", "format"))
        self._stage, self._lanes, self._tags = jobs[0], lanes, tags
        for form in (self._stage.gate, self._stage.source, self._stage.format):
            if not isinstance(form, Block) or form.width > MANTISSA_BITS:
                raise ValueError(f"unit {name}: a gate cannot work on {form}")
        self._lookups = [
            Lookup(tables.sigmoid(), f"{name}.sigmoid{k}", memories) for k in range(lanes)
        ]
        super().__init__(
            {
                "gate": In(stream.Signature(beat(lanes, self._stage.gate, tags))),
                "x": In(stream.Signature(beat(lanes, self._stage.source, tags))),
                "o": Out(stream.Signature(beat(lanes, self._stage.format, tags))),
                "mul": Out(mac.Multiply(lanes)),
                "busy": Out(1),
                "job": Out(tags.job),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        count = beats(self._stage.size, self._lanes)
        depth = count + ROOM - 1  # a vector, and the next beats
        factors = data.ArrayLayout(signed(MANTISSA_BITS), self._lanes)
        m.submodules.gates = gates = Queue(factors, ROOM)
        m.submodules.sigmoids = sigmoids = Queue(factors, ROOM)
        m.submodules.silus = silus = Queue(factors, ROOM)
        m.submodules.others = others = Queue(
            wide_beat(self._lanes, MANTISSA_BITS, self._tags), ROOM
        )
        m.submodules.answer = answer = Requantise(
            self._lanes, WIDE, self._stage.format, self._tags, depth, least=count
        )
        m.submodules.work = work = Work(self._tags.job, ROOM + depth + 1)

        # Passes: the latest that has its factors.  Who has room among the others has it everywhere.
        asking, ask, weigh, join = Signal(), Signal(), Signal(), Signal()
        asked, weighed, joined = (offer & self.mul.ready for offer in (ask, weigh, join))
        m.d.comb += [
            join.eq(silus.o.valid & answer.free),
            weigh.eq(sigmoids.o.valid & ~join),
            ask.eq(asking & ~weigh & ~join),
            self.mul.valid.eq(ask | weigh | join),
            gates.o.ready.eq(weighed),
            sigmoids.o.ready.eq(weighed),
            silus.o.ready.eq(joined),
            others.o.ready.eq(joined),
        ]
        turn = ~asking | asked
        enter = self._enter(m, turn & others.i.ready, gates, others)
        with m.If(turn):
            m.d.sync += asking.eq(enter)

        self._look_up(m, turn)
        for k, lookup in enumerate(self._lookups):
            a = Mux(join, silus.o.p[k], Mux(weigh, gates.o.p[k], lookup.a))
            b = Mux(join, others.o.p.data[k], Mux(weigh, sigmoids.o.p[k], lookup.b))
            m.d.comb += [self.mul.a[k].eq(a), self.mul.b[k].eq(b)]
        self._sigmoid(m, asked, turn, sigmoids)
        self._silu(m, weighed, silus)
        self._answer(m, joined, others.o.p, answer)
        work.connect(m, moved(self.x, "first"), moved(self.o, "last"), self.x.p.tag.job)
        m.d.comb += [self.busy.eq(work.busy), self.job.eq(work.job)]
        return m

    def _enter(self, m: Module, take: Value, gates: Queue, others: Queue) -> Value:
        """Keep a pair of beats that comes; whether one does."""
        gate, x, enter = self.gate, self.x, Signal()
        m.d.comb += [
            gate.ready.eq(take & x.valid),
            x.ready.eq(take & gate.valid),
            enter.eq(take & gate.valid & x.valid),
            gates.i.valid.eq(enter),
            others.i.valid.eq(enter),
            others.i.p.scale.eq(gate.p.exponent + x.p.exponent),
            others.i.p.tag.eq(x.p.tag),
            others.i.p.first.eq(x.p.first),
            others.i.p.last.eq(x.p.last),
        ]
        for k in range(self._lanes):
            m.d.comb += [gates.i.p[k].eq(gate.p.data[k]), others.i.p.data[k].eq(x.p.data[k])]
        return enter

    def _look_up(self, m: Module, turn: Value) -> None:
        """Cycle 0: the magnitude of the gate to the table's fraction, and not beyond its end."""
        gate = self.gate.p
        right, amount = Signal(signed(EXPONENT_BITS + 1)), Signal(RIGHT_BITS)
        m.d.comb += [
            right.eq(LEFT - tables.SIGMOID_FRACTION - gate.exponent),
            amount.eq(Mux(right < 0, 0, numbers.clamp_shift(right[:-1], RIGHT_BITS))),
        ]
        for k, lookup in enumerate(self._lookups):
            m.submodules[f"lookup{k}"] = lookup
            magnitude = Signal(MANTISSA_BITS, name=f"magnitude{k}")
            scaled = Signal(MANTISSA_BITS + LEFT, name=f"scaled{k}")
            m.d.comb += [
                magnitude.eq(Mux(gate.data[k] < 0, -gate.data[k], gate.data[k])),
                scaled.eq(Cat(Const(0, LEFT), magnitude) >> amount),
                lookup.x.eq(numbers.clamp_shift(scaled, INPUT_BITS)),
                lookup.en.eq(turn),
                lookup.p.eq(self.mul.p[k]),
            ]

    def _sigmoid(self, m: Module, asked: Value, turn: Value, sigmoids: Queue) -> None:
        """From the interpolation to the sigmoid: a negative gate has the complement."""
        negative = Signal(self._lanes)
        with m.If(turn):
            m.d.sync += negative.eq(Cat(x < 0 for x in self.gate.p.data))
        negative = delay(m, negative, mac.LATENCY, "negative")
        m.d.comb += sigmoids.i.valid.eq(delay(m, asked, mac.LATENCY, "asked"))
        for k, lookup in enumerate(self._lookups):
            complement = (1 << tables.UNIT) - lookup.y
            m.d.comb += sigmoids.i.p[k].eq(Mux(negative[k], complement, lookup.y))

    def _silu(self, m: Module, weighed: Value, silus: Queue) -> None:
        """From gate times sigmoid to the SiLU, in the unit of the gate."""
        m.d.comb += silus.i.valid.eq(delay(m, weighed, mac.LATENCY, "weighed"))
        for k, product in enumerate(self.mul.p):
            silu = numbers.round_half_even(m, product, tables.UNIT, f"silu{k}")
            m.d.comb += silus.i.p[k].eq(silu)

    def _answer(self, m: Module, joined: Value, other, answer: Requantise) -> None:
        """From SiLU times x to ``o``."""
        m.d.comb += [
            answer.reserve.eq(joined),
            answer.i.valid.eq(delay(m, joined, mac.LATENCY, "joined")),
            answer.i.p.tag.eq(delay(m, Value.cast(other.tag), mac.LATENCY, "tag")),
            answer.i.p.first.eq(delay(m, other.first, mac.LATENCY, "first")),
            answer.i.p.last.eq(delay(m, other.last, mac.LATENCY, "last")),
            answer.i.p.scale.eq(delay(m, other.scale, mac.LATENCY, "scale")),
        ]
        for k, product in enumerate(self.mul.p):
            m.d.comb += answer.i.p.data[k].eq(product)
        wiring.connect(m, answer.o, wiring.flipped(self.o))

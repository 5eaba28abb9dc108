"""The noise of sampling, made beside the model: ``golden.stages.sample.scaled_noise`` as a unit.

A job is one token to be sampled.  Its noise depends on (seed, sequence, position) only, so it can
be made while the model works on the token, and wait in a queue until the logits arrive.  One
generator of random words (``hdl/threefry.py``), one or two table look-ups and as many roundings
make it, however wide the beats of the logits are: two ids a cycle at the most.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from amaranth.hdl import Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden import tables
from golden.numbers import MANTISSA_BITS, Fixed
from golden.stage import Sample
from golden.stages.sample import LOGIT_FRACTION
from hdl import gumbel, mac, requantise, table, threefry
from hdl.gumbel import Bank, Gumbel
from hdl.memory import Memories
from hdl.requantise import Requantise
from hdl.stream import Queue, Tags, Widen, beat, beats

SCALE_BITS = 16
"""Width of a job's noise scale; a signed factor: the top bit must be zero (temperature < 11.5)."""

NOISE = Fixed(2 * MANTISSA_BITS - 1, 0)
"""Format of scaled noise, in units of 2**-GUARD logit units: wide enough for every product."""

NOISE_TAGS = Tags(stream=0, position=0, layer=0)

SHIFT_BITS = 6

GREEDY_LATENCY = requantise.latency(NOISE)
"""Cycles from a greedy job to its first narrow beat."""


@dataclass(frozen=True)
class Size:
    """How fast noise is made, and at what cost.

    Parameters
    ----------
    bank: how it meets the multipliers; ``bank.beat`` ids, 1 or 2, are looked up in a cycle.
    rounds, stages: of the Threefry generator.
    """

    bank: Bank
    rounds: int = 2
    stages: int = 1

    @property
    def latency(self) -> int:
        """Cycles from a job to its first group of ids, when the multipliers are free."""
        words = threefry.latency(self.rounds) + (self.bank.beats - 1) * self._word_interval
        return words + gumbel.LATENCY + GREEDY_LATENCY

    @property
    def interval(self) -> int:
        """Cycles from a beat of ids to the next, when the multipliers are free."""
        return max(self._word_interval, -(-self.bank.interval // self.bank.beats))

    @property
    def _word_interval(self) -> int:
        """Cycles from a beat of random words to the next; the mean, rounded up."""
        return -(-threefry.interval(self.rounds, self.stages) * self.bank.beat // 2)

    def cycles(self, n_vocab: int) -> int:
        """Cycles from a job to its last beat, at the most, when the multipliers are free."""
        return self.latency + (beats(n_vocab, self.bank.beat) - 1) * self.interval


def default_size(lanes: int) -> Size:
    """The smallest generator for a sampler of ``lanes``."""
    narrow = min(lanes, 2)
    return Size(Bank(narrow, narrow, narrow))


def job_layout(position_bits: int) -> data.StructLayout:
    """One token to be sampled: position, the two words of the key, and the scale (0: greedy)."""
    return data.StructLayout(
        {
            "position": unsigned(position_bits),
            "seed": unsigned(threefry.WORD),
            "sequence": unsigned(threefry.WORD),
            "noise_scale": unsigned(SCALE_BITS),
        }
    )


def noise_beat(lanes: int) -> data.StructLayout:
    """A beat of scaled noise; its tag says nothing."""
    return beat(lanes, NOISE, NOISE_TAGS)


def shift(stage: Sample) -> int:
    """The right shift of noise to logits; ValueError if it would be a left one."""
    right = min(LOGIT_FRACTION - stage.source.fraction, (1 << SHIFT_BITS) - 1)  # that leaves none
    if right < 0:
        raise ValueError(f"{stage.name}: logits {stage.source} need a noise shift of {right}")
    return right


def image(name: str, stage: Sample, lanes: int) -> Mapping[str, list[int]]:
    """Words of the memories of a Noise called ``name``; ValueError as :func:`shift`."""
    words = table.table_words(tables.gumbel())
    narrow = default_size(lanes).bank.beat
    return {f"{name}.shift": [shift(stage)]} | {f"{name}.gumbel{k}": words for k in range(narrow)}


class Noise(wiring.Component):
    """Scaled Gumbel noise of every token id, in the order of the ids, ``lanes`` ids a beat.

    Jobs are answered in their order: issue them in the order in which the tokens to be sampled are
    accepted by the core, for that is the order in which their logits arrive.  A job is taken
    (``jobs.ready``) when its last id has been made.  A scale of 0 is answered with zeros,
    ``size.bank.beat`` ids a cycle, without engine and multipliers.

    Latency and throughput: see Size; beats of more ids than are looked up in a cycle wait a cycle.
    Back-pressure: room is reserved before the multipliers are asked, so neither a full queue nor a
    busy array loses anything.
    Tested: 1 to 8 lanes, 1 to 45 ids, all scales and formats that ``image`` takes, a starved array.

    Parameters
    ----------
    name: of the memories ``<name>.shift`` and ``<name>.gumbel<k>``.
    n_vocab: ids.  lanes: 1, 2, 4, 8...  position_bits: width of a job's position, up to 32.
    depth: of the queue, in ids.  size: of the generator; None: the smallest.

    Members
    -------
    jobs: stream of ``job_layout(position_bits)``.  o: stream of ``noise_beat(lanes)``.
    mul: multipliers; may be starved for any time.  busy: a job is being worked on.

    Raises
    ------
    ValueError: lanes not a power of two; a size whose beats are not 2 ids (1, with one lane);
    position_bits over 32; n_vocab or depth below 1.
    """

    def __init__(
        self, name: str, n_vocab: int, lanes: int, position_bits: int, depth: int,
        memories: Memories, size: Size | None = None,
    ):  # fmt: skip
        if lanes < 1 or lanes & (lanes - 1):
            raise ValueError(f"{name}: {lanes} lanes are not a power of two")
        if position_bits > threefry.WORD or min(n_vocab, depth) < 1:
            raise ValueError(f"{name}: {n_vocab=}, {depth=}, {position_bits=} (up to 32)")
        self._size = size = size or default_size(lanes)
        self._narrow = narrow = size.bank.beat
        if narrow != min(lanes, 2):
            raise ValueError(f"{name}: beats of {narrow} ids do not suit {lanes} lanes")
        self._n_vocab, self._lanes, self._depth = n_vocab, lanes, depth
        self._beats = beats(n_vocab, narrow)
        self._shift = memories.rom(f"{name}.shift", SHIFT_BITS, 1, synchronous=False)
        self._gumbel = Gumbel(name, size.bank, memories)
        super().__init__(
            {
                "jobs": In(stream.Signature(job_layout(position_bits))),
                "o": Out(stream.Signature(noise_beat(lanes))),
                "mul": Out(mac.Multiply(size.bank.multipliers)),
                "busy": Out(1),
            }
        )

    @property
    def _room(self) -> int:
        """Narrow beats of room behind the multipliers; without a wide queue, that of all noise.

        At least a group, for room is reserved before a group is whole.
        """
        size = self._size
        if self._lanes > self._narrow:
            return size.bank.beats + gumbel.LATENCY + GREEDY_LATENCY
        return max(beats(self._depth, self._narrow), size.bank.beats)

    def elaborate(self, platform):
        m = Module()
        m.submodules.shift = self._shift
        m.submodules.gumbel = made = self._gumbel
        m.submodules.scaled = scaled = Requantise(
            self._narrow, 2 * MANTISSA_BITS, NOISE, NOISE_TAGS, self._room
        )
        job, zeros = self.jobs.p, Signal()
        greedy = job.noise_scale == 0
        m.d.comb += [
            self.busy.eq(self.jobs.valid),
            zeros.eq(self.jobs.valid & greedy & scaled.free),
            scaled.reserve.eq(made.reserve | zeros),
            made.free.eq(scaled.free),
            made.scale.eq(job.noise_scale),
        ]
        wiring.connect(m, made.mul, wiring.flipped(self.mul))
        self._random_words(m, self.jobs.valid & ~greedy)
        self._answer(m, scaled, zeros)
        answer = scaled.o
        if self._lanes > self._narrow:
            m.submodules.widen = widen = Widen(
                NOISE, self._narrow, self._lanes, NOISE_TAGS, self._n_vocab
            )
            depth = beats(self._depth, self._lanes)
            m.submodules.queue = queue = Queue(widen.o.p.shape(), depth)
            wiring.connect(m, answer, widen.i)
            wiring.connect(m, widen.o, queue.i)
            answer = queue.o
        wiring.connect(m, answer, wiring.flipped(self.o))
        return m

    def _random_words(self, m: Module, wanted: Value):
        """Pair after pair of words, one or two a beat."""
        calls, job = beats(self._n_vocab, 2), self.jobs.p
        sent = Signal(range(calls + 1))
        m.submodules.engine = engine = threefry.Threefry(self._size.rounds, self._size.stages)
        words = self._gumbel.i
        place = Signal(range(self._beats))
        final = place == self._beats - 1
        done = self.jobs.valid & self.jobs.ready
        m.d.comb += [
            engine.key0.eq(job.seed),
            engine.key1.eq(job.sequence),
            engine.i.valid.eq(wanted & (sent != calls)),
            engine.i.p.counter0.eq(job.position),
            engine.i.p.counter1.eq(sent),
            words.valid.eq(engine.o.valid),
            words.p.final.eq(final),
        ]
        m.d.sync += sent.eq(Mux(done, 0, sent + (engine.i.valid & engine.i.ready)))
        with m.If(words.valid & words.ready):
            m.d.sync += place.eq(Mux(final, 0, place + 1))
        pair = engine.o.p
        if self._narrow == 2:
            m.d.comb += [words.p.words[0].eq(pair.word0), words.p.words[1].eq(pair.word1)]
            m.d.comb += engine.o.ready.eq(words.ready)
            return
        half = place[0] if len(place) else Const(0, 1)  # an odd last word has no partner
        m.d.comb += [
            words.p.words[0].eq(Mux(half, pair.word1, pair.word0)),
            engine.o.ready.eq(words.ready & (half | final)),
        ]

    def _answer(self, m: Module, scaled: Requantise, zeros: Value):
        """Beats to be rounded: products or zeros; ids past the vocabulary are zero."""
        count = Signal(range(self._beats))
        last = count == self._beats - 1
        wide = scaled.i
        m.d.comb += [
            wide.valid.eq(self._gumbel.valid | zeros),
            wide.p.scale.eq(self._shift.data),
            wide.p.first.eq(count == 0),
            wide.p.last.eq(last),
            self.jobs.ready.eq(wide.valid & last),
        ]
        for k in range(self._narrow):
            past = last if (self._beats - 1) * self._narrow + k >= self._n_vocab else 0
            m.d.comb += wide.p.data[k].eq(Mux(zeros | past, 0, self._gumbel.products[k]))
        with m.If(wide.valid):
            m.d.sync += count.eq(Mux(last, 0, count + 1))

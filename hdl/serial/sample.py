"""Steps of sampling: id by id, a random word becomes noise and races with its logit."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden import tables
from golden.stages.sample import GUARD
from hdl.lean_threefry import LeanThreefry
from hdl.noise import job_layout
from hdl.norm_image import LEFT
from hdl.serial.datapath import A, B, Function, Held, Rounding
from hdl.serial.steps import Steps, factor
from hdl.stream import beats
from hdl.threefry import WORD

OCTAVES = 31
"""Doublings of a random word, at the most."""


class Words(wiring.Component):
    """Random words of a job, id by id; made ahead while there is a job.

    Members
    -------
    jobs: of the noise; taken when ``done``.  o: words.  done: the last one has been used.
    """

    def __init__(self, n_vocab: int, position_bits: int):
        self._n_vocab = n_vocab
        super().__init__(
            {
                "jobs": In(stream.Signature(job_layout(position_bits))),
                "o": Out(stream.Signature(WORD)),
                "done": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.engine = engine = LeanThreefry()
        job, calls = self.jobs.p, beats(self._n_vocab, 2)
        sent, half = Signal(range(calls + 1)), Signal()
        stale = self.jobs.valid & self.done  # a word too many is left when ids are odd
        m.d.comb += [
            engine.key0.eq(job.seed),
            engine.key1.eq(job.sequence),
            engine.i.valid.eq(self.jobs.valid & job.noise_scale.any() & (sent != calls)),
            engine.i.p.counter0.eq(job.position),
            engine.i.p.counter1.eq(sent),
            engine.o.ready.eq((self.o.ready & half) | stale),
            self.jobs.ready.eq(self.done),
            self.o.valid.eq(engine.o.valid),
            self.o.p.eq(Mux(half, engine.o.p.word1, engine.o.p.word0)),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += half.eq(~half)
        with m.If(engine.i.valid & engine.i.ready):
            m.d.sync += sent.eq(sent + 1)
        with m.If(stale):
            m.d.sync += [sent.eq(0), half.eq(0)]
        return m


class Sample:
    """The states of sampling, and its registers.

    Parameters
    ----------
    steps: of the core.  words, scale: random words; the noise scale, 0 if greedy.

    Members
    -------
    racing: an answer that is emitted races.  token: the winner so far.
    """

    def __init__(self, steps: Steps, words: Words, scale: Value, token: Signal):
        self.steps, self.words, self.scale, self.token = steps, words, scale, token
        self.side, self.racing = Signal(), Signal()

    def states(self) -> None:
        """Add the states, from ``SAMPLE`` to ``NEXT``."""
        m, path, steps, words = self.steps.m, self.steps.path, self.steps, self.words
        greedy = self.scale == 0
        kept = tables.GUMBEL_SEGMENT_BITS + tables.GUMBEL_LOW_BITS
        with m.State("SAMPLE"):
            m.d.sync += [steps.leading.eq(OCTAVES), *steps.set(store=0, race=1)]
            word, side = words.o.p[:-1], words.o.p[-1]
            z = Cat(Const(1, 1), word ^ side.replicate(WORD - 1))
            with m.If(greedy):
                m.d.comb += [path.load.eq(1), path.loaded.eq(0)]
                m.next = "LOGIT"
            with m.Elif(words.o.valid):
                m.d.comb += [
                    words.o.ready.eq(1),
                    path.load.eq(1),
                    path.loaded.eq(z << (steps.shape.top - WORD + 1)),
                ]
                m.d.sync += self.side.eq(side)
                m.next = "OCTAVE"
        steps.normalise("OCTAVE", "GUMBEL", lambda: [
            steps.at.eq(Cat(steps.below_leading(kept), ~steps.leading[:5], self.side)),
            *steps.ask(Function.GUMBEL),
        ])  # fmt: skip
        steps.look_up("GUMBEL", "NOISE", [
            *steps.set(
                a=A.ANSWER, b=B.FACTOR, factor=factor(self.scale), shift=steps.row.shift,
                rounding=Rounding.EVEN, held=Held.WORD,
            ),
        ])  # fmt: skip
        steps.answered("NOISE", "ADD", first=1)
        with m.State("ADD"):
            m.d.comb += [path.load.eq(1), path.loaded.eq(path.answer)]
            m.next = "LOGIT"
        with m.State("LOGIT"):
            m.d.sync += steps.set(
                a=A.VALUE, b=B.FACTOR, factor=1 << GUARD, shift=LEFT, held=Held.WORD
            )
            m.next = "RACE"
        with m.State("RACE"):
            m.d.comb += steps.take(emit=1)
            m.d.sync += steps.read.eq(steps.read + 1)
            m.next = "RACE_WAIT"
        with m.State("RACE_WAIT"):
            m.d.comb += self.racing.eq(1)
            with m.If(path.emitted):
                m.d.sync += steps.i.eq(steps.i + 1)
                with m.If(path.best | path.above):
                    m.d.sync += self.token.eq(steps.i)
                m.next = "SAMPLE"
                with m.If(steps.i == steps.row.n):
                    m.d.comb += words.done.eq(1)
                    m.next = "NEXT"

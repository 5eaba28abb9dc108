"""Sampling: the largest of logit + noise, ``golden.stages.sample`` with the noise made elsewhere.

A tree of comparisons finds the winner of a beat, one more comparison the winner of the vector:

    cycle 0       logit + noise, first level of the tree (one lane: the comparison with the best)
    cycle 1, ...  two levels a cycle; the last level is the comparison with the best so far
    then          token and tag at ``o``
"""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.numbers import MANTISSA_BITS, Fixed
from golden.stage import Sample as Stage
from golden.stages.sample import GUARD
from hdl import noise
from hdl.memory import Memories
from hdl.stream import Tags, beat, beats
from hdl.units.unit import Work, check_jobs, moved

RACE_BITS = max(MANTISSA_BITS + GUARD, noise.NOISE.width) + 1
"""Width of logit + noise: exact."""


def latency(lanes: int) -> int:
    """Cycles from the last beat of the logits to the token."""
    levels = (lanes - 1).bit_length() + 1
    return 1 + levels // 2


def token_bits(n_vocab: int) -> int:
    """Width of a token id."""
    return max((n_vocab - 1).bit_length(), 1)


def answer_layout(n_vocab: int, tags: Tags) -> data.StructLayout:
    """What a core answers for a token: the next one (when ``tag.sample``) and the token's tag."""
    return data.StructLayout({"token": unsigned(token_bits(n_vocab)), "tag": tags.layout()})


def noise_name(name: str) -> str:
    """Name of the Noise that belongs to the sampler ``name``."""
    return f"{name}.noise"


def image(name: str, jobs: Sequence[Sequence[Stage]], lanes: int) -> dict[str, list[int]]:
    """Words of the memories of the sampler ``name`` and of its Noise; stages [job][layer]."""
    return dict(noise.image(noise_name(name), jobs[0][0], lanes))


class Sample(wiring.Component):
    """The id of the largest logit + noise of a vector [n_vocab]; ties go to the lowest id.

    Latency ``latency(lanes)``: 1 with one lane, 2 up to 4 lanes, 3 up to 16.  Throughput one beat a
    cycle.  Back-pressure: a token that is not taken stops the unit.  The k-th vector of logits
    meets the k-th vector of noise: noise jobs must be issued in the order in which the tokens to be
    sampled enter the core, which is in order from end to end.  What fills the last beat never wins.
    Tested: 1 to 8 lanes, up to 1000 ids, ties, extremes.

    Parameters
    ----------
    name, jobs, layers, lanes, tags, memories: see docs/architecture.md; one job, no memory.

    Members
    -------
    i: beats of the logits, Fixed(16).  noise: beats of ``hdl.noise.noise_beat(lanes)``.
    o: stream of struct (token, tag).
    busy, job: work is inside; the job of the oldest.  saturated: never (the race is exact).

    Raises
    ------
    ValueError: not exactly one job; logits that are not Fixed(16); lanes not a power of two.
    """

    def __init__(
        self, name: str, jobs: Sequence[Stage], layers: int, lanes: int, tags: Tags,
        memories: Memories,
    ):  # fmt: skip
        check_jobs(name, jobs, ("n_vocab", "source"))
        form = jobs[0].source
        if len(jobs) != 1 or not isinstance(form, Fixed) or form.width != MANTISSA_BITS:
            raise ValueError(f"unit {name}: samples one job of Fixed(16) logits, not {jobs}")
        if lanes & (lanes - 1):
            raise ValueError(f"unit {name}: {lanes} lanes are not a power of two")
        self._n_vocab, self._lanes, self._tags = jobs[0].n_vocab, lanes, tags
        super().__init__(
            {
                "i": In(stream.Signature(beat(lanes, form, tags))),
                "noise": In(stream.Signature(noise.noise_beat(lanes))),
                "o": Out(stream.Signature(answer_layout(self._n_vocab, tags))),
                "busy": Out(1),
                "job": Out(tags.job),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        i, o = self.i, self.o
        move, go = Signal(), Signal()
        m.submodules.work = work = Work(self._tags.job, latency(self._lanes) + 2)
        work.connect(m, moved(i, "first"), o.valid & o.ready, i.p.tag.job)
        m.d.comb += [
            self.busy.eq(work.busy),
            self.job.eq(work.job),
            move.eq(~o.valid | o.ready),
            go.eq(i.valid & self.noise.valid & move),
            i.ready.eq(self.noise.valid & move),
            self.noise.ready.eq(i.valid & move),
        ]
        count = Signal(range(beats(self._n_vocab, self._lanes)))
        with m.If(go):
            m.d.sync += count.eq(Mux(i.p.last, 0, count + 1))
        self._tree(m, move, Cat(go, i.p.first, i.p.last, count, i.p.tag), len(count))
        return m

    def _tree(self, m: Module, move: Signal, marks: Value, count_bits: int):
        """Levels of comparisons with registers between them, down to the token."""
        lane_bits = (self._lanes - 1).bit_length()
        racers = [self._racer(m, k) for k in range(self._lanes)]
        for level in range(lane_bits):
            racers = [
                self._better(m, racers[k], racers[k + 1], self._past(marks[2], (k + 1) << level))
                for k in range(0, len(racers), 2)
            ]
            if level % 2 == 0:  # a register behind levels 0, 2, ...
                racers, marks = self._registered(m, move, racers, marks, f"level{level}")
        race, lane = racers[0]
        go, first, last = marks[0], marks[1], marks[2]
        count, tag = marks[3 : 3 + count_bits], marks[3 + count_bits :]
        best, best_id = Signal(signed(RACE_BITS)), Signal(token_bits(self._n_vocab))
        wins, token = Signal(), Signal.like(best_id)
        m.d.comb += [
            wins.eq(first | (race > best)),
            token.eq(Mux(wins, Cat(lane, count), best_id)),
        ]
        with m.If(move):
            m.d.sync += self.o.valid.eq(go & last)
        with m.If(move & go):
            m.d.sync += [best_id.eq(token), self.o.p.token.eq(token), self.o.p.tag.eq(tag)]
            with m.If(wins):
                m.d.sync += best.eq(race)

    def _racer(self, m: Module, k: int) -> tuple[Value, Value]:
        """(logit + noise of lane ``k``, its number inside of the beat: no bits yet)."""
        race = Signal(signed(RACE_BITS), name=f"race{k}")
        m.d.comb += race.eq((self.i.p.data[k] << GUARD) + self.noise.p.data[k])
        return race, Const(0, 0)

    def _past(self, last: Value, lane: int) -> Value:
        """Whether ``lane`` and all above are past the vocabulary in this beat."""
        final = (beats(self._n_vocab, self._lanes) - 1) * self._lanes
        return last if final + lane >= self._n_vocab else Const(0, 1)

    def _better(self, m: Module, low, high, past: Value) -> tuple[Value, Value]:
        """The larger of two racers and its number; the lower one when they are equal."""
        wins = Signal()
        m.d.comb += wins.eq((high[0] > low[0]) & ~past)
        return Mux(wins, high[0], low[0]), Cat(Mux(wins, high[1], low[1]), wins)

    def _registered(self, m: Module, move: Signal, racers, marks: Value, name: str):
        kept = []
        for k, (race, lane) in enumerate(racers):
            held = Signal(signed(RACE_BITS), name=f"{name}_race{k}")
            number = Signal(len(lane), name=f"{name}_lane{k}")
            kept.append((held, number))
            with m.If(move):
                m.d.sync += [held.eq(race), number.eq(lane)]
        kept_marks = Signal(len(marks), name=f"{name}_marks")
        with m.If(move):
            m.d.sync += kept_marks.eq(marks)
        return kept, kept_marks

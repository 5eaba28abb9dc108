"""RMS normalisation: ``golden.stages.norm`` with a multiplier array that it does not own.

The squares are formed as the beats arrive; epsilon is what the sum starts from.  The sum's leading
one tells the power of two, the bits below it address the table of the reciprocal root, and its
answer is a factor in the cycle in which it comes back.

Cycles, from the acceptance of the last beat (S = square_sum.cycles(lanes)):
    0                   the beat enters; who uses the multipliers does not hang on who sends it
    1                   squares are issued, the beat is kept
    mac + 1             squares come back; S cycles of additions, the last one onto the sum
    mac + S + 1         leading one, normalisation, address of the table
    mac + S + 2         base and slope; the interpolation is issued
    2 mac + S + 2       root; the first beat is scaled
    3 mac + S + 2       wide beats, into Requantise
With gains (G = gain.LATENCY) products meet them behind the array: into Requantise G cycles later.
"""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden import tables
from golden.numbers import MANTISSA_BITS, Block, Fixed, Format
from golden.stage import Norm as Stage
from hdl import epsilon, gain, mac, numbers, requantise, square_sum
from hdl.epsilon import AlignEpsilon
from hdl.memory import Memories
from hdl.norm_image import EPSILON_BITS, LEFT, image, row_layout
from hdl.norm_turns import Turns
from hdl.requantise import SCALE_BITS, Requantise
from hdl.square_sum import SquareSum
from hdl.stream import Queue, Tags, beat, beats, delay
from hdl.table import Lookup
from hdl.units.unit import SHIFT, Work, check_jobs, moved, parameter_rom, row_address

__all__ = ["Norm", "image", "interval", "latency"]

WIDE = 2 * MANTISSA_BITS - 1
"""Width of an element times the root."""


def latency(size: int, lanes: int, form: Format, gained: bool = False) -> int:
    """Cycles from the last beat accepted to the first beat at ``o``, when nothing stalls it."""
    collect = beats(size, lanes) - 1 if isinstance(form, Block) else 0
    behind = gain.LATENCY * gained + requantise.latency(form) + collect
    return 3 * mac.LATENCY + square_sum.cycles(lanes) + 2 + behind


def interval(size: int, lanes: int) -> int:
    """The most cycles from a vector to the next, on average, when nothing else stalls them."""
    count = beats(size, lanes)
    return max(2 * count + 1, count + mac.LATENCY + square_sum.cycles(lanes) + 2)


class Norm(wiring.Component):
    """``x / sqrt(mean(x**2) + eps)`` of vectors [size], times gains if the jobs have such.

    Latency :func:`latency`.  Throughput: a vector every :func:`interval` cycles, its beats at up
    to one a cycle.  Back-pressure: holds ``i`` when two vectors are inside; never drops a product.
    A beat is scaled when its gains are there; those of later vectors may wait.
    Tested: sizes 1 to 48, 1 to 16 lanes, all formats, a contended array, gains that come late.

    Parameters
    ----------
    name, jobs, layers, lanes, tags, memories: see docs/architecture.md.

    Members
    -------
    i: beats of ``jobs[0].source``.  o: beats of ``jobs[0].format``.
    gains: if the jobs have gains, theirs: a beat of ``lanes`` for every beat, vector by vector.
    mul: ``lanes`` products: squares, interpolation (lane 0), scaling; scaling goes first.
    busy, job: work is inside; the job of the oldest.
    saturated: an element was held to the range of the format (one cycle).

    Raises
    ------
    ValueError
        If the jobs differ in size, kind of format or whether they have gains, or a source is
        wider than a factor.
    """

    def __init__(
        self, name: str, jobs: Sequence[Stage], layers: int, lanes: int, tags: Tags,
        memories: Memories,
    ):  # fmt: skip
        check_jobs(name, jobs, ("size", "source", "format", "gain"))
        self._stage, self._lanes, self._tags = jobs[0], lanes, tags
        self._rows = len(jobs), layers
        stage = self._stage
        if stage.source.width > MANTISSA_BITS:
            raise ValueError(f"{stage.name}: {stage.source} is wider than a factor")
        self._parameters = parameter_rom(memories, name, row_layout(stage).size, *self._rows)
        self._lookup = Lookup(tables.root(stage.size), f"{name}.root", memories)
        self._gained, fixed = stage.gain is not None, isinstance(stage.format, Fixed)
        self._gains = data.ArrayLayout(signed(MANTISSA_BITS), lanes)
        self._wide = WIDE + MANTISSA_BITS * self._gained + LEFT * fixed
        self._late = mac.LATENCY + gain.LATENCY * self._gained  # from a beat scaled to Requantise
        super().__init__(
            {
                "i": In(stream.Signature(beat(lanes, stage.source, tags))),
                "o": Out(stream.Signature(beat(lanes, stage.format, tags))),
                "mul": Out(mac.Multiply(lanes)),
                "busy": Out(1),
                "job": Out(tags.job),
                "saturated": Out(1),
                **({"gains": In(stream.Signature(self._gains))} if self._gained else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.entry = entry = Queue(self.i.p.shape(), 2)
        wiring.connect(m, wiring.flipped(self.i), entry.i)
        self._beat = i = entry.o.p
        stage, ready, count = self._stage, self.mul.ready, beats(self._stage.size, self._lanes)
        depth = count + self._late + requantise.latency(stage.format) + 1
        m.submodules.parameters = self._parameters
        m.submodules.turns = turns = Turns()
        m.submodules.kept = kept = Queue(
            beat(self._lanes, Fixed(stage.source.width, 0), self._tags), 2 * count
        )
        m.submodules.sum = squares = SquareSum(self._lanes, stage.square_bits)
        m.submodules.work = work = Work(self._tags.job, depth + 6)

        # Turns: squares of a beat that is also kept, the root of a vector, or its scaled beats.
        squared, asked, scaled = turns.square & ready, turns.ask & ready, turns.scale & ready
        sum_cycles = square_sum.cycles(self._lanes)
        total_comes = delay(m, squared & i.last, mac.LATENCY + sum_cycles, "total")
        root_soon = delay(m, asked, mac.LATENCY - 1, "root")
        root_comes = delay(m, root_soon, 1, "root_comes")
        m.d.comb += [
            entry.o.ready.eq(ready & kept.i.ready & turns.open),
            self.mul.valid.eq(turns.square | turns.ask | turns.scale),
            turns.ready.eq(ready),
            turns.beat.eq(entry.o.valid & kept.i.ready),
            turns.beat_last.eq(i.last),
            turns.total.eq(total_comes),
            turns.root.eq(root_soon),
            turns.kept_last.eq(kept.o.p.last),
            kept.i.valid.eq(squared),
            kept.i.p.data.eq(i.data),
            kept.i.p.tag.eq(i.tag),
            kept.i.p.first.eq(i.first),
            kept.i.p.last.eq(i.last),
            kept.o.ready.eq(scaled),
        ]

        start, offset = self._row(m)
        m.d.comb += [
            squares.squares.eq(self.mul.p),
            squares.valid.eq(delay(m, squared, mac.LATENCY, "squared")),
            squares.first.eq(delay(m, i.first, mac.LATENCY, "square_first")),
            squares.start.eq(start),
        ]
        root, scale = self._root(m, squares.total, total_comes, root_comes, offset)
        self._factors(m, turns, kept.o.p, root)
        there, products = self._products(m, scaled)
        free = self._answer(m, scaled, kept.o.p, products, scale, depth)
        m.d.comb += turns.free.eq(there & free)
        work.connect(m, moved(self.i, "first"), moved(self.o, "last"), self.i.p.tag.job)
        m.d.comb += [self.busy.eq(work.busy), self.job.eq(work.job)]
        return m

    def _row(self, m: Module) -> tuple[Value, Value]:
        """(epsilon, when a beat is added to the sum; ``scale`` without the root's, a cycle later).

        The row is read as late as it can be.
        """
        stage = self._stage
        late = mac.LATENCY + square_sum.cycles(self._lanes) - 1
        fixed = isinstance(stage.source, Fixed)
        wait = late - (1 if fixed else epsilon.LATENCY)
        address = row_address(self._beat.tag, *self._rows)
        m.d.comb += self._parameters.addr.eq(delay(m, address, wait, "row"))
        row = row_layout(stage)(self._parameters.data)
        offset = Const(tables.norm_exponent(stage.size) - tables.UNIT, SHIFT)
        if isinstance(stage.format, Fixed):
            offset = delay(m, row.right, late + 1 - wait, "offset") + LEFT
        elif self._gained:
            offset = delay(m, row.gain, late + 1 - wait, "offset") + offset
        if fixed:
            return delay(m, row.epsilon, 1, "epsilon"), offset
        shift = row.exponent - (delay(m, self._beat.exponent, wait, "exponent") << 1)
        m.submodules.align = align = AlignEpsilon(EPSILON_BITS, shift.shape(), stage.square_bits)
        m.d.comb += [align.mantissa.eq(row.epsilon), align.shift.eq(shift)]
        return align.epsilon, offset

    def _root(
        self, m: Module, total: Value, total_comes: Value, root_comes: Value, offset: Value
    ) -> tuple[Value, Value]:
        """(reciprocal root of a total, as it comes and after; ``scale`` of its answer, from then).

        The next total may be looked up while this root is in use.
        """
        m.submodules.lookup = lookup = self._lookup
        place = numbers.leading_one(m, total, "total")
        normal = numbers.normalise_left(m, total, place, "total")
        m.d.comb += [
            lookup.en.eq(total_comes),
            lookup.x.eq(Cat(normal[-16:-1], place[0])),
            lookup.p.eq(self.mul.p[0]),
        ]
        scale, scale_held = Signal(signed(SCALE_BITS)), Signal(signed(SCALE_BITS))
        half = place[1:] if isinstance(self._stage.format, Fixed) else -place[1:]
        with m.If(total_comes):
            m.d.sync += scale.eq(offset + half)
        root_held, held = Signal(MANTISSA_BITS), scale
        if isinstance(self._stage.format, Fixed):
            held = requantise.right_shift(scale, self._wide)
        with m.If(root_comes):
            m.d.sync += [root_held.eq(lookup.y), scale_held.eq(held)]
        return Mux(root_comes, lookup.y, root_held)[:MANTISSA_BITS], scale_held

    def _factors(self, m: Module, turns: Turns, kept, root: Value) -> None:
        """Beat times beat, slope times low bits (lane 0), or kept beat times root."""
        x, lookup = self._beat.data, self._lookup
        for k in range(self._lanes):
            a, b = (lookup.a, lookup.b) if k == 0 else (0, 0)
            m.d.comb += [
                self.mul.a[k].eq(Mux(turns.scale, kept.data[k], Mux(turns.ask, a, x[k]))),
                self.mul.b[k].eq(Mux(turns.scale, root, Mux(turns.ask, b, x[k]))),
            ]

    def _products(self, m: Module, scaled: Value) -> tuple[Value, list[Value]]:
        """(whether a beat may be scaled, what becomes of it, ``_late`` cycles later)."""
        products = [self.mul.p[k][:WIDE].as_signed() for k in range(self._lanes)]
        if not self._gained:
            return Const(1), products
        m.submodules.gains = kept = Queue(self._gains, 2)
        wiring.connect(m, wiring.flipped(self.gains), kept.i)
        m.d.comb += kept.o.ready.eq(scaled)
        gains = [delay(m, g, mac.LATENCY, f"gain{k}") for k, g in enumerate(kept.o.p)]
        return kept.o.valid, gain.multiply(m, products, gains)

    def _answer(
        self, m: Module, scaled: Value, kept, products: list[Value], scale: Value, depth: int
    ) -> Value:
        """From scaled beats to ``o``; returns whether there is room for one more."""
        late, count = self._late, beats(self._stage.size, self._lanes)
        form = self._stage.format
        answer = Requantise(self._lanes, self._wide, form, self._tags, depth, least=count)
        m.submodules.answer = answer
        m.d.comb += [
            answer.reserve.eq(scaled),
            answer.i.valid.eq(delay(m, scaled, late, "scaled")),
            answer.i.p.tag.eq(delay(m, Value.cast(kept.tag), late, "tag")),
            answer.i.p.first.eq(delay(m, kept.first, late, "first")),
            answer.i.p.last.eq(delay(m, kept.last, late, "last")),
            answer.i.p.scale.eq(delay(m, scale, late - mac.LATENCY, "scale")),
            self.saturated.eq(answer.saturated),
        ]
        left = LEFT * isinstance(self._stage.format, Fixed)
        for k, product in enumerate(products):
            m.d.comb += answer.i.p.data[k].eq(product << left)
        wiring.connect(m, answer.o, wiring.flipped(self.o))
        return answer.free

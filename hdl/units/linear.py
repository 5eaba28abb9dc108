"""Matrix times vector: ``golden.stages.linear`` with a multiplier array that it does not own.

The vector is kept and read again for every group of ``rows`` outputs; the first group is computed
as the beats arrive.

Cycles, for groups of ``n`` beats (A = adder.latency(lanes, n > 1)):
    0                   the first beat is accepted and weights are asked for
    g n + 1 + k         beat k of group g is issued
    (g + 1) n + mac     the last products of group g come back; A cycles of additions
    (g + 1) n + mac + A             wide beat g, into Requantise
    (g + 1) n + mac + A + 2         beat g at ``o`` (Block: groups n + mac + A + 3 + g)

When one matrix is all the unit has, its weights wait for the vector: all is a cycle earlier.
"""

from collections.abc import Sequence

from amaranth.hdl import Module, Shape, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.numbers import MANTISSA_BITS, Block, Fixed, Format
from golden.stage import Linear as Stage
from hdl import adder, mac, requantise
from hdl.adder import Adders
from hdl.memory import Memories
from hdl.replay import Replay
from hdl.requantise import SCALE_BITS, Requantise
from hdl.stream import Tags, beat, delay
from hdl.units.matrices import Geometry, image
from hdl.units.unit import Work, check_jobs, moved, parameter_rom, row_address, row_count
from hdl.weights import weight_source

__all__ = ["Linear", "image", "latency"]

VECTORS = 2
"""Vectors that are kept: one is computed, one arrives."""


def latency(groups: int, beats: int, lanes: int, form: Format, known: bool, several: bool) -> int:
    """Cycles from the first beat accepted to the first beat at ``o``, when nothing stalls.

    The vector arrives in ``beats`` and leaves in ``groups``.  ``known``: one matrix is all the unit
    has.  ``several``: a vector of some job has several beats.
    """
    collect = groups if isinstance(form, Block) else 1
    issue = collect * beats - 1 + (0 if known else 1)
    return issue + mac.LATENCY + adder.latency(lanes, several) + requantise.latency(form)


class Linear(wiring.Component):
    """``weights @ x`` of one or more matrices, ``lanes`` inputs and ``rows`` outputs a cycle.

    Latency :func:`latency`, see :meth:`cycles`.  Throughput: lanes * rows products a cycle, without
    a pause between groups, vectors or jobs.  Back-pressure: holds ``i`` when two vectors are kept;
    issues a beat only when there is room for the answer of its group.
    Tested: 1 to 64 inputs and outputs, 1 to 16 lanes and rows, all formats, a contended array.

    Parameters
    ----------
    name, jobs, tags, memories: see docs/architecture.md.
    layers: of the model that the unit serves: a number, or one for each job.
    lanes, rows: elements of a beat at ``i`` and at ``o``; powers of two.
    source: where weights come from (hdl.weights.SOURCES).
    orders: hdl.weights.Order of every job; None (or an entry None) is the natural order.

    Members
    -------
    i: beats of the jobs' source.  o: beats of their format; filled with zeros to whole beats.
    mul: lanes * rows products; product ``row * lanes + k``.
    requests, weights: of words and the words, with the source ``stream`` only (StreamSource).
    busy, job: work is inside; the job of the oldest.
    saturated: an element was held to the range of the format (one cycle).

    Raises
    ------
    ValueError
        If the jobs differ in format or width of weights, lanes or rows are no power of two, a
        factor is wider than a multiplier's, or there is no such weight source.
    """

    def __init__(
        self, name: str, jobs: Sequence[Stage], layers: int | Sequence[int], lanes: int, rows: int,
        tags: Tags, memories: Memories, source: str = "rom", orders: Sequence | None = None,
    ):  # fmt: skip
        check_jobs(name, jobs, ("weight_bits", "source", "format"))
        _check_widths(name, jobs[0], lanes, rows)
        layers = [layers] * len(jobs) if isinstance(layers, int) else list(layers)
        self._geometry = geometry = Geometry(jobs, layers, lanes, rows, orders)
        self._form, self._bits = jobs[0].format, jobs[0].weight_bits
        self._source_form = jobs[0].source
        self._lanes, self._rows, self._tags = lanes, rows, tags
        self._places = len(jobs), max(layers)
        self._product = self._source_form.width + self._bits
        self._total = max(job.accumulator_bits for job in jobs)
        self._several = max(geometry.beats) > 1
        self._known = row_count(*self._places) == 1
        width = sum(Shape.cast(shape).width for shape in geometry.fields)
        word = rows * lanes * self._bits
        self._source = weight_source(
            source, f"{name}.weights", word, geometry.depth, geometry.most, memories
        )
        self._parameters = parameter_rom(memories, name, width, *self._places)
        outside = self._source.signature.members
        extra = {port: outside[port] for port in ("requests", "weights") if port in outside}
        super().__init__(
            {
                "i": In(stream.Signature(beat(lanes, self._source_form, tags))),
                "o": Out(stream.Signature(beat(rows, self._form, tags))),
                "mul": Out(mac.Multiply(lanes * rows)),
                "busy": Out(1),
                "job": Out(tags.job),
                "saturated": Out(1),
                **extra,
            }
        )

    def cycles(self, job: int) -> int:
        """Cycles from the first beat of ``job`` accepted to the last at ``o``, without a stall."""
        groups, count = self._geometry.groups[job], self._geometry.beats[job]
        first = latency(groups, count, self._lanes, self._form, self._known, self._several)
        return first + (groups - 1) * (1 if isinstance(self._form, Block) else count)

    @property
    def _wait(self) -> int:
        """Cycles from the issue of a beat to its sums."""
        return mac.LATENCY + adder.latency(self._lanes, self._several)

    @property
    def _depth(self) -> int:
        """Beats of room behind the multipliers: those on the way and the one that is being summed,
        and for Block a whole vector.
        """
        away = -(-(self._wait + requantise.latency(self._form) + 1) // min(self._geometry.beats))
        kept = max(self._geometry.groups) if isinstance(self._form, Block) else 0
        return away + 1 + kept

    def elaborate(self, platform):
        m = Module()
        m.submodules.parameters = self._parameters
        m.submodules.source = self._source
        m.submodules.vectors = self._vectors = Replay(
            self.i.p.data.shape(), self._about(), max(self._geometry.beats), direct=self._known
        )
        m.submodules.adders = adders = Adders(
            self._rows, self._lanes, self._product, self._total, self._several
        )
        m.submodules.requantise = self._requantise = Requantise(
            self._rows, self._total, self._form, self._tags, self._depth, left=self._moving
        )
        m.submodules.work = work = Work(self._tags.job, VECTORS + self._depth + 1)
        work.connect(m, moved(self.i, "first"), moved(self.o, "last"), self.i.p.tag.job)
        m.d.comb += [self.busy.eq(work.busy), self.job.eq(work.job)]
        if hasattr(self, "weights"):
            wiring.connect(m, wiring.flipped(self.weights), self._source.weights)
            wiring.connect(m, self._source.requests, wiring.flipped(self.requests))
        self._accept(m)
        issued = self._issue(m)
        self._collect(m, issued, adders)
        return m

    @property
    def _moving(self) -> bool:
        """Whether the shift depends on the exponent of a vector."""
        return isinstance(self._source_form, Block) and isinstance(self._form, Fixed)

    def _about(self) -> data.StructLayout:
        """What all beats of a vector share."""
        return data.StructLayout({"tag": self._tags.layout(), "scale": signed(SCALE_BITS)})

    def _accept(self, m: Module):
        """Cycle 0: keep the beat with its scale; ask for the weights when a vector begins."""
        i, kept, request = self.i, self._vectors.i, self._source.i
        m.d.comb += self._parameters.addr.eq(row_address(i.p.tag, *self._places))
        names = ("base", "count", "scale")
        layout = data.StructLayout(dict(zip(names, self._geometry.fields, strict=True)))
        row = layout(self._parameters.data)
        asked = [request.p.base.eq(row.base), request.p.count.eq(row.count)]
        exponent = -i.p.exponent if self._moving else i.p.exponent
        m.d.comb += [
            kept.valid.eq(i.valid),
            i.ready.eq(kept.ready),
            kept.p.beat.eq(i.p.data),
            kept.p.last.eq(i.p.last),
            kept.p.vector.tag.eq(i.p.tag),
            kept.p.vector.scale.eq(row.scale + exponent),
        ]
        if self._known:  # the next vector needs the same words: they are read before it comes
            m.d.comb += [request.valid.eq(1), *asked]
            return
        pending, waiting = Signal.like(request.p), Signal()
        begins = moved(i, "first")
        m.d.comb += request.valid.eq(waiting | begins)
        with m.If(waiting):
            m.d.comb += request.p.eq(pending)
        with m.Else():
            m.d.comb += asked
        m.d.sync += waiting.eq(request.valid & ~request.ready)
        with m.If(~waiting):
            m.d.sync += pending.eq(request.p)

    def _issue(self, m: Module):
        """One beat of the vector meets one word of weights; whether they do in this cycle."""
        x, w, mul = self._vectors.o, self._source.o, self.mul
        issue = Signal()
        m.d.comb += [
            # Not for the last beat of a group only: which it is comes late, out of a memory.
            mul.valid.eq(x.valid & w.valid & self._requantise.free),
            issue.eq(mul.valid & mul.ready),
            x.ready.eq(issue),
            w.ready.eq(issue),
            self._vectors.done.eq(w.p.last),
            self._requantise.reserve.eq(issue & x.p.last),
        ]
        weights = data.ArrayLayout(signed(self._bits), self._lanes * self._rows)(w.p.data)
        for k in range(self._lanes * self._rows):
            m.d.comb += [mul.a[k].eq(x.p.beat[k % self._lanes]), mul.b[k].eq(weights[k])]
        return issue

    def _collect(self, m: Module, issue, adders: Adders):
        """Products to sums to wide beats."""
        x, w = self._vectors.o, self._source.o
        begins = Signal(init=1)
        with m.If(issue & x.p.last):
            m.d.sync += begins.eq(w.p.last)
        wide, scale = self._requantise.i, x.p.vector.scale
        if isinstance(self._form, Fixed) and not self._moving:
            scale = requantise.right_shift(scale, self._total)
        about = Signal(data.StructLayout({"vector": self._about(), "first": 1, "last": 1}))
        m.d.comb += [
            about.vector.tag.eq(x.p.vector.tag),
            about.vector.scale.eq(scale),
            about.first.eq(begins),
            about.last.eq(w.p.last),
            adders.valid.eq(delay(m, issue, mac.LATENCY, "issued")),
            adders.first.eq(delay(m, x.p.first, mac.LATENCY, "first")),
            wide.valid.eq(delay(m, issue & x.p.last, self._wait, "sums")),
        ]
        for k in range(self._lanes * self._rows):
            m.d.comb += adders.products[k].eq(self.mul.p[k])
        about = delay(m, about, self._wait, "about")
        m.d.comb += [
            wide.p.data.eq(adders.sums),
            wide.p.scale.eq(about.vector.scale),
            wide.p.tag.eq(about.vector.tag),
            wide.p.first.eq(about.first),
            wide.p.last.eq(about.last),
        ]
        wiring.connect(m, self._requantise.o, wiring.flipped(self.o))
        m.d.comb += self.saturated.eq(self._requantise.saturated)


def _check_widths(name: str, stage: Stage, lanes: int, rows: int) -> None:
    if lanes < 1 or rows < 1 or lanes & (lanes - 1) or rows & (rows - 1):
        raise ValueError(f"unit {name}: {lanes} lanes and {rows} rows; expected powers of two")
    for what, width in (("source", stage.source.width), ("weights", stage.weight_bits)):
        if width > MANTISSA_BITS:
            raise ValueError(f"unit {name}: the {what} of {stage.name} are wider than a factor")

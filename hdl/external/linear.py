"""Linear layers whose weights come out of an external memory, one matrix after the other.

Cycles, from a beat of codes to the row that it closes (mac: multipliers, A: adders):
    0                       the beat comes; the word of the vector is read
    1                       codes meet the word at the multipliers
    1 + mac + A             the sum of the group
    1 + mac + A + S         scaled and added to the row (S = scale.LATENCY), into Requantise
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.numbers import MANTISSA_BITS, Block, Fixed
from golden.schedules.external import CODE_BITS
from golden.stage import SCALE_FRACTION, SCALED_BITS, format_signature
from golden.stage import Linear as Stage
from hdl import adder, mac, requantise
from hdl.adder import Adders
from hdl.external import scale
from hdl.external.kept_vector import X_BITS, KeptVector
from hdl.external.matrix import Geometry, Walk, lane_codes, of_job
from hdl.external.scale import Scale
from hdl.fabric import copy_payload
from hdl.memory import Memories
from hdl.requantise import Requantise
from hdl.stream import Tags, beat, delay
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


def lanes(port: int) -> int:
    """Elements of the vector that a beat of the smallest codes meets."""
    return port // CODE_BITS


def right_exponent(stage: Stage) -> int:
    """What a parameter row holds: see ``Linear._scale``."""
    exponent = int(stage.weight_exponent) - SCALE_FRACTION
    return stage.format.exponent - exponent if isinstance(stage.format, Fixed) else exponent


def image(name: str, jobs: Sequence[Sequence[Stage]]) -> dict[str, list[int]]:
    """Words of the memory of the unit ``name`` from its stages [job][layer]."""
    rows = pack_rows(jobs, lambda stage: pack_row([(right_exponent(stage), SHIFT)]))
    return {f"{name}.parameters": rows}


class Linear(wiring.Component):
    """One vector after the other against the matrices that ``weights`` brings.

    A vector is taken whole; kept_vector.latency cycles later its matrix goes by, a beat a cycle if
    there is room for the answers.  Back-pressure: holds ``weights`` before a row opens.  Rows are
    answered one by one, in a stream of its own for every job; of every job one vector may be
    inside, as it is with one sequence.
    Tested: all ports, rows of 1 to 64 weights, in groups and not, answers that wait.

    Parameters
    ----------
    name, jobs, layers, tags, memories: see docs/architecture.md.  port: bits of a beat of weights.

    Members
    -------
    i: beats of ``lanes(port)`` elements.  weights: stream of beats (hdl/external/layout.py).
    ``job<j>_o``: beats of one element of the job's format.
    mul: ``lanes(port)`` products.  busy, job: work is inside; the job of the oldest.
    saturated: an element of a Fixed answer was held to its range.
    """

    def __init__(
        self, name: str, jobs: Sequence[Stage], layers: Sequence[int], port: int, tags: Tags,
        memories: Memories,
    ):  # fmt: skip
        check_jobs(name, jobs, ("source",))
        self._jobs, self._port, self._tags = list(jobs), port, tags
        self._lanes = lanes(port)
        self._geometry = [Geometry(job, port) for job in jobs]
        self._places = len(jobs), max(layers)
        self._parameters = parameter_rom(memories, name, SHIFT.width, *self._places)
        bare = Tags(tags.stream, tags.position, tags.layer)
        answers = {
            f"job{j}_o": Out(stream.Signature(beat(1, job.format, bare)))
            for j, job in enumerate(jobs)
        }
        super().__init__(
            {
                "i": In(stream.Signature(beat(self._lanes, jobs[0].source, tags))),
                "weights": In(stream.Signature(port)),
                "mul": Out(mac.Multiply(self._lanes)),
                "busy": Out(1),
                "job": Out(tags.job),
                "saturated": Out(1),
                **answers,
            }
        )

    @property
    def outputs(self) -> list:
        """The stream of every job's answers."""
        return [getattr(self, f"job{j}_o") for j in range(len(self._jobs))]

    def elaborate(self, platform):
        m = Module()
        m.submodules.walk = walk = Walk(self._jobs, self._port)
        m.submodules.parameters = self._parameters
        wiring.connect(m, wiring.flipped(self.weights), walk.i)
        self._vector(m, walk)
        issued = self._issue(m, walk.o)
        self._answer(m, issued, self._sum(m, issued))
        return m

    def _vector(self, m: Module, walk: Walk) -> None:
        """A vector comes while no matrix is at work; when it is in, its matrix begins."""
        m.submodules.kept = self._kept = kept = KeptVector(self._jobs, self._lanes, self._tags)
        wiring.connect(m, wiring.flipped(self.i), kept.i)
        self._about = about = kept.about
        m.d.comb += [
            kept.open.eq(~walk.busy),
            walk.go.eq(kept.full),
            walk.job.eq(about.tag.job),
            self._parameters.addr.eq(row_address(about.tag, *self._places)),
        ]

    def _issue(self, m: Module, codes) -> Signal:
        """Cycles 0 and 1: a beat of codes is taken, and meets its word; high in cycle 1."""
        self._held = held = Signal.like(codes.p, name="held")
        self._free, issued, grouped = Signal(), Signal(), Signal()
        m.d.comb += [
            codes.ready.eq(self._free | ~codes.p.opens),
            self._kept.word.eq(codes.p.word),
            self._kept.group.eq(codes.p.group),
            self.mul.valid.eq(1),
        ]
        m.d.sync += [
            issued.eq(codes.valid & codes.ready),
            held.eq(codes.p),
            grouped.eq(of_job([g.grouped for g in self._geometry], self._about.tag.job)),
        ]
        for k, factor in enumerate(lane_codes(m, held, grouped, self._lanes)):
            m.d.comb += [self.mul.a[k].eq(self._kept.elements[k]), self.mul.b[k].eq(factor)]
        return issued

    def _sum(self, m: Module, issued: Signal) -> Scale:
        """Products to groups to rows."""
        beats_most = max(g.beats for g in self._geometry)
        several, product = beats_most > 1, MANTISSA_BITS + 8
        total = product + (beats_most * self._lanes - 1).bit_length()
        m.submodules.adders = adders = Adders(1, self._lanes, product, total, several)
        m.submodules.scale = scaled = Scale(total, X_BITS)
        wait = mac.LATENCY + adder.latency(self._lanes, several)
        self._late = wait + scale.LATENCY
        held = self._held
        m.d.comb += [
            adders.valid.eq(delay(m, issued, mac.LATENCY, "products")),
            adders.first.eq(delay(m, held.first, mac.LATENCY, "first")),
            scaled.valid.eq(delay(m, issued & held.last, wait, "group")),
            scaled.opens.eq(delay(m, held.group == 0, wait, "opens")),
            scaled.closes.eq(delay(m, held.closes, wait, "closes")),
            scaled.total.eq(adders.sums[0]),
            scaled.x.eq(delay(m, self._kept.sum, wait, "x")),
            scaled.scale.eq(delay(m, held.scale, wait, "scale")),
        ]
        for k in range(self._lanes):
            m.d.comb += adders.products[k].eq(self.mul.p[k])
        return scaled

    def _formats(self) -> dict[str, list[int]]:
        """The jobs of every kind of answer."""
        found: dict[str, list[int]] = {}
        for j, job in enumerate(self._jobs):
            found.setdefault(format_signature(job.format), []).append(j)
        return found

    def _answer(self, m: Module, issued: Signal, scaled: Scale) -> None:
        """Rows to the Requantise of their job's format, and on to the job's stream."""
        opens, job = issued & self._held.opens, self._about.tag.job
        about = delay(m, self._row_about(m, opens), self._late, "row")
        free, over, gone = 0, 0, []
        for name, jobs in self._formats().items():
            form = self._jobs[jobs[0]].format
            away = self._late + 3 + requantise.latency(form)
            sizes = [self._jobs[j].output_size for j in jobs]
            depth = away + (max(sizes) if isinstance(form, Block) else 0)
            answer = Requantise(1, SCALED_BITS, form, self._tags, depth, True, min(sizes))
            m.submodules[f"requantise_{name}"] = answer
            mine, here = Signal(name=f"{name}_mine"), Signal(name=f"{name}_here")
            m.d.comb += [
                mine.eq(of_job([j in jobs for j in range(len(self._jobs))], job)),
                here.eq(of_job([j in jobs for j in range(len(self._jobs))], about.tag.job)),
                answer.reserve.eq(opens & mine),
                answer.i.valid.eq(scaled.done & here),
                answer.i.p.eq(about),
                answer.i.p.data[0].eq(scaled.row),
            ]
            free, over = free | (mine & answer.free), over | answer.saturated
            gone.append(self._route(m, answer.o, jobs))
        m.d.comb += [self._free.eq(free), self.saturated.eq(over)]
        self._account(m, gone)

    def _account(self, m: Module, gone: list[Value]) -> None:
        """Vectors of several formats may leave in one cycle; they are counted one by one."""
        depth = len(self._jobs) + 2
        m.submodules.work = work = Work(self._tags.job, depth)
        left, owed = Signal(range(depth + 1)), Signal(range(depth + 1))
        m.d.comb += left.eq(sum(gone, owed))
        m.d.sync += owed.eq(Mux(left == 0, 0, left - 1))
        work.connect(m, moved(self.i, "first"), left != 0, self.i.p.tag.job)
        m.d.comb += [self.busy.eq(work.busy), self.job.eq(work.job)]

    def _row_about(self, m: Module, opens: Signal) -> data.View:
        """What the answer carries along, from the cycle in which its row opens until it closes."""
        layout = requantise.wide_beat(1, SCALED_BITS, self._tags)
        row = Signal(range(max(g.rows for g in self._geometry)))
        now, kept = Signal(layout), Signal(layout)
        tag, exponent = self._about.tag, self._about.exponent
        last = row == of_job([g.rows - 1 for g in self._geometry], tag.job)
        fixed = of_job([isinstance(job.format, Fixed) for job in self._jobs], tag.job)
        m.d.comb += now.eq(kept)
        with m.If(opens):
            m.d.comb += [
                now.tag.eq(tag),
                now.scale.eq(self._parameters.data.as_signed() + Mux(fixed, -exponent, exponent)),
                now.first.eq(row == 0),
                now.last.eq(last),
            ]
            m.d.sync += [kept.eq(now), row.eq(Mux(last, 0, row + 1))]
        return now

    def _route(self, m: Module, o, jobs: list[int]) -> Signal:
        """Answers to the streams of their jobs; whether the last one of a vector leaves."""
        for j in jobs:
            port = self.outputs[j]
            here = o.p.tag.job == j
            m.d.comb += [*copy_payload(o.p, port.p), port.valid.eq(o.valid & here)]
            with m.If(here):
                m.d.comb += o.ready.eq(port.ready)
        return o.valid & o.ready & o.p.last

"""ReLU and GELU: ``golden.stages.activation``, element by element.

ReLU is a gate a bit and holds nothing.  GELU is ``max(x, 0) - tail(|x|)`` with the tail in a table.

Cycles of GELU:
    0               |x| to the table's fraction, address of the table
    1               base and slope; the interpolation is issued
    1 + mac         the tail; to the format's fraction
    2 + mac         round, subtract, into the queue
    3 + mac         at ``o``
"""

from collections.abc import Sequence

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden import tables
from golden.numbers import MANTISSA_BITS, Fixed
from golden.stage import Activation as Stage
from hdl import mac, numbers, table
from hdl.memory import Memories
from hdl.stream import CreditQueue, Tags, beat, delay
from hdl.table import Lookup, table_words
from hdl.units.unit import Work, check_jobs, moved, pack_row, pack_rows, parameter_rom, row_address

SHIFT_BITS = 4
"""Left shift of |x|; the largest moves whatever is not zero out of the table."""

AWAY = tables.GELU_OUTPUT_FRACTION - tables.GELU_FRACTION
"""The tail has AWAY bits more to lose than |x| has to gain."""

INPUT_BITS = tables.GELU_FRACTION + tables.GELU_RANGE_BITS


def latency(function: str) -> int:
    """Cycles from a beat accepted to that beat at ``o``, when nothing stalls it."""
    return table.LATENCY + 2 if function == "gelu" else 0


def image(name: str, jobs: Sequence[Sequence[Stage]], lanes: int) -> dict[str, list[int]]:
    """Words of the memories of the unit ``name`` from its stages [job][layer].

    Raises
    ------
    ValueError
        If a format of GELU has more fraction bits than its table.
    """
    if jobs[0][0].function != "gelu":
        return {}

    def row(stage: Stage) -> int:
        shift = tables.GELU_FRACTION - stage.format.fraction
        if shift < 0:
            raise ValueError(f"{stage.name}: {stage.format} is finer than the table of GELU")
        return pack_row([(min(shift, (1 << SHIFT_BITS) - 1), SHIFT_BITS)])

    words = table_words(tables.gelu_tail())
    return {f"{name}.parameters": pack_rows(jobs, row)} | {
        f"{name}.gelu{k}": words for k in range(lanes)
    }


class Activation(wiring.Component):
    """ReLU or GELU of every element; the answer has the format of the input.

    Latency :func:`latency`.  Throughput one beat a cycle.  Back-pressure: ReLU hands it through;
    GELU offers products only when there is room for the answer.
    Tested: 1 to 8 lanes; GELU in all fractions that fit, over the whole range; a contended array.

    Parameters
    ----------
    name, jobs, layers, lanes, tags, memories: see docs/architecture.md.

    Members
    -------
    i, o: beats of the jobs' format.
    mul: ``lanes`` products; GELU only.
    busy, job: work is inside; the job of the oldest.
    saturated: always low, as no answer is larger than its input.

    Raises
    ------
    ValueError
        If the jobs differ in function or kind of format, or GELU has a format that is not static or
        wider than a factor.
    """

    def __init__(
        self, name: str, jobs: Sequence[Stage], layers: int, lanes: int, tags: Tags,
        memories: Memories,
    ):  # fmt: skip
        check_jobs(name, jobs, ("function", "format"))
        self._function, self._form = jobs[0].function, jobs[0].format
        self._lanes, self._tags, self._places = lanes, tags, (len(jobs), layers)
        shape = beat(lanes, self._form, tags)
        members = {
            "i": In(stream.Signature(shape)),
            "o": Out(stream.Signature(shape)),
            "busy": Out(1),
            "job": Out(tags.job),
            "saturated": Out(1),
        }
        if self._function == "gelu":
            if not isinstance(self._form, Fixed) or self._form.width > MANTISSA_BITS:
                raise ValueError(f"unit {name}: GELU cannot work on {self._form}")
            members["mul"] = Out(mac.Multiply(lanes))
            self._parameters = parameter_rom(memories, name, SHIFT_BITS, *self._places)
            self._lookups = [
                Lookup(tables.gelu_tail(), f"{name}.gelu{k}", memories) for k in range(lanes)
            ]
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        if self._function == "gelu":
            self._gelu(m)
        else:
            self._relu(m)
        return m

    def _relu(self, m: Module):
        i, o = self.i, self.o
        m.d.comb += [
            o.p.eq(i.p),
            o.valid.eq(i.valid),
            i.ready.eq(o.ready),
            self.busy.eq(i.valid),
            self.job.eq(i.p.tag.job),
        ]
        for k in range(self._lanes):
            m.d.comb += o.p.data[k].eq(_positive(i.p.data[k]))

    def _about(self) -> data.StructLayout:
        """What travels beside the tails: the beat with max(x, 0), and how to subtract from it."""
        return data.StructLayout(
            {
                "beat": self.i.p.shape(),
                "inside": self._lanes,
                "shift": unsigned(SHIFT_BITS + 1),
            }
        )

    def _gelu(self, m: Module):
        depth = latency("gelu")  # at one beat a cycle, what is between issue and exit
        m.submodules.parameters = self._parameters
        m.submodules.queue = queue = CreditQueue(self.i.p.shape(), depth)
        m.submodules.work = work = Work(self._tags.job, depth + 1)
        work.connect(m, moved(self.i, "first"), moved(self.o, "last"), self.i.p.tag.job)
        m.d.comb += [self.busy.eq(work.busy), self.job.eq(work.job)]
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        about = self._look_up(m)
        issue = self._issue(m, queue)
        self._subtract(m, queue, issue, about)

    def _look_up(self, m: Module):
        """Cycle 0: address the tables; what is to be known of the beat afterwards."""
        i, about = self.i, Signal(self._about())
        m.d.comb += self._parameters.addr.eq(row_address(i.p.tag, *self._places))
        shift = self._parameters.data
        m.d.comb += [about.beat.eq(i.p), about.shift.eq(shift + AWAY)]
        for k, lookup in enumerate(self._lookups):
            m.submodules[f"lookup{k}"] = lookup
            x = i.p.data[k]
            magnitude = Signal(self._form.width, name=f"magnitude{k}")
            scaled = Signal(self._form.width + (1 << SHIFT_BITS) - 1, name=f"scaled{k}")
            m.d.comb += [
                magnitude.eq(Mux(x < 0, -x, x)),
                scaled.eq(magnitude << shift),
                lookup.x.eq(scaled),
                lookup.en.eq(i.ready),
                about.beat.data[k].eq(_positive(x)),
                about.inside[k].eq(~scaled[INPUT_BITS:].any()),
            ]
        return about

    def _issue(self, m: Module, queue: CreditQueue):
        """Cycle 1: the factors wait for multipliers and for room; whether they got both."""
        held, issue = Signal(), Signal()
        m.d.comb += [
            self.mul.valid.eq(held & queue.free),
            issue.eq(self.mul.valid & self.mul.ready),
            queue.reserve.eq(issue),
            self.i.ready.eq(~held | issue),
        ]
        with m.If(self.i.ready):
            m.d.sync += held.eq(self.i.valid)
        for k, lookup in enumerate(self._lookups):
            m.d.comb += [
                self.mul.a[k].eq(lookup.a),
                self.mul.b[k].eq(lookup.b),
                lookup.p.eq(self.mul.p[k]),
            ]
        return issue

    def _subtract(self, m: Module, queue: CreditQueue, issue, about):
        """Two cycles: the tail to the format's fraction, then rounded and taken away."""
        held = Signal.like(about)
        with m.If(self.i.ready):
            m.d.sync += held.eq(about)
        arrived = delay(m, held, mac.LATENCY, "about")
        final = delay(m, arrived, 1, "final")
        m.d.comb += [
            queue.i.valid.eq(delay(m, issue, mac.LATENCY + 1, "issued")),
            queue.i.p.eq(final.beat),
        ]
        for k, lookup in enumerate(self._lookups):
            tail, lost = numbers.shift_right(m, lookup.y, arrived.shift, f"tail{k}")
            tail_r, lost_r = Signal(signed(len(tail)), name=f"tail{k}"), Signal(name=f"lost{k}")
            m.d.sync += [
                tail_r.eq(Mux(arrived.inside[k], tail, 0)),
                lost_r.eq(lost & arrived.inside[k]),
            ]
            m.d.comb += queue.i.p.data[k].eq(final.beat.data[k] - numbers.round_off(tail_r, lost_r))


def _positive(x):
    """max(x, 0)."""
    return Mux(x < 0, 0, x)

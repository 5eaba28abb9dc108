"""Rotary positions: ``golden.stages.rope`` with a multiplier array that it does not own.

Cosines and sines of a position are made once, when its first vector comes, one pair after the
other (hdl/rotation.py); every vector of that position is turned with them.

Cycles of a vector whose position is known, from the acceptance of its last beat:
    0               the beat enters; who uses the multipliers does not hang on who sends it
    1               both products of every element are issued
    mac + 1         they come back and are added
    mac + 2         wide beats, into Requantise
"""

from collections.abc import Sequence

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.numbers import MANTISSA_BITS
from golden.stage import Rope as Stage
from golden.tables import UNIT
from hdl import mac, requantise
from hdl.memory import Memories
from hdl.requantise import Requantise
from hdl.rotation import Rotation, image, pattern
from hdl.stream import Queue, Tags, beat, beats, delay
from hdl.units.unit import Work, check_jobs, moved
from hdl.weights import Order

__all__ = ["Rope", "image", "latency"]

WIDE = 2 * MANTISSA_BITS
"""Width of the sum of two products of 16 and UNIT bits."""


def latency(stage: Stage) -> int:
    """Cycles from the last beat accepted to the first beat at ``o``: position known, no stall."""
    return 2 + mac.LATENCY + requantise.latency(stage.format)


class Rope(wiring.Component):
    """Turns the pairs of a vector's heads by the position in its tag.

    Latency :func:`latency`; a position that is not that of the vector before costs
    ``hdl.rotation.cycles`` first.  Throughput one beat a cycle.  Back-pressure: issues a beat when
    there is room for its answer; the multipliers may be starved for any time.
    Tested: 2 to 16 lanes, heads of 2 to 12 elements, every place of padding, a contended array.

    Parameters
    ----------
    name, jobs, layers, lanes, tags, memories: see docs/architecture.md.
    orders: hdl.weights.Order of the vector of every job (its rows: places of the elements).

    Members
    -------
    i: beats of ``jobs[0].source``.  o: beats of ``jobs[0].format``, in the same order.
    mul: ``2 * lanes`` products: element k by its cosine, and its partner by the sine; or the
        interpolation of a sine (lane 0).
    busy, job: work is inside; the job of the oldest.  saturated: never, for a block does not.

    Raises
    ------
    ValueError
        If the jobs differ in shape, in order or in their turns, or a beat holds no pair.
    """

    def __init__(
        self, name: str, jobs: Sequence[Stage], layers: int, lanes: int, tags: Tags,
        memories: Memories, orders: Sequence[Order],
    ):  # fmt: skip
        check_jobs(name, jobs, ("n_head", "d_head", "source", "format"))
        if any(order.rows != orders[0].rows for order in orders):
            raise ValueError(f"unit {name}: the vectors of its jobs have different orders")
        if lanes < 2:
            raise ValueError(f"unit {name}: {lanes} lanes hold no pair; expected at least 2")
        self._stage, self._lanes, self._tags = jobs[0], lanes, tags
        self._count = beats(len(orders[0].rows), lanes)
        rows = pattern(orders[0], jobs[0].d_head, lanes)
        self._rotation = Rotation(name, rows, tags.position, memories)
        self._rows = len(rows)
        super().__init__(
            {
                "i": In(stream.Signature(beat(lanes, self._stage.source, tags))),
                "o": Out(stream.Signature(beat(lanes, self._stage.format, tags))),
                "mul": Out(mac.Multiply(2 * lanes)),
                "busy": Out(1),
                "job": Out(tags.job),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        depth = 2 * self._count + latency(self._stage)
        m.submodules.entry = entry = Queue(self.i.p.shape(), 2)
        m.submodules.rotation = self._rotation
        m.submodules.requantise = answer = Requantise(
            self._lanes, WIDE, self._stage.format, self._tags, depth, least=self._count
        )
        m.submodules.work = work = Work(self._tags.job, depth)
        wiring.connect(m, wiring.flipped(self.i), entry.i)
        wiring.connect(m, answer.o, wiring.flipped(self.o))
        work.connect(m, moved(self.i, "first"), moved(self.o, "last"), self.i.p.tag.job)
        m.d.comb += [self.busy.eq(work.busy), self.job.eq(work.job)]
        issue = self._issue(m, entry.o, answer.free)
        self._collect(m, entry.o.p, issue, answer)
        return m

    def _issue(self, m: Module, entry, free) -> Signal:
        """A beat meets the cosines and sines of its pairs, or one of these is interpolated."""
        rotation, mul, beat_ = self._rotation, self.mul, entry.p
        issue, row = Signal(), Signal(range(self._rows))
        turning = entry.valid & rotation.known & free
        m.d.comb += [
            rotation.wanted.eq(entry.valid),
            rotation.position.eq(beat_.tag.position),
            rotation.row.eq(row),
            rotation.ready.eq(mul.ready),
            rotation.p.eq(mul.p[0]),
            mul.valid.eq(turning | rotation.asks),
            issue.eq(turning & mul.ready),
            entry.ready.eq(issue),
        ]
        with m.If(issue):
            m.d.sync += row.eq(Mux(beat_.last | (row == self._rows - 1), 0, row + 1))
        for k in range(self._lanes):
            pair = rotation.pairs[k // 2]
            sine = pair.sine if k % 2 else -pair.sine
            a, b = beat_.data[k], pair.cosine
            if k == 0:
                a, b = (Mux(rotation.asks, x, y) for x, y in ((rotation.a, a), (rotation.b, b)))
            m.d.comb += [
                mul.a[k].eq(a),
                mul.b[k].eq(b),
                mul.a[self._lanes + k].eq(beat_.data[k ^ 1]),
                mul.b[self._lanes + k].eq(sine),
            ]
        return issue

    def _collect(self, m: Module, beat_, issue: Signal, answer: Requantise) -> None:
        """Products are added, and the sums go on as wide beats."""
        layout = {"tag": self._tags.layout(), "exponent": beat_.exponent.shape(), "flags": 2}
        about = Signal(data.StructLayout(layout))
        m.d.comb += [
            about.tag.eq(beat_.tag),
            about.exponent.eq(beat_.exponent),
            about.flags.eq(beat_.first | beat_.last << 1),
        ]
        about = delay(m, about, mac.LATENCY + 1, "about")
        wide = answer.i
        m.d.comb += [
            answer.reserve.eq(issue),
            wide.valid.eq(delay(m, issue, mac.LATENCY + 1, "issued")),
            wide.p.scale.eq(about.exponent - UNIT),
            wide.p.tag.eq(about.tag),
            wide.p.first.eq(about.flags[0]),
            wide.p.last.eq(about.flags[1]),
        ]
        for k in range(self._lanes):
            total = Signal(signed(WIDE), name=f"turned{k}")
            m.d.sync += total.eq(self.mul.p[k] + self.mul.p[self._lanes + k])
            m.d.comb += wide.p.data[k].eq(total)

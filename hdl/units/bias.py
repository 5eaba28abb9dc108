"""The bias of a linear layer: ``golden.stages.bias``, a saturating sum with a constant vector.

Cycles: 0: a beat meets the exponent of the format, and the words of its biases are looked up; 1:
it is rounded and added to them.
"""

from collections.abc import Sequence

from amaranth.hdl import Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.stage import Bias as Stage
from hdl import aligned_sum
from hdl.memory import Memories
from hdl.stream import Queue, Tags, beat, beats
from hdl.units.unit import (
    SHIFT,
    Work,
    check_jobs,
    moved,
    pack_lanes,
    pack_row,
    pack_rows,
    parameter_rom,
    row_address,
)
from hdl.weights import Order

LATENCY = 2
"""Cycles from a beat to its sums."""


def row_layout(depth: int) -> data.StructLayout:
    """A parameter row: the format's exponent, and where a vector's biases begin among ``depth``."""
    return data.StructLayout({"exponent": SHIFT, "base": unsigned(max(depth - 1, 0).bit_length())})


def image(
    name: str, jobs: Sequence[Sequence[Stage]], lanes: int, orders: Sequence[Order] | None = None
) -> dict[str, list[int]]:
    """Words of the memories of the unit ``name`` from its stages [job][layer].

    Without ``orders`` biases come from outside, and only parameters are on the chip.
    """
    words, bases = [], {}
    for stages, order in zip(jobs, orders or (), strict=bool(orders)):
        for stage in stages:
            bases[id(stage)] = len(words)
            words += _words(stage, lanes, order)
    row = row_layout(len(words))

    def packed(stage: Stage) -> int:
        values = {"exponent": stage.format.exponent, "base": bases.get(id(stage), 0)}
        return pack_row((values[field], shape) for field, shape in row.members.items())

    memories = {f"{name}.parameters": pack_rows(jobs, packed)}
    return memories | ({f"{name}.biases": words} if orders else {})


def _words(stage: Stage, lanes: int, order: Order) -> list[int]:
    """The biases of a stage, a word a beat; zeros where no element is."""
    placed = [0 if place < 0 else int(stage.bias[place]) for place in order.rows]
    return [
        pack_lanes(placed[at : at + lanes], stage.format.width)
        for at in range(0, len(placed), lanes)
    ]


class Bias(wiring.Component):
    """``saturate(i + bias)`` of vectors of any size, ``i`` first rounded to the format's exponent.

    Latency LATENCY.  Throughput one beat a cycle.  Back-pressure: holds ``i``, and ``biases``.
    Tested: sizes 1 to 48, 1 to 16 lanes, gaps, every exponent of a block, biases that come late.

    Parameters
    ----------
    name, jobs, lanes, tags, memories: see docs/architecture.md.  layers: how many every job has.
    orders: hdl.weights.Order of the vector of every job (its rows: places of the elements), or
        None if biases come from outside.

    Members
    -------
    i: beats of ``jobs[0].source``.  o: beats of ``jobs[0].format``.
    biases: without orders, a beat of ``lanes`` biases for every beat, vector by vector.
    closes: with ``biases``: the beat that is taken next is the last of its vector.
    busy, job: work is inside; the job of the oldest.
    saturated: an element was held to the range of the format (one cycle).

    Raises
    ------
    ValueError
        If the jobs differ in kind of format.
    """

    def __init__(
        self, name: str, jobs: Sequence[Stage], layers: Sequence[int], lanes: int, tags: Tags,
        memories: Memories, orders: Sequence[Order] | None = None,
    ):  # fmt: skip
        check_jobs(name, jobs, ("source", "format"))
        source, form = jobs[0].source, jobs[0].format
        counts = [beats(len(order.rows), lanes) for order in orders or ()]
        depth = sum(n * k for n, k in zip(counts, layers, strict=True)) if counts else 0
        self._tags, self._most = tags, max(counts, default=0)
        self._rows, self._row = (len(jobs), max(layers)), row_layout(depth)
        self._biases = data.ArrayLayout(signed(form.width), lanes)
        self._parameters = parameter_rom(memories, name, self._row.size, *self._rows)
        self._rom = memories.rom(f"{name}.biases", self._biases.size, depth) if depth else None
        fed = {"biases": In(stream.Signature(self._biases)), "closes": Out(1)}
        super().__init__(
            {
                "i": In(stream.Signature(beat(lanes, source, tags))),
                "o": Out(stream.Signature(beat(lanes, form, tags))),
                "busy": Out(1),
                "job": Out(tags.job),
                "saturated": Out(1),
                **({} if depth else fed),
            }
        )

    def elaborate(self, platform):
        m = Module()
        i, take, valid = self.i, Signal(), Signal()
        m.submodules.parameters = parameters = self._parameters
        m.submodules.work = work = Work(self._tags.job, 4)
        m.submodules.answer = answer = Queue(self.o.p.shape(), 2)  # whose `ready` is a register
        wiring.connect(m, answer.o, wiring.flipped(self.o))
        m.d.comb += parameters.addr.eq(row_address(i.p.tag, *self._rows))
        row = self._row(parameters.data)
        if self._rom is None:
            biases = self._fed(m, valid, take)
        else:
            biases = self._kept(m, row.base, valid, take)
        full, meta = aligned_sum.register(m, valid, take, answer.i.ready, i.p)
        aligned = aligned_sum.align(m, i.p, row.exponent, take)
        pairs = zip(biases, aligned, strict=True)
        aligned_sum.answer(m, answer, full, meta, pairs, self.saturated)
        work.connect(m, moved(i, "first"), moved(self.o, "last"), i.p.tag.job)
        m.d.comb += [self.busy.eq(work.busy), self.job.eq(work.job)]
        return m

    def _kept(self, m: Module, base: Value, valid: Signal, take: Signal) -> list[Value]:
        """The biases of the beat in cycle 1, which the memory's register holds."""
        m.submodules.rom = rom = self._rom
        i, index = self.i, Signal(range(self._most))
        m.d.comb += [
            valid.eq(i.valid),
            i.ready.eq(take),
            rom.en.eq(take),
            rom.addr.eq(base + index),
        ]
        with m.If(i.valid & take):
            m.d.sync += index.eq(Mux(i.p.last, 0, index + 1))
        return list(self._biases(rom.data))

    def _fed(self, m: Module, valid: Signal, take: Signal) -> list[Value]:
        """The same out of a stream, in registers of their own."""
        i, biases = self.i, self.biases
        m.d.comb += [
            valid.eq(i.valid & biases.valid),
            i.ready.eq(take & biases.valid),
            biases.ready.eq(take & i.valid),
            self.closes.eq(i.p.last),
        ]
        return aligned_sum.keep(m, list(biases.p), take)

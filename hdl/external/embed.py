"""Embedding out of the external memory: ``golden.stages.embed`` of 8-bit codes with a scale a row.

Cycles, from the beat with the token's scale (mac: multipliers):
    0               the scale is taken apart
    1               the first codes are issued, ``lanes`` a cycle
    1 + mac         products, into Requantise
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.numbers import MAX_RIGHT
from golden.stage import SCALE_FRACTION
from golden.stage import Embed as Stage
from hdl import mac, requantise
from hdl.external.layout import HALF
from hdl.external.scale import MANTISSA, half_parts
from hdl.memory import Memories
from hdl.requantise import Requantise
from hdl.stream import Tags, beat, beats, delay
from hdl.units.embed import request
from hdl.units.unit import Work, moved, pack_row, pack_rows, parameter_rom

LATENCY = 1 + mac.LATENCY + 2
"""Cycles from a token and the beat with its scale to its first beat at ``o``."""

CODE = 8
SHIFT = unsigned(MAX_RIGHT.bit_length())
PRODUCT = CODE + MANTISSA
LEFT = 30
"""Products stand so far above the point that no float16's exponent takes them below it."""


def right_shift(stage: Stage) -> int:
    """The right shift of ``code * scale`` to the format.

    Raises
    ------
    ValueError
        If the format is so fine that it would be a left shift.
    """
    right = stage.format.exponent - int(stage.exponent) + SCALE_FRACTION
    if right < 0:
        raise ValueError(f"{stage.name}: {stage.format} is finer than the unit can answer")
    return min(right, MAX_RIGHT)


def image(name: str, jobs: Sequence[Sequence[Stage]]) -> dict[str, list[int]]:
    """Words of the memory of the unit ``name`` from its stages [job][layer] (one of each).

    Raises ValueError as :func:`right_shift`.
    """
    rows = pack_rows(jobs, lambda stage: pack_row([(right_shift(stage), SHIFT)]))
    return {f"{name}.parameters": rows}


class Embed(wiring.Component):
    """``code * scale`` of a row [size], in the stage's format.

    Latency LATENCY.  Throughput: a token every ``1 + beats(size, lanes)`` cycles, a beat a cycle.
    Back-pressure: holds ``rows``; never drops a product.

    Parameters
    ----------
    name, jobs, layers, lanes, tags, memories: see docs/architecture.md; a single job.
    port: bits of a beat of the memory.

    Members
    -------
    i: stream of hdl.units.embed.request; accepted with the beat that holds its scale.
    rows: stream of beats: for every token those with its scale and with its codes, as
        hdl.external.layout.Rows has them.
    o: beats of ``jobs[0].format``.  mul: ``lanes`` products.
    busy, job: work is inside; the job of the oldest.
    saturated: an element was held to the range of the format (one cycle).

    Raises
    ------
    ValueError
        If there is not exactly one job in one layer, it has no scales, or a beat of the memory is
        not a whole number of beats of ``lanes`` codes.
    """

    def __init__(
        self, name: str, jobs: Sequence[Stage], layers: int, lanes: int, port: int, tags: Tags,
        memories: Memories,
    ):  # fmt: skip
        if len(jobs) != 1 or layers != 1:
            raise ValueError(f"unit {name}: one embedding, not {len(jobs)} in {layers} layers")
        self._stage, self._lanes, self._port, self._tags = jobs[0], lanes, port, tags
        stage = jobs[0]
        if stage.scales is None:
            raise ValueError(f"unit {name}: {stage.name} has no scales")
        if port % (CODE * lanes):
            raise ValueError(f"unit {name}: {lanes} lanes do not divide beats of {port} bits")
        self._parameters = parameter_rom(memories, name, SHIFT.width, 1, 1)
        super().__init__(
            {
                "i": In(stream.Signature(request(len(stage.tokens), tags))),
                "rows": In(stream.Signature(port)),
                "o": Out(stream.Signature(beat(lanes, stage.format, tags))),
                "mul": Out(mac.Multiply(lanes)),
                "busy": Out(1),
                "job": Out(tags.job),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.parameters = self._parameters
        depth = mac.LATENCY + requantise.latency(self._stage.format) + 3
        m.submodules.answer = answer = Requantise(
            self._lanes, PRODUCT + LEFT, self._stage.format, self._tags, depth
        )
        inside = Signal()  # the scale is in, codes follow
        scaled = Signal()
        m.d.comb += scaled.eq(self.i.valid & self.rows.valid & ~inside)
        self._scale(m, scaled)
        issued, first, last, spent = self._issue(m, inside & self.rows.valid & answer.free)
        m.d.comb += self.rows.ready.eq(Mux(inside, issued & spent, self.i.valid))
        m.d.comb += self.i.ready.eq(self.rows.valid & ~inside)
        with m.If(scaled | (issued & last)):
            m.d.sync += inside.eq(scaled)
        self._answer(m, answer, issued, first, last)
        m.submodules.work = work = Work(self._tags.job, depth + 2)
        work.connect(m, scaled, moved(self.o, "last"), self.i.p.tag.job)
        m.d.comb += [self.busy.eq(work.busy), self.job.eq(work.job)]
        return m

    def _scale(self, m: Module, scaled: Value) -> None:
        """Cycle 0: the token's tag, the mantissa of its scale, and the shift that remains."""
        token, tile = self.i.p.token, self._port // HALF
        which = token[: (tile - 1).bit_length()] if tile > 1 else 0
        mantissa, exponent = half_parts(self.rows.p.word_select(which, HALF))
        self._mantissa, self._tag = Signal(signed(MANTISSA)), Signal.like(self.i.p.tag)
        self._right = Signal(signed(requantise.SCALE_BITS))
        with m.If(scaled):
            m.d.sync += [
                self._tag.eq(self.i.p.tag),
                self._mantissa.eq(mantissa),
                self._right.eq(self._parameters.data + LEFT - exponent),
            ]

    def _issue(self, m: Module, valid: Value) -> tuple[Value, Value, Value, Value]:
        """Codes times mantissa: (issued, the first, the last of the vector, of the beat)."""
        parts = self._port // (CODE * self._lanes)
        count = beats(self._stage.output_size, self._lanes)
        part, index, mul = Signal(range(parts)), Signal(range(count)), self.mul
        issued, last, spent = Signal(), Signal(), Signal()
        m.d.comb += [
            mul.valid.eq(valid),
            issued.eq(valid & mul.ready),
            last.eq(index == count - 1),
            spent.eq(last | (part == parts - 1)),
        ]
        codes = self.rows.p.word_select(part, CODE * self._lanes)
        for k in range(self._lanes):
            m.d.comb += mul.a[k].eq(codes.word_select(k, CODE).as_signed())
            m.d.comb += mul.b[k].eq(self._mantissa)
        with m.If(issued):
            m.d.sync += [part.eq(Mux(spent, 0, part + 1)), index.eq(Mux(last, 0, index + 1))]
        return issued, index == 0, last, spent

    def _answer(self, m: Module, answer: Requantise, issued: Value, first, last) -> None:
        """Products to ``o``."""
        right = requantise.right_shift(self._right, PRODUCT + LEFT)
        m.d.comb += [
            answer.reserve.eq(issued),
            answer.i.valid.eq(delay(m, issued, mac.LATENCY, "issued")),
            answer.i.p.first.eq(delay(m, first, mac.LATENCY, "first")),
            answer.i.p.last.eq(delay(m, last, mac.LATENCY, "last")),
            answer.i.p.scale.eq(delay(m, right, mac.LATENCY, "right")),
            answer.i.p.tag.eq(delay(m, self._tag.as_value(), mac.LATENCY, "tag")),
            self.saturated.eq(answer.saturated),
        ]
        for k in range(self._lanes):
            m.d.comb += answer.i.p.data[k].eq(self.mul.p[k][:PRODUCT].as_signed() << LEFT)
        wiring.connect(m, answer.o, wiring.flipped(self.o))

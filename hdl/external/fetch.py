"""Reads segments of the external memory ahead of their readers."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from hdl.external.itinerary import segment_layout
from hdl.external.layout import Layout
from hdl.external.program import Reader, readers
from hdl.stream import Queue

DEPTH = 1024
"""Beats of room: what the memory can go on reading while nobody takes any."""

PENDING = 16
"""Segments whose beats are not all taken yet."""


class Fetch(wiring.Component):
    """Commands go out as long as there is room for their beats.

    Throughput a beat a cycle; back-pressure at every reader.

    Members
    -------
    segments: stream of segments.  addresses: stream of beats to read.
    rdata, rvalid: what was read, in order.
    embed, norm, linear, keys, values, bias: streams of beats, one for each of ``readers``.
    """

    def __init__(self, layout: Layout):
        self._layout = layout
        self._segment = segment_layout(layout)
        super().__init__(
            {
                "segments": In(stream.Signature(self._segment)),
                "addresses": Out(stream.Signature(range(layout.end))),
                "rdata": In(layout.port),
                "rvalid": In(1),
                **{r.name.lower(): Out(stream.Signature(layout.port)) for r in readers(layout)},
            }
        )

    def elaborate(self, platform):
        m = Module()
        beats = self._segment.members["beats"]
        pending = Queue(data.StructLayout({"reader": Reader, "beats": beats}), PENDING)
        m.submodules.pending = pending
        taken = self._hand_out(m, pending)
        self._ask(m, pending, taken)
        return m

    def _ask(self, m: Module, pending: Queue, taken: Signal) -> None:
        """One address after the other, while there is room for what was asked for."""
        segment, ask = self.segments, self.addresses
        left, out, room = Signal(range(self._layout.end)), Signal(range(DEPTH + 1)), Signal(init=1)
        moved = Signal()
        m.d.comb += [
            ask.valid.eq((left != 0) & room),
            moved.eq(ask.valid & ask.ready),
            segment.ready.eq((left == 0) & pending.i.ready),
            pending.i.valid.eq(segment.valid & (left == 0)),
            pending.i.p.reader.eq(segment.p.reader),
            pending.i.p.beats.eq(segment.p.beats),
        ]
        m.d.sync += [out.eq(out + moved - taken), room.eq(out < DEPTH - 2)]
        with m.If(moved):
            m.d.sync += [ask.p.eq(ask.p + 1), left.eq(left - 1)]
        with m.If(segment.valid & segment.ready):
            m.d.sync += [ask.p.eq(segment.p.start), left.eq(segment.p.beats)]

    def _hand_out(self, m: Module, pending: Queue) -> Signal:
        """Every beat to the reader of its segment; whether one is taken."""
        m.submodules.beats = beats = SyncFIFOBuffered(width=self._layout.port, depth=DEPTH)
        reader, taken = pending.o.p.reader, Signal()
        count = Signal(range(self._layout.end))
        m.d.comb += [
            beats.w_data.eq(self.rdata),
            beats.w_en.eq(self.rvalid),
            beats.r_en.eq(taken),
        ]
        for each in readers(self._layout):
            port = getattr(self, each.name.lower())
            m.d.comb += [
                port.p.eq(beats.r_data),
                port.valid.eq(beats.r_rdy & pending.o.valid & (reader == each)),
            ]
            with m.If(port.valid & port.ready):
                m.d.comb += taken.eq(1)
        last = count == pending.o.p.beats - 1
        m.d.comb += pending.o.ready.eq(taken & last)
        with m.If(taken):
            m.d.sync += count.eq(count + 1)
            with m.If(last):
                m.d.sync += count.eq(0)
        return taken

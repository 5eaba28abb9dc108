"""Writes the keys and values of a token to the external memory."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.external.layout import Layout
from hdl.stream import Queue

ROOM = 4
"""Beats whose commands are out and that the memory has not taken."""


class Store(wiring.Component):
    """Gives every beat of a record its address.

    Throughput a beat a cycle.

    Members
    -------
    i: stream of beats: for every layer, for every head the record of its key, then of its value.
    begin, key_offset, value_offset: those of Itinerary.
    addresses: stream of beats to write.  wdata: stream of the beats.
    stored: all records of a layer have been asked to be written (one cycle).
    """

    def __init__(self, layout: Layout):
        self._layout = layout
        slots = layout.attention.slots
        super().__init__(
            {
                "i": In(stream.Signature(layout.port)),
                "begin": In(1),
                "key_offset": In(range(slots * layout.key_record)),
                "value_offset": In(range(slots * layout.mantissa_beats)),
                "addresses": Out(stream.Signature(range(layout.end))),
                "wdata": Out(stream.Signature(layout.port)),
                "stored": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        layout, i = self._layout, self.i
        record = layout.key_record + layout.mantissa_beats
        heads = layout.attention.kv_heads
        m.submodules.beats = beats = Queue(layout.port, ROOM)
        base = Signal(range(layout.end + 1))
        beat, head = Signal(range(record)), Signal(range(heads))
        values = layout.attention.slots * layout.key_record - layout.key_record
        of_key = beat < layout.key_record
        moved = Signal()
        m.d.comb += [
            self.addresses.valid.eq(i.valid & beats.i.ready),
            self.addresses.p.eq(
                base + beat + Mux(of_key, self.key_offset, self.value_offset + values)
            ),
            moved.eq(self.addresses.valid & self.addresses.ready),
            i.ready.eq(moved),
            beats.i.valid.eq(moved),
            beats.i.p.eq(i.p),
        ]
        wiring.connect(m, beats.o, wiring.flipped(self.wdata))
        with m.If(moved):
            m.d.sync += beat.eq(beat + 1)
            with m.If(beat == record - 1):
                m.d.sync += [beat.eq(0), base.eq(base + layout.head_beats), head.eq(head + 1)]
                with m.If(head == heads - 1):
                    m.d.sync += head.eq(0)
                    m.d.comb += self.stored.eq(1)
        with m.If(self.begin):
            m.d.sync += base.eq(layout.weights_end)
        return m

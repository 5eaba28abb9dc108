"""Where a token's walk through the external memory leads: one segment after the other."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl import wide_product
from hdl.external.layout import Layout, tensor_layout
from hdl.external.program import Reader, head_segments, layer_segments

PLACE = wide_product.LATENCY + 1
"""Cycles from a token to the place of its row."""


def segment_layout(layout: Layout) -> data.StructLayout:
    """Consecutive beats for one reader."""
    return data.StructLayout(
        {"reader": Reader, "start": range(layout.end), "beats": range(layout.end)}
    )


def token_layout(token_bits: int, position_bits: int) -> data.StructLayout:
    """A token that begins: which, where, and whether the head is read for it."""
    return data.StructLayout({"token": token_bits, "position": position_bits, "sample": 1})


class Itinerary(wiring.Component):
    """The segments of one token after the other.

    A segment a cycle at the most, none for four cycles when a token begins.  A sequence may begin
    at any position, which is counted to, a cycle each, before its token is taken.

    Members
    -------
    token: stream of :func:`token_layout`; positions of a sequence one by one.
    o: stream of :func:`segment_layout`.
    stored: the records of the next layer are written (one cycle); its cached segments wait for it.
    begin: a token begins (one cycle).  key_offset, value_offset: beats from the first record of a
        head to that of the token, from then on.
    """

    def __init__(self, layout: Layout, token_bits: int, position_bits: int):
        self._layout = layout
        attention = layout.attention
        super().__init__(
            {
                "token": In(stream.Signature(token_layout(token_bits, position_bits))),
                "o": Out(stream.Signature(segment_layout(layout))),
                "stored": In(1),
                "begin": Out(1),
                "key_offset": Out(range(attention.slots * layout.key_record)),
                "value_offset": Out(range(attention.slots * layout.mantissa_beats)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        layout = self._layout
        self._which, self._sample = Signal.like(self.token.p.token), Signal()
        self._stored = Signal()
        self._counters()
        weights, cache = (Signal(range(layout.end + 1), name=n) for n in ("weights", "cache"))
        layer = Signal(range(len(layout.plan.layers)))
        place, there = self._place(m), Signal()
        wait, position = Signal(range(PLACE)), self.token.p.position
        m.d.comb += there.eq((position == 0) | (position == self._position + 1))
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.token.ready.eq(there)
                m.d.sync += [weights.eq(0), cache.eq(layout.weights_end), wait.eq(PLACE - 1)]
                with m.If(self.token.valid):
                    m.d.sync += self._which.eq(self.token.p.token)
                    m.d.sync += self._sample.eq(self.token.p.sample)
                    self._count(m, self._position >= position)
                    with m.If(there):
                        m.d.comb += self.begin.eq(1)
                        m.next = "PLACE"
            with m.State("PLACE"):
                m.d.sync += wait.eq(wait - 1)
                with m.If(wait == 0):
                    m.next = "SCALE"
            with m.State("SCALE"):
                self._offer(m, Reader.EMBED, place[0], 1)
                with m.If(self.o.ready):
                    m.next = "ROW"
            with m.State("ROW"):
                self._offer(
                    m, Reader.EMBED, place[1], tensor_layout(layout.embed, layout.port).row_beats
                )
                with m.If(self.o.ready):
                    m.next = "LAYER"
            with m.State("LAYER"):
                layer_done = self._steps(m, "layer", layer_segments(layout), weights, cache)
                with m.If(layer_done):
                    m.d.sync += [layer.eq(layer + 1), self._stored.eq(0)]
                with m.If(layer_done & (layer == len(layout.plan.layers) - 1)):
                    m.d.sync += layer.eq(0)
                    with m.If(self._sample):
                        m.next = "HEAD"
                    with m.Else():
                        m.next = "IDLE"
            with m.State("HEAD"):
                head_done = self._steps(m, "head", head_segments(layout), weights, cache)
                with m.If(head_done):
                    m.next = "IDLE"
        with m.If(self.stored):
            m.d.sync += self._stored.eq(1)
        return m

    def _counters(self) -> None:
        """What hangs on a position; at reset it is 0."""
        layout = self._layout
        slots, key, value = layout.attention.slots, layout.key_record, layout.mantissa_beats
        self._position = Signal.like(self.token.p.position)
        self._slot, self._seen = Signal(range(slots)), Signal(range(slots + 1), init=1)
        self._keys = Signal(range(slots * key + 1), init=key)
        self._values = Signal(range(slots * value + 1), init=value)

    def _count(self, m: Module, restart: Value) -> None:
        """To the next position, or to 0: its slot, and how many records of heads are read there."""
        layout, slot, seen = self._layout, self._slot, self._seen
        slots = layout.attention.slots
        full, last = seen == slots, slot == slots - 1
        with m.If(restart):
            m.d.sync += [self._position.eq(0), slot.eq(0), seen.eq(1)]
            m.d.sync += [self.key_offset.eq(0), self.value_offset.eq(0)]
            m.d.sync += [
                self._keys.eq(layout.key_record),
                self._values.eq(layout.mantissa_beats),
            ]
        with m.Else():
            m.d.sync += [
                self._position.eq(self._position + 1),
                slot.eq(Mux(last, 0, slot + 1)),
                self.key_offset.eq(Mux(last, 0, self.key_offset + layout.key_record)),
                self.value_offset.eq(Mux(last, 0, self.value_offset + layout.mantissa_beats)),
            ]
            with m.If(~full):
                m.d.sync += [
                    seen.eq(seen + 1),
                    self._keys.eq(self._keys + layout.key_record),
                    self._values.eq(self._values + layout.mantissa_beats),
                ]

    def _place(self, m: Module) -> tuple[Signal, Signal]:
        """The beats of the scale and of the codes of the token's row, PLACE cycles later."""
        layout = self._layout
        form = tensor_layout(layout.embed, layout.port)
        bits = (form.tile - 1).bit_length()
        address = range(layout.end)
        part = self._which[:bits] if bits else Const(0, 1)
        tile, row = (
            wide_product.multiply(m, Cat(factor, Const(0, 1)).as_signed(), times, name)
            for name, factor, times in (
                ("tile", self._which >> bits, form.tile_beats), ("row", part, form.row_beats),
            )
        )  # fmt: skip
        scale, codes = Signal(address, name="scale_beat"), Signal(address, name="code_beat")
        m.d.sync += [
            scale.eq(layout.embedding + tile),
            codes.eq(layout.embedding + 1 + tile + row),
        ]
        return scale, codes

    def _offer(self, m: Module, reader, start, beats, valid=1) -> None:
        m.d.comb += [
            self.o.valid.eq(valid),
            self.o.p.reader.eq(reader),
            self.o.p.start.eq(start),
            self.o.p.beats.eq(beats),
        ]

    def _steps(self, m: Module, name: str, segments, weights: Signal, cache: Signal) -> Signal:
        """Offer one segment after the other; high when the last one is taken."""
        layout = self._layout
        step = Signal(range(max(len(segments), 2)), name=f"{name}_step")
        kind = Signal(Reader, name=f"{name}_kind")
        beats = Signal(range(layout.end), name=f"{name}_beats")
        m.d.comb += [
            kind.eq(Array(s.reader.value for s in segments)[step]),
            beats.eq(Array(s.beats for s in segments)[step]),
        ]
        keys, values = kind == Reader.KEYS, kind == Reader.VALUES
        values_start = cache + layout.attention.slots * layout.key_record
        ready = ~keys | self._stored
        self._offer(
            m, kind, Mux(keys, cache, Mux(values, values_start, weights)),
            Mux(keys, self._keys, Mux(values, self._values, beats)), ready,
        )  # fmt: skip
        taken, done = Signal(name=f"{name}_taken"), Signal(name=f"{name}_done")
        last = step == len(segments) - 1
        m.d.comb += [taken.eq(self.o.ready & ready), done.eq(taken & last)]
        with m.If(taken):
            m.d.sync += step.eq(Mux(last, 0, step + 1))
            with m.If(values):
                m.d.sync += cache.eq(cache + layout.head_beats)
            with m.Elif(~keys):
                m.d.sync += weights.eq(weights + beats)
        return done

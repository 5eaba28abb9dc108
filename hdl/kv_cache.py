"""The ring of cached keys or values: vectors come in as a stream, a reader picks beats."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.numbers import EXPONENT_BITS, Block, Format
from hdl.stream import Tags, beat


def index(outer: Value, inner: Value, size: int) -> Value:
    """``outer * size + inner``: wires when ``size`` is a power of two, else a few adders."""
    bits = (size - 1).bit_length()
    if size == 1 << bits:
        return Cat(Cat(inner, Const(0, bits))[:bits], outer)
    place = inner
    for k in range(bits):
        if size >> k & 1:
            place = place + (outer << k)
    return place


LATENCY = 1
SCAN_LATENCY = 2
"""Cycles from the last beat to ``held``, and what the scan for the largest exponent adds."""


class ReadPort(wiring.Signature):
    """A read of one beat: ``data`` and ``exponent`` follow 1 cycle after ``en``, and stay."""

    def __init__(self, lanes: int, form: Format, slots: int, beats: int):
        exponent = signed(EXPONENT_BITS) if isinstance(form, Block) else unsigned(0)
        super().__init__(
            {
                "slot": Out(range(slots)),
                "beat": Out(range(beats)),
                "en": Out(1),
                "data": In(data.ArrayLayout(signed(form.width), lanes)),
                "exponent": In(exponent),
            }
        )


class Ring(wiring.Component):
    """Keeps the last ``slots`` vectors of every (stream, layer, job) in block RAM.

    The vector of position ``p`` lies in slot ``p mod slots``. There is no divider: the positions of
    a stream come one by one from 0, each in every layer, and a counter for each (stream, layer,
    job) names the next slot; position 0 starts it anew. What an earlier sequence left is never
    read, for readers stop at ``final``.

    One vector is held at a time: ``i`` accepts a beat a cycle until the last beat, then none until
    ``release``. Latency from the last beat to ``held``: LATENCY cycles; with ``peak`` and a Block
    format ``final + SCAN_LATENCY`` more.

    Parameters
    ----------
    streams, layers, jobs: ranges of the tag's fields. peak: whether to find the largest exponent.

    Members
    -------
    i: stream of vectors.
    begun: a beat of the vector is in. held: the whole vector is. release: it is no longer read.
    tag: of the vector. final: the last slot to read, ``min(position, slots - 1)``.
    top: the largest exponent of slots 0 to ``final`` (with ``peak``).
    read: reads the slots of the held vector's ring.
    """

    def __init__(self, lanes, form, tags: Tags, slots, beats, streams, layers, jobs, peak=False):
        self._form, self._slots, self._beats, self._peak = form, slots, beats, peak
        self._streams, self._layers, self._jobs = streams, layers, jobs
        self._dynamic = isinstance(form, Block)
        port = ReadPort(lanes, form, slots, beats)
        super().__init__(
            {
                "i": In(stream.Signature(beat(lanes, form, tags))),
                "begun": Out(1),
                "held": Out(1),
                "release": In(1),
                "tag": Out(tags.layout()),
                "final": Out(range(slots)),
                "top": Out(port.members["exponent"].shape),
                "read": In(port),
            }
        )

    def elaborate(self, platform):
        m = Module()
        i, slots = self.i, self._slots
        rings = self._streams * self._layers * self._jobs
        tag = i.p.tag
        ring = index(index(tag.stream, tag.layer, self._layers), tag.job, self._jobs)
        ring_w, ring_r = Signal(range(rings)), Signal(range(rings))
        beat_w, slot_w = Signal(range(self._beats)), Signal(range(slots))
        full, take = Signal(), Signal()
        m.d.comb += [
            ring_w.eq(ring),
            i.ready.eq(~full),
            take.eq(i.valid & ~full),
            self.begun.eq(full | (beat_w != 0)),
        ]
        self._count(m, ring_w, slot_w, take, rings)
        with m.If(self.release):
            m.d.sync += full.eq(0)
        with m.If(take):
            m.d.sync += [
                beat_w.eq(Mux(i.p.last, 0, beat_w + 1)),
                full.eq(i.p.last),
                self.tag.eq(tag),
                ring_r.eq(ring_w),
                self.final.eq(Mux(tag.position >= slots - 1, slots - 1, tag.position)),
            ]
        self._store(m, take, index(ring_w, slot_w, slots), beat_w, ring_r, rings)
        if not self._dynamic:
            m.d.comb += self.held.eq(full)
            return m
        self._exponents(m, take, index(ring_w, slot_w, slots), ring_r, rings, full)
        return m

    def _count(self, m: Module, ring, slot, take, rings: int):
        """The slot to write: the ring's counter, or 0 at the start of a sequence."""
        m.submodules.counters = counters = memory.Memory(
            shape=unsigned(max((self._slots - 1).bit_length(), 1)), depth=max(rings, 2), init=[]
        )
        now, then = counters.read_port(domain="comb"), counters.write_port()
        m.d.comb += [
            now.addr.eq(ring),
            slot.eq(Mux(self.i.p.tag.position == 0, 0, now.data)),
            then.addr.eq(ring),
            then.data.eq(Mux(slot == self._slots - 1, 0, slot + 1)),
            then.en.eq(take & self.i.p.last),
        ]

    def _store(self, m: Module, take, place, beat_w, ring_r, rings: int):
        """The words: a beat each, the beats of a slot side by side."""
        width = len(self.i.p.data.as_value())
        m.submodules.words = words = memory.Memory(
            shape=unsigned(width), depth=max(rings * self._slots * self._beats, 2), init=[]
        )
        write, read = words.write_port(), words.read_port()
        m.d.comb += [
            write.addr.eq(index(place, beat_w, self._beats)),
            write.data.eq(self.i.p.data.as_value()),
            write.en.eq(take),
            read.addr.eq(
                index(index(ring_r, self.read.slot, self._slots), self.read.beat, self._beats)
            ),
            read.en.eq(self.read.en),
            self.read.data.as_value().eq(read.data),
        ]

    def _exponents(self, m: Module, take, place, ring_r, rings: int, full):
        """One exponent a slot; with ``peak``, the largest is found before the vector is held."""
        m.submodules.exponents = exponents = memory.Memory(
            shape=signed(EXPONENT_BITS), depth=max(rings * self._slots, 2), init=[]
        )
        write, read = exponents.write_port(), exponents.read_port()
        scan, scanning = Signal(range(self._slots)), Signal()
        slot = Mux(scanning, scan, self.read.slot)
        m.d.comb += [
            write.addr.eq(place),
            write.data.eq(self.i.p.exponent),
            write.en.eq(take & self.i.p.last),
            read.addr.eq(index(ring_r, slot, self._slots)),
            read.en.eq(scanning | self.read.en),
            self.read.exponent.eq(read.data),
        ]
        if not self._peak:
            m.d.comb += self.held.eq(full)
            return
        answered, first, last, scanned = Signal(), Signal(), Signal(), Signal()
        m.d.comb += self.held.eq(full & scanned)
        m.d.sync += [
            answered.eq(scanning),
            first.eq(scan == 0),
            last.eq(scan == self.final),
            scan.eq(Mux(scanning & (scan != self.final), scan + 1, 0)),
        ]
        with m.If(take & self.i.p.last):
            m.d.sync += [scanning.eq(1), scanned.eq(0)]
        with m.If(scanning & (scan == self.final)):
            m.d.sync += scanning.eq(0)
        with m.If(answered):
            m.d.sync += scanned.eq(last)
            with m.If(first | (read.data > self.top)):
                m.d.sync += self.top.eq(read.data)

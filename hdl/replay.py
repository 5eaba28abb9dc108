"""A vector that is offered again and again, while the next one arrives."""

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

VECTORS = 2
"""Vectors that are held: one is read while the next arrives."""


class Replay(wiring.Component):
    """Holds two vectors of up to ``depth`` beats and offers the older one until it is ``done``.

    A beat is offered from the cycle after it was accepted (when ``direct``: from the same cycle),
    so the first round may run while the vector arrives.  Throughput one beat a cycle on both sides,
    without a pause between rounds or vectors.  Back-pressure: ``i`` waits while both are held.

    Parameters
    ----------
    beat_shape: of what is kept for each beat.  vector_shape: of what all beats of a vector share.
    depth: the most beats of a vector.  direct: offer a beat in the cycle in which it arrives.

    Members
    -------
    i: ``beat``, ``vector``, ``last``.  o: the same, and ``first`` of a round.
    done: the beat taken from ``o`` is the last of the last round of its vector.
    """

    def __init__(self, beat_shape, vector_shape, depth: int, direct: bool = False):
        self._depth, self._direct = depth, direct
        kept = {"beat": beat_shape, "last": 1}
        shared = {"vector": vector_shape}
        self._kept = data.StructLayout(kept)
        self._shared = data.StructLayout(shared)
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout(kept | shared))),
                "o": Out(stream.Signature(data.StructLayout(kept | shared | {"first": 1}))),
                "done": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        i, o = self.i, self.o
        write, next_write = self._register(m, "write", range(self._depth))
        read, next_read = self._register(m, "read", range(self._depth))
        writing, next_writing = self._register(m, "writing")  # which of the two vectors
        reading, next_reading = self._register(m, "reading")
        full, next_full = self._register(m, "full", 2)
        there = Signal()  # a register, because all that the reader does hangs on it
        accepted, taken = i.valid & i.ready, o.valid & o.ready
        kept = self._memory(m, "beats", self._kept, (write, writing), (read, reading))
        shared = self._memory(m, "vectors", self._shared, (writing,), (reading,))
        m.d.comb += [
            i.ready.eq(~full.bit_select(writing, 1)),
            o.valid.eq(there | (i.valid if self._direct else 0)),
            o.p.first.eq(read == 0),
        ]
        for name, stored in (("beat", kept), ("last", kept), ("vector", shared)):
            stored = Value.cast(stored[name])
            if self._direct:
                stored = Mux(there, stored, Value.cast(i.p[name]))
            m.d.comb += Value.cast(o.p[name]).eq(stored)
        with m.If(accepted):
            m.d.comb += next_write.eq(Mux(i.p.last, 0, write + 1))
            with m.If(i.p.last):
                m.d.comb += [next_writing.eq(~writing), next_full.bit_select(writing, 1).eq(1)]
        with m.If(taken):
            m.d.comb += next_read.eq(Mux(o.p.last, 0, read + 1))
            with m.If(self.done):
                m.d.comb += [next_reading.eq(~reading), next_full.bit_select(reading, 1).eq(0)]
        whole = next_full.bit_select(next_reading, 1)
        m.d.sync += there.eq(whole | (next_read != next_write))
        return m

    def _register(self, m: Module, name: str, shape=1) -> tuple[Signal, Signal]:
        """A register, and what it will hold: the same, unless that is assigned."""
        now, then = Signal(shape, name=name), Signal(shape, name=f"next_{name}")
        m.d.comb += then.eq(now)
        m.d.sync += now.eq(then)
        return now, then

    def _memory(self, m: Module, name: str, layout, write: tuple, read: tuple):
        """A distributed memory for both vectors; the view that is read."""
        depth = 1 << len(Cat(write))
        store = Memory(shape=Shape.cast(layout), depth=depth, init=[])
        m.submodules[name] = store
        port_w, port_r = store.write_port(), store.read_port(domain="comb")
        m.d.comb += [
            port_w.addr.eq(Cat(write)),
            port_w.en.eq(self.i.valid & self.i.ready),
            port_r.addr.eq(Cat(read)),
        ]
        fields = [Value.cast(self.i.p[field]) for field in layout.members]
        m.d.comb += port_w.data.eq(Cat(fields))
        return layout(port_r.data)


class Repeat(wiring.Component):
    """Gives every vector to ``ways`` readers, to the first of them first, one after the other.

    Holds VECTORS vectors.  Latency 0 to the first reader; throughput one beat a cycle.
    Back-pressure: ``i`` waits while VECTORS vectors are held.

    Parameters
    ----------
    beat: layout of a beat (hdl.stream.beat).  depth: the most beats of a vector.

    Members
    -------
    i, o[k]: streams of ``beat``.
    """

    def __init__(self, beat: data.StructLayout, depth: int, ways: int):
        self._beat, self._depth, self._ways = beat, depth, ways
        super().__init__(
            {"i": In(stream.Signature(beat)), "o": Out(stream.Signature(beat)).array(ways)}
        )

    def elaborate(self, platform):
        m = Module()
        fields = self._beat.members
        vector = data.StructLayout({"tag": fields["tag"], "exponent": fields["exponent"]})
        m.submodules.replay = replay = Replay(fields["data"], vector, self._depth, direct=True)
        i, kept = self.i, replay.o
        way = Signal(range(self._ways))
        m.d.comb += [
            replay.i.valid.eq(i.valid),
            i.ready.eq(replay.i.ready),
            replay.i.p.beat.eq(i.p.data),
            replay.i.p.vector.tag.eq(i.p.tag),
            replay.i.p.vector.exponent.eq(i.p.exponent),
            replay.i.p.last.eq(i.p.last),
            replay.done.eq(kept.p.last & (way == self._ways - 1)),
        ]
        for k, o in enumerate(self.o):
            m.d.comb += [
                o.valid.eq(kept.valid & (way == k)),
                o.p.data.eq(kept.p.beat),
                o.p.tag.eq(kept.p.vector.tag),
                o.p.exponent.eq(kept.p.vector.exponent),
                o.p.first.eq(kept.p.first),
                o.p.last.eq(kept.p.last),
            ]
            with m.If(way == k):
                m.d.comb += kept.ready.eq(o.ready)
        with m.If(kept.valid & kept.ready & kept.p.last):
            m.d.sync += way.eq(Mux(replay.done, 0, way + 1))
        return m

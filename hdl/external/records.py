"""Keys and values of a token on their way to the external memory."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.external.attention_shape import Shape
from hdl.stream import Tags, beat


class Heads(wiring.Component):
    """A vector of heads as beats of a memory: every head begins with a beat of its own.

    Takes a vector, ``full`` until ``release``; the places that no element has hold zeros.

    Members
    -------
    i: beats of ``shape.lanes`` elements.  full, exponent: the vector is in.
    read: which beat; data: that beat, in the same cycle.
    """

    def __init__(self, shape: Shape, form, tags: Tags):
        self._shape, self._form = shape, form
        depth = shape.job.kv_heads * shape.beats
        super().__init__(
            {
                "i": In(stream.Signature(beat(shape.lanes, form, tags))),
                "full": Out(1),
                "exponent": Out(shape.exponent()),
                "release": In(1),
                "read": In(range(depth)),
                "data": Out(shape.port),
            }
        )

    def elaborate(self, platform):
        m = Module()
        shape, i = self._shape, self.i
        width = shape.lanes * self._form.width
        chunks = shape.port // width
        depth = shape.job.kv_heads * shape.beats
        m.submodules.kept = kept = memory.Memory(shape=shape.port, depth=depth, init=[])
        write, read = kept.write_port(granularity=width), kept.read_port(domain="comb")
        chunk, at = Signal(range(chunks)), Signal(range(depth))
        left = Signal(range(shape.head_beats), init=shape.head_beats - 1)
        came = Signal()
        m.d.comb += [
            i.ready.eq(~self.full),
            came.eq(i.valid & i.ready),
            write.addr.eq(at),
            write.data.eq(Value.cast(i.p.data).replicate(chunks)),
            read.addr.eq(self.read),
            self.data.eq(read.data),
        ]
        for k in range(chunks):
            m.d.comb += write.en[k].eq(came & (chunk == k))
        with m.If(came):
            ends = left == 0
            m.d.sync += [
                left.eq(Mux(ends, shape.head_beats - 1, left - 1)),
                chunk.eq(Mux(ends | (chunk == chunks - 1), 0, chunk + 1)),
                self.exponent.eq(i.p.exponent),
            ]
            with m.If(ends | (chunk == chunks - 1)):
                m.d.sync += at.eq(at + 1)
            with m.If(i.p.last):
                m.d.sync += [at.eq(0), self.full.eq(1)]
        with m.If(self.release):
            m.d.sync += self.full.eq(0)
        return m


class Records(wiring.Component):
    """Takes k and v, in any order, and gives their records, head by head (hdl/external/layout.py).

    The next vectors are taken when the records have left.

    Members
    -------
    k, v: streams of vectors.  o: stream of beats.  done: the last one leaves.
    """

    def __init__(self, shape: Shape, tags: Tags):
        self._shape = shape
        self._k, self._v = Heads(shape, shape.job.key, tags), Heads(shape, shape.job.value, tags)
        super().__init__(
            {
                "k": In(stream.Signature(beat(shape.lanes, shape.job.key, tags))),
                "v": In(stream.Signature(beat(shape.lanes, shape.job.value, tags))),
                "o": Out(stream.Signature(shape.port)),
                "done": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.keys, m.submodules.values = keys, values = self._k, self._v
        wiring.connect(m, wiring.flipped(self.k), keys.i)
        wiring.connect(m, wiring.flipped(self.v), values.i)
        beats, heads = self._shape.beats, self._shape.job.kv_heads
        step, at = Signal(range(2 * beats + 1)), Signal.like(keys.read)
        o, last_step = self.o, step == 2 * beats
        start = Signal.like(at)
        m.d.comb += [
            o.valid.eq(keys.full & values.full),
            keys.read.eq(at),
            values.read.eq(at),
            o.p.eq(Mux(step <= beats, keys.data, values.data)),
            self.done.eq(o.valid & o.ready & last_step & (at == heads * beats - 1)),
            keys.release.eq(self.done),
            values.release.eq(self.done),
        ]
        with m.If(step == 0):
            m.d.comb += o.p.eq(Cat(keys.exponent, values.exponent))
        with m.If(o.valid & o.ready):
            m.d.sync += step.eq(Mux(last_step, 0, step + 1))
            with m.If(step == beats):  # back to the head's first beat, now of the value
                m.d.sync += at.eq(start)
            with m.Elif(last_step):
                m.d.sync += [at.eq(Mux(self.done, 0, at + 1)), start.eq(Mux(self.done, 0, at + 1))]
            with m.Elif(step != 0):
                m.d.sync += at.eq(at + 1)
        return m

"""The query of a token, as the passes over its keys read it."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.numbers import MANTISSA_BITS
from hdl.external.attention_shape import Shape
from hdl.stream import Tags, beat


class Query(wiring.Component):
    """Takes a query; ``full`` until ``release``.

    A word holds ``shape.elements`` elements of each of the heads that share a key; the places that
    no element has hold zeros.

    Members
    -------
    i: beats of ``shape.lanes`` elements.  full, exponent, tag: of the query that is in.
    head, part: which head of keys, which part of it; data: [head of the group][element], in the
    same cycle.
    """

    def __init__(self, shape: Shape, tags: Tags):
        self._shape = shape
        super().__init__(
            {
                "i": In(stream.Signature(beat(shape.lanes, shape.job.query, tags))),
                "full": Out(1),
                "exponent": Out(shape.exponent()),
                "tag": Out(tags.layout()),
                "release": In(1),
                "head": In(range(max(shape.job.kv_heads, 2))),
                "part": In(range(max(shape.parts, 2))),
                "data": Out(shape.products * MANTISSA_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        shape, i = self._shape, self.i
        width = shape.lanes * MANTISSA_BITS
        chunks = shape.elements // shape.lanes
        # A power of two of parts, so that a place is a head beside a part.
        bits = (shape.parts - 1).bit_length()
        depth = shape.job.kv_heads << bits
        word = shape.products * MANTISSA_BITS
        m.submodules.kept = kept = memory.Memory(shape=word, depth=depth, init=[])
        write, read = kept.write_port(granularity=width), kept.read_port(domain="comb")
        chunk, part = Signal(range(chunks)), Signal(range(max(shape.parts, 2)))
        member, head = Signal(range(shape.heads)), Signal(range(max(shape.job.kv_heads, 2)))
        left = Signal(range(shape.head_beats), init=shape.head_beats - 1)
        came, ends = Signal(), Signal()
        m.d.comb += [
            i.ready.eq(~self.full),
            came.eq(i.valid & i.ready),
            ends.eq(left == 0),
            write.addr.eq((head << bits) | part),
            write.data.eq(Value.cast(i.p.data).replicate(chunks * shape.heads)),
            read.addr.eq((self.head << bits) | self.part),
            self.data.eq(read.data),
        ]
        for g in range(shape.heads):
            for c in range(chunks):
                here = (member == g) & (chunk == c)
                m.d.comb += write.en[g * chunks + c].eq(came & here)
        with m.If(came):
            m.d.sync += [
                left.eq(Mux(ends, shape.head_beats - 1, left - 1)),
                chunk.eq(Mux(ends | (chunk == chunks - 1), 0, chunk + 1)),
                self.exponent.eq(i.p.exponent),
                self.tag.eq(i.p.tag),
            ]
            with m.If(ends):
                m.d.sync += [part.eq(0), member.eq(member + 1)]
                with m.If(member == shape.heads - 1):
                    m.d.sync += [member.eq(0), head.eq(head + 1)]
            with m.Elif(chunk == chunks - 1):
                m.d.sync += part.eq(part + 1)
            with m.If(i.p.last):
                m.d.sync += [head.eq(0), self.full.eq(1)]
        with m.If(self.release):
            m.d.sync += self.full.eq(0)
        return m

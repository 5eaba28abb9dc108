"""The gains of norms, out of beats of the external memory."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.external.layout import HALF
from hdl.stream import beats


class Gains(wiring.Component):
    """Splits beats of the memory into beats of ``lanes`` gains, vector by vector.

    Latency 0; throughput a beat of gains a cycle.  Back-pressure: holds ``i``.  What fills the last
    beat of a vector is dropped, but for the zeros in its last beat of gains.

    Parameters
    ----------
    size: gains of a vector.  lanes: of the norm; a power of two.  port: bits of a memory's beat.

    Members
    -------
    i: stream of beats (hdl.external.layout.Gains).  o: stream for ``gains`` of hdl.units.norm.Norm.

    Raises
    ------
    ValueError
        If a beat of the memory is not a whole number of beats of gains.
    """

    def __init__(self, size: int, lanes: int, port: int):
        if port % (HALF * lanes):
            raise ValueError(f"beats of {port} bits are not a whole number of {lanes} gains")
        self._parts, self._beats = port // (HALF * lanes), beats(size, lanes)
        gains = data.ArrayLayout(signed(HALF), lanes)
        super().__init__({"i": In(stream.Signature(port)), "o": Out(stream.Signature(gains))})

    def elaborate(self, platform):
        m = Module()
        i, o = self.i, self.o
        part, index = Signal(range(self._parts)), Signal(range(self._beats))
        final, spent = Signal(), Signal()
        m.d.comb += [
            final.eq(index == self._beats - 1),
            spent.eq(final | (part == self._parts - 1)),
            o.valid.eq(i.valid),
            o.p.as_value().eq(i.p.word_select(part, len(o.p.as_value()))),
            i.ready.eq(o.ready & spent),
        ]
        with m.If(o.valid & o.ready):
            m.d.sync += [part.eq(part + 1), index.eq(index + 1)]
            with m.If(spent):
                m.d.sync += part.eq(0)
            with m.If(final):
                m.d.sync += index.eq(0)
        return m

"""The biases of linear layers, out of beats of the external memory."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.external.layout import Biases as Form
from hdl.stream import Queue


class Biases(wiring.Component):
    """Keeps beats of the memory, and hands them out as beats of ``lanes`` biases.

    A whole vector has room, so that the next matrix comes by while one is still waited for.
    Latency 1 to the first bias, 2 where it comes in two beats.  Throughput a beat of biases a
    cycle, of those in two beats one in two.  Back-pressure: holds ``i`` when a vector is kept.
    What fills the last beat of a vector is dropped.

    Parameters
    ----------
    most: biases of the longest vector.  lanes: of the unit; a power of two.
    port: bits of a memory's beat.

    Members
    -------
    i: stream of beats (hdl.external.layout.Biases).  o: ``biases`` of hdl.units.bias.Bias.
    closes: the beat at ``o`` is the last of its vector.

    Raises
    ------
    ValueError
        If a beat of the memory is not a whole number of beats of biases, nor half a bias.
    """

    def __init__(self, most: int, lanes: int, port: int):
        self._bits, self._port = Form.width * lanes, port
        if port % self._bits and (lanes, port) != (1, Form.width // 2):
            raise ValueError(f"beats of {port} bits are not a whole number of {lanes} biases")
        self._depth = max(Form(most, port).beats, 2)
        biases = data.ArrayLayout(signed(Form.width), lanes)
        super().__init__(
            {
                "i": In(stream.Signature(port)),
                "o": Out(stream.Signature(biases)),
                "closes": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.kept = kept = Queue(self._port, self._depth)
        wiring.connect(m, wiring.flipped(self.i), kept.i)
        (self._joined if self._port < self._bits else self._split)(m, kept.o)
        return m

    def _split(self, m: Module, kept) -> None:
        """One part of a beat after the other."""
        parts = self._port // self._bits
        part, spent = Signal(range(parts)), Signal()
        m.d.comb += [
            spent.eq(self.closes | (part == parts - 1)),
            self.o.valid.eq(kept.valid),
            self.o.p.as_value().eq(kept.p.word_select(part, self._bits)),
            kept.ready.eq(self.o.ready & spent),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += part.eq(Mux(spent, 0, part + 1))

    def _joined(self, m: Module, kept) -> None:
        """The lower half, held in a register, and the upper."""
        low, there = Signal(self._port), Signal()
        m.d.comb += [
            self.o.valid.eq(kept.valid & there),
            self.o.p.as_value().eq(Cat(low, kept.p)),
            kept.ready.eq(~there | self.o.ready),
        ]
        with m.If(kept.valid & kept.ready):
            m.d.sync += [low.eq(kept.p), there.eq(~there)]

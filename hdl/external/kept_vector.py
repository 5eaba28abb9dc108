"""The vector that a matrix out of an external memory meets, and the sums of its groups."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.blocks import GROUP
from golden.numbers import EXPONENT_BITS, MANTISSA_BITS
from golden.stage import Linear as Stage
from hdl import adder
from hdl.adder import Adders
from hdl.stream import Tags, beat, beats, delay
from hdl.units.unit import moved

X_BITS = MANTISSA_BITS + (GROUP - 1).bit_length()
"""Width of the sum of a group's elements."""


def latency(lanes: int) -> int:
    """Cycles from the last beat of a vector to the last of its sums."""
    return adder.latency(lanes, lanes < GROUP)


class KeptVector(wiring.Component):
    """Keeps one vector after the other.

    A beat a cycle; ``full`` comes :func:`latency` cycles after the last.  Back-pressure: holds
    ``i`` unless ``open``, and from the last beat of a vector until ``full``.

    Members
    -------
    i: beats of the vector.  open: one may come.
    full: the vector and its sums can be read (one cycle).
    about: tag and exponent of the vector.
    word, elements: which beat of it to read; its elements a cycle later.
    group, sum: which group; the sum of its elements a cycle later.
    """

    def __init__(self, jobs: Sequence[Stage], lanes: int, tags: Tags):
        self._lanes = lanes
        self._depth = max(beats(job.input_size, lanes) for job in jobs)
        self._ratio = max(1, GROUP // lanes)  # beats of a group
        self._groups = max(self._depth // self._ratio, 1)
        about = data.StructLayout({"tag": tags.layout(), "exponent": signed(EXPONENT_BITS)})
        super().__init__(
            {
                "i": In(stream.Signature(beat(lanes, jobs[0].source, tags))),
                "open": In(1),
                "full": Out(1),
                "about": Out(about),
                "word": In(range(self._depth)),
                "elements": Out(data.ArrayLayout(signed(MANTISSA_BITS), lanes)),
                "group": In(range(self._groups)),
                "sum": Out(signed(X_BITS)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        i, came, last = self.i, Signal(), Signal()
        whole = Signal()  # the last beat is in, its sum perhaps not yet
        m.d.comb += [
            i.ready.eq(self.open & ~whole),
            came.eq(i.valid & i.ready),
            last.eq(moved(i, "last")),
            self.full.eq(delay(m, last, latency(self._lanes), "full")),
        ]
        m.d.sync += whole.eq(last | (whole & ~self.full))
        with m.If(came):
            m.d.sync += [self.about.tag.eq(i.p.tag), self.about.exponent.eq(i.p.exponent)]
        self._elements(m, came)
        self._sums(m, came)
        return m

    def _elements(self, m: Module, came: Signal) -> None:
        shape = self._lanes * MANTISSA_BITS
        m.submodules.vector = kept = memory.Memory(shape=shape, depth=self._depth, init=[])
        write, read = kept.write_port(), kept.read_port()
        place = Signal(range(self._depth))
        m.d.comb += [
            write.en.eq(came),
            write.addr.eq(place),
            write.data.eq(self.i.p.data),
            read.addr.eq(self.word),
            self.elements.as_value().eq(read.data),
        ]
        with m.If(came):
            m.d.sync += place.eq(place + 1)
            with m.If(self.i.p.last):
                m.d.sync += place.eq(0)

    def _sums(self, m: Module, came: Signal) -> None:
        """The sum of every group, as the vector comes in: beats of a group are added."""
        i, ratio = self.i, self._ratio
        m.submodules.adders = adders = Adders(1, self._lanes, MANTISSA_BITS, X_BITS, ratio > 1)
        m.submodules.sums = kept = memory.Memory(shape=signed(X_BITS), depth=self._groups, init=[])
        write, read = kept.write_port(), kept.read_port()
        wait, bits = latency(self._lanes), ratio.bit_length() - 1
        count, closes = Signal(range(self._depth + 1)), Signal()
        place = Signal(range(max(self._groups, 2)))
        m.d.comb += [
            adders.products.eq(i.p.data),
            adders.valid.eq(came),
            adders.first.eq((count[:bits] == 0) if bits else 1),
            closes.eq(came & ((count[:bits] == ratio - 1) if bits else 1)),
            place.eq(count >> bits),
            write.en.eq(delay(m, closes, wait, "closes")),
            write.addr.eq(delay(m, place, wait, "place")),
            write.data.eq(adders.sums[0]),
            read.addr.eq(self.group),
            self.sum.eq(read.data),
        ]
        with m.If(came):
            m.d.sync += count.eq(count + 1)
            with m.If(i.p.last):
                m.d.sync += count.eq(0)

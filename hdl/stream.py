"""Beats, and what stands between units: queues, width converters, forks.

Every vector travels as beats of ``lanes`` elements, ``first`` to ``last``, over a valid/ready
stream.  A beat carries the vector's exponent (no bits when the format is static) and its
:class:`Tags`.
"""

from dataclasses import dataclass

from amaranth.hdl import Module, Mux, Shape, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.numbers import EXPONENT_BITS, Block, Format
from hdl import queue_memory


@dataclass(frozen=True)
class Tags:
    """Widths of the tag that travels with every vector (0 bits where there is no choice).

    stream: which sequence slot; position: of the token; layer: of the model; job: which of the
    stages that share the unit; sample (1 bit): whether a token is to be sampled after this one.
    """

    stream: int
    position: int
    layer: int
    job: int = 0

    def layout(self) -> data.StructLayout:
        return data.StructLayout(
            {
                "stream": unsigned(self.stream),
                "position": unsigned(self.position),
                "layer": unsigned(self.layer),
                "job": unsigned(self.job),
                "sample": unsigned(1),
            }
        )


def beat(lanes: int, form: Format, tags: Tags) -> data.StructLayout:
    """Payload of a vector stream: ``lanes`` mantissas of ``form`` and what describes them."""
    return data.StructLayout(
        {
            "data": data.ArrayLayout(signed(form.width), lanes),
            "exponent": signed(EXPONENT_BITS) if isinstance(form, Block) else unsigned(0),
            "tag": tags.layout(),
            "first": unsigned(1),
            "last": unsigned(1),
        }
    )


def beats(size: int, lanes: int) -> int:
    """Beats of a vector of ``size`` elements."""
    return -(-size // lanes)


class Queue(wiring.Component):
    """First in, first out; ``depth`` beats.  Throughput 1 beat a cycle (depth >= 2, or ``bypass``).

    Latency 1 cycle; with ``bypass`` 0, when it is empty and the reader is ready.  A deep and large
    one is kept in block RAM (hdl.queue_memory), with the same timing.

    Members
    -------
    i, o: streams of ``shape``.
    """

    def __init__(self, shape, depth: int, bypass: bool = False):
        self._shape, self._depth, self._bypass = shape, depth, bypass
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        m = Module()
        # Registers tell whether there is a beat and room: all that streams touch hangs on them.
        level, there, room = Signal(range(self._depth + 1)), Signal(), Signal(init=1)
        past, put, get = Signal(), Signal(), Signal()
        if self._bypass:  # the arriving beat goes past the empty queue
            m.d.comb += past.eq(~there & self.o.ready)
        m.d.comb += [
            put.eq(self.i.valid & room & ~past),
            get.eq(there & self.o.ready),
            self.i.ready.eq(room),
        ]
        with m.If(put & ~get):
            m.d.sync += [level.eq(level + 1), there.eq(1), room.eq(level != self._depth - 1)]
        with m.If(get & ~put):
            m.d.sync += [level.eq(level - 1), there.eq(level != 1), room.eq(1)]
        alone = ~there | (level == 1)
        stored = self._stored(m, put, get, alone, ~there | self.o.ready)
        leaving, arriving = Value.cast(self.o.p), Value.cast(self.i.p)
        if self._bypass:
            m.d.comb += [
                leaving.eq(Mux(there, stored, arriving)),
                self.o.valid.eq(there | self.i.valid),
            ]
        else:
            m.d.comb += [leaving.eq(stored), self.o.valid.eq(there)]
        return m

    def _stored(self, m: Module, put: Value, get: Value, alone: Value, turns: Value) -> Value:
        """The oldest beat: see hdl.queue_memory."""
        split, arriving = self._data_bits(), Value.cast(self.i.p)
        parts = [part for part in (arriving[:split], arriving[split:]) if len(part)]
        deep = queue_memory.in_blocks(len(arriving), self._depth)
        keep = queue_memory.block if deep else queue_memory.distributed
        return keep(m, parts, self._depth, put, get, alone, turns)

    def _data_bits(self) -> int:
        """Bits of a beat's data, which come first; of another shape all that there are."""
        shape = self._shape
        if isinstance(shape, data.StructLayout) and next(iter(shape.members)) == "data":
            return Shape.cast(shape.members["data"]).width
        return Shape.cast(shape).width


class CreditQueue(wiring.Component):
    """A queue behind a pipeline that cannot stall: room is reserved before work is issued.

    Latency 1 cycle; with ``bypass`` 0, when it is empty.

    Members
    -------
    i: ``valid`` and ``p`` only; ``ready`` is not looked at by the writer.
    o: stream of ``shape``.
    reserve: take one place (in the cycle in which work is issued that will answer one beat).
    free: at least one place is left.
    """

    def __init__(self, shape, depth: int, bypass: bool = False):
        self._shape, self._depth, self._bypass = shape, depth, bypass
        super().__init__(
            {
                "i": In(stream.Signature(shape)),
                "o": Out(stream.Signature(shape)),
                "reserve": In(1),
                "free": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = Queue(self._shape, self._depth, self._bypass)
        taken, free = Signal(range(self._depth + 1)), Signal(init=1)
        gone = self.o.valid & self.o.ready
        with m.If(self.reserve & ~gone):
            m.d.sync += [taken.eq(taken + 1), free.eq(taken != self._depth - 1)]
        with m.If(gone & ~self.reserve):
            m.d.sync += [taken.eq(taken - 1), free.eq(1)]
        m.d.comb += self.free.eq(free)
        wiring.connect(m, wiring.flipped(self.i), queue.i)
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        return m


class Widen(wiring.Component):
    """Gathers ``lanes_o / lanes_i`` narrow beats of a vector of ``size`` elements into wide ones.

    Latency 0 from the last of a group, which passes by the registers that hold the others;
    throughput one narrow beat a cycle.  A last wide beat that is not full is filled with zeros.
    """

    def __init__(self, form: Format, lanes_i: int, lanes_o: int, tags: Tags, size: int):
        self._ratio = lanes_o // lanes_i
        self._even = beats(size, lanes_i) % self._ratio == 0  # every wide beat is full
        super().__init__(
            {
                "i": In(stream.Signature(beat(lanes_i, form, tags))),
                "o": Out(stream.Signature(beat(lanes_o, form, tags))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        i, o = self.i, self.o
        count = Signal(range(self._ratio))
        first = Signal()
        narrow = i.p.data.as_value()
        parts = o.p.data.as_value()
        complete = i.p.last | (count == self._ratio - 1)
        m.d.comb += [
            o.valid.eq(i.valid & complete),
            i.ready.eq(o.ready | ~complete),
            o.p.first.eq(Mux(count == 0, i.p.first, first)),
            o.p.last.eq(i.p.last),
            o.p.tag.eq(i.p.tag),
            o.p.exponent.eq(i.p.exponent),
        ]
        for k in range(self._ratio):
            held = Signal(len(narrow), name=f"part{k}")
            with m.If(i.valid & (count == k)):
                m.d.sync += held.eq(narrow)
            if self._even:  # what arrives completes the beat: nothing to choose
                part = narrow if k == self._ratio - 1 else held
            else:
                part = Mux(count == k, narrow, Mux(count > k, held, 0))
            m.d.comb += parts.word_select(k, len(narrow)).eq(part)
        with m.If(i.valid & i.ready):
            m.d.sync += count.eq(Mux(complete, 0, count + 1))
            with m.If(count == 0):
                m.d.sync += first.eq(i.p.first)
        return m


class Narrow(wiring.Component):
    """Splits wide beats into narrow ones; of a vector of ``size`` elements only what it needs.

    Latency 0; one narrow beat a cycle.  ``last`` is set on the narrow beat that holds the last
    element; the zeros behind it are dropped.
    """

    def __init__(self, form: Format, lanes_i: int, lanes_o: int, tags: Tags, size: int):
        self._ratio, self._beats = lanes_i // lanes_o, beats(size, lanes_o)
        super().__init__(
            {
                "i": In(stream.Signature(beat(lanes_i, form, tags))),
                "o": Out(stream.Signature(beat(lanes_o, form, tags))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        i, o = self.i, self.o
        part = Signal(range(self._ratio))
        index = Signal(range(self._beats))
        final = index == self._beats - 1
        used_up = final | (part == self._ratio - 1)
        width = len(o.p.data.as_value())
        m.d.comb += [
            o.valid.eq(i.valid),
            i.ready.eq(o.ready & used_up),
            o.p.data.as_value().eq(i.p.data.as_value().word_select(part, width)),
            o.p.first.eq(index == 0),
            o.p.last.eq(final),
            o.p.tag.eq(i.p.tag),
            o.p.exponent.eq(i.p.exponent),
        ]
        with m.If(o.valid & o.ready):
            m.d.sync += [
                part.eq(Mux(used_up, 0, part + 1)),
                index.eq(Mux(final, 0, index + 1)),
            ]
        return m


class Fork(wiring.Component):
    """Hands every beat to ``ways`` readers, each in its own time.  Latency 0; one beat a cycle."""

    def __init__(self, shape, ways: int):
        super().__init__(
            {
                "i": In(stream.Signature(shape)),
                "o": Out(stream.Signature(shape)).array(ways),
            }
        )
        self._ways = ways

    def elaborate(self, platform):
        m = Module()
        taken = Signal(self._ways)
        done = Signal(self._ways)
        for k in range(self._ways):
            o = self.o[k]
            m.d.comb += [
                o.p.eq(self.i.p),
                o.valid.eq(self.i.valid & ~taken[k]),
                done[k].eq(taken[k] | o.ready),
            ]
        m.d.comb += self.i.ready.eq(done.all())
        with m.If(self.i.valid):
            m.d.sync += taken.eq(Mux(self.i.ready, 0, done))
        return m


def delay(m: Module, value, cycles: int, name: str, domain: str = "sync"):
    """``value`` as it was ``cycles`` cycles ago."""
    shape = value.shape()
    for k in range(cycles):
        stage = Signal(shape, name=f"{name}_{k + 1}")
        m.d[domain] += stage.eq(value)
        value = stage
    return value

"""Frames of the host link (golden/protocol.py) from bytes, and bytes from frames."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.crc import Processor, catalog
from amaranth.lib.wiring import In, Out

from golden.protocol import CRC_NAME, ESCAPE, FLAG, FLIP, REPLY, UNKNOWN, Refusal
from hdl.byte_memory import ByteMemory

LENGTH_BITS = 16
"""Width of a length in a header."""


def layout(fields) -> data.StructLayout:
    """Fields of the protocol as a struct, least significant first."""
    return data.StructLayout({name: unsigned(8 * count) for name, count in fields.items()})


def frame_layout(length_bits: int) -> data.StructLayout:
    """A good frame; ``stored``: all of its payload is in the deframer's memory."""
    return data.StructLayout(
        {"type": 8, "number": 8, "length": unsigned(length_bits), "stored": unsigned(1)}
    )


REFUSED = data.StructLayout({"refusal": Refusal, "number": unsigned(8)})
"""A frame that is not acted on, and its number if it is known."""

EVENTS = data.StructLayout({"frames": 1, "bad_crc": 1, "bad_frames": 1})
"""What ended: a good frame, one with a wrong CRC, or what is no frame for another reason."""

DONE, OVER = 6, 7
"""Bytes of a frame that have come: type, number, two of length, payload, two of CRC; or too many.
While the payload comes this stays at 4."""


class Deframer(wiring.Component):
    """Finds frames in bytes, and keeps the payload until the CRC has shown that it is right.

    Latency: a frame, good or refused, comes a cycle after its flag.  Throughput: a byte a cycle.
    Back-pressure: bytes cannot wait; a frame that begins before the one before was taken from
    ``frames`` is dropped, and a payload that comes while ``locked`` is not stored.

    Byte j of a payload of n bytes is at address n - j of the memory, which is read with a cycle of
    latency.

    Parameters
    ----------
    length_bits: payloads have less than ``2**length_bits`` bytes.

    Members
    -------
    i: bytes.
    frames: good frames: CRC and length are right, and the type is one of a request.
    refused: frames that deserve an ERROR; one that nobody takes is only counted.
    events: what ended in this cycle.
    locked: the memory is being read, and keeps its contents.
    address, data: of the memory.

    Raises
    ------
    ValueError: length_bits is not from 1 to LENGTH_BITS.
    """

    def __init__(self, length_bits: int):
        if not 1 <= length_bits <= LENGTH_BITS:
            raise ValueError(f"{length_bits} bits of length; expected 1 to {LENGTH_BITS}")
        self._length_bits = length_bits
        super().__init__(
            {
                "i": In(stream.Signature(8, always_ready=True)),
                "frames": Out(stream.Signature(frame_layout(length_bits))),
                "refused": Out(stream.Signature(REFUSED, always_ready=True)),
                "events": Out(EVENTS),
                "locked": In(1),
                "address": In(length_bits),
                "data": Out(8),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.crc = crc = Processor(getattr(catalog, CRC_NAME)())
        escape, lost, come = Signal(), Signal(), Signal(range(OVER + 1))
        oversized, left = Signal(), Signal(self._length_bits, reset_less=True)
        flag = self.i.valid & (self.i.p == FLAG)
        byte = Signal(8)
        taken = Signal()
        m.d.comb += [
            byte.eq(Mux(escape, self.i.p ^ FLIP, self.i.p)),
            taken.eq(self.i.valid & (self.i.p != FLAG) & (self.i.p != ESCAPE)),
            crc.data.eq(byte),
            crc.valid.eq(taken),
            crc.start.eq(flag),
        ]
        m.d.sync += self.refused.valid.eq(0)
        with m.If(self.frames.ready):
            m.d.sync += self.frames.valid.eq(0)
        with m.If(flag):
            m.d.sync += [come.eq(0), escape.eq(0), lost.eq(0)]
            with m.If(come.any() | lost):
                self._end(m, lost | escape | (come < 4), crc.match_detected, oversized, come)
        with m.Elif(self.i.valid):
            m.d.sync += escape.eq(~taken)
            with m.If(self.frames.valid):
                m.d.sync += lost.eq(1)
            with m.Elif(taken):
                self._take(m, byte, come, left, oversized)
        self._memory(m, taken & (come == 4) & ~self.locked & ~lost & ~self.frames.valid, left, byte)
        return m

    def _take(self, m: Module, byte, come, left, oversized):
        """The next byte of a frame, its stuffing undone."""
        head = self.frames.p
        low = min(self._length_bits, 8)
        with m.Switch(come):
            with m.Case(0):
                m.d.sync += [head.type.eq(byte), head.stored.eq(1)]
            with m.Case(1):
                m.d.sync += head.number.eq(byte)
            with m.Case(2):
                m.d.sync += [head.length[:8].eq(byte), oversized.eq((byte >> low).any())]
            with m.Case(3):
                length = Cat(head.length[:low], byte)[: self._length_bits]
                m.d.sync += [head.length.eq(length), left.eq(length)]
                with m.If((byte >> (self._length_bits - low)).any()):
                    m.d.sync += oversized.eq(1)
            with m.Case(4):
                m.d.sync += left.eq(left - 1)
                with m.If(self.locked):
                    m.d.sync += head.stored.eq(0)
        with m.If((come != OVER) & ((come != 4) | (left == 0))):
            m.d.sync += come.eq(come + 1)

    def _end(self, m: Module, dropped, right, oversized, come):
        """What a frame was, at its flag."""
        head, refused, events = self.frames.p, self.refused, self.events
        with m.If(dropped):
            m.d.comb += events.bad_frames.eq(1)
        with m.Elif(~right):
            m.d.comb += events.bad_crc.eq(1)
            m.d.sync += refused.valid.eq(1)
            m.d.sync += [refused.p.refusal.eq(Refusal.BAD_CRC), refused.p.number.eq(UNKNOWN)]
        with m.Elif(head.type & REPLY):
            m.d.comb += events.bad_frames.eq(1)
        with m.Elif(oversized | (come != DONE)):
            code = Mux(oversized, Refusal.OVERSIZED, Refusal.BAD_LENGTH)
            m.d.comb += events.bad_frames.eq(1)
            m.d.sync += refused.valid.eq(1)
            m.d.sync += [refused.p.refusal.eq(code), refused.p.number.eq(head.number)]
        with m.Else():
            m.d.comb += events.frames.eq(1)
            m.d.sync += self.frames.valid.eq(1)

    def _memory(self, m: Module, store, left, byte):
        m.submodules.payload = payload = ByteMemory(self._length_bits)
        m.d.comb += [
            payload.address.eq(left),
            payload.data.eq(byte),
            payload.write.eq(store),
            payload.reads[0].eq(self.address),
            self.data.eq(payload.answers[0]),
        ]


def message_layout(address_bits: int) -> data.StructLayout:
    """A frame to send; its payload is ``length`` bytes of a memory, ``address`` to ``last``."""
    places = dict.fromkeys(("length", "address", "last"), address_bits)
    fields = {"type": 8, "number": 8, **places}
    return data.StructLayout(fields)


class Framer(wiring.Component):
    """Sends frames whose payload is in a memory.

    Throughput: a byte every three cycles.  Back-pressure: ``o`` waits as long as it must.

    Parameters
    ----------
    address_bits: of the memory, at most 8.

    Members
    -------
    messages: frames; taken when their last byte is.
    address, data: of the memory, which is read with a cycle of latency.
    o: bytes.
    """

    def __init__(self, address_bits: int):
        super().__init__(
            {
                "messages": In(stream.Signature(message_layout(address_bits))),
                "address": Out(address_bits),
                "data": In(8),
                "o": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.crc = crc = Processor(getattr(catalog, CRC_NAME)())
        message = self.messages.p
        parts = [FLAG, message.type, message.number, message.length, 0, self.data]
        parts += [crc.crc[8:], crc.crc[:8], FLAG]
        opening, payload, closing = 0, 5, 8
        part = Signal(range(len(parts)))
        byte, flag, stuffed, escaped, gone = Signal(8), *(Signal() for _ in range(4))
        read, settled = Signal(), Signal()
        with m.Switch(part):
            for k, value in enumerate(parts):
                with m.Case(k):
                    m.d.sync += byte.eq(value)
        m.d.comb += [
            flag.eq((part == opening) | (part == closing)),
            stuffed.eq(~flag & ~escaped & ((byte == FLAG) | (byte == ESCAPE))),
            self.o.valid.eq(self.messages.valid & settled),
            self.o.p.eq(Mux(stuffed, ESCAPE, Mux(escaped, byte ^ FLIP, byte))),
            gone.eq(self.o.valid & self.o.ready & ~stuffed),
            crc.start.eq(part == opening),
            crc.data.eq(byte),
            crc.valid.eq(gone & ~flag & (part <= payload)),
            self.messages.ready.eq(gone & (part == closing)),
        ]
        # After a byte the memory is read, and then the next byte chosen.
        m.d.sync += [read.eq(~gone), settled.eq(read & ~gone)]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += escaped.eq(stuffed)
        with m.If(part == opening):
            m.d.sync += self.address.eq(message.address)
        with m.Elif(gone & (part == payload)):
            m.d.sync += self.address.eq(self.address + 1)
        with m.If(gone):
            # No payload: from the length to the CRC.
            m.d.sync += part.eq(part + 1)
            with m.If((part == payload - 1) & (message.length == 0)):
                m.d.sync += part.eq(payload + 1)
            with m.Elif((part == payload) & (self.address != message.last)):
                m.d.sync += part.eq(payload)
            with m.Elif(part == closing):
                m.d.sync += part.eq(opening)
        return m

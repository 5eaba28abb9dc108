"""Acts on LOAD frames: writes chunks into an external memory, and tells the CRC of what lies there.

What the frames say is in golden/protocol.py.
"""

from amaranth.hdl import Array, Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.crc import Processor, catalog
from amaranth.lib.wiring import In, Out

from golden import protocol
from golden.protocol import Refusal
from hdl.external.port import MemoryPort
from hdl.frames import layout

CHUNK_BITS = 10
"""Width of the length of a LOAD: a block RAM of most chips, and little of it for the frame."""

BEGIN = 19
"""Cycles before the first byte of data: two for each of the region's, and three to judge it."""

HEAD = protocol.size(protocol.REGION)
ADDRESS_BITS = (protocol.size(protocol.MEMORY) - 1).bit_length()
"""Of a byte in the payload of a reply."""


class Loader(wiring.Component):
    """Reads a LOAD out of a deframer's memory (byte j of n bytes at address n - j) and acts on it.

    A region that is not inside the memory, or a payload of another length than it asks for, is
    refused before anything is written.

    Latency: BEGIN cycles, and two for every byte of data; without data one for every byte and three
    for every beat.  Longer by what the memory lets it wait, and by nothing else.

    Parameters
    ----------
    width: of the memory's port, in bits.  beats: of the memory.  length_bits: of the frames.

    Members
    -------
    start: act on a payload; not while ``busy``.
    length: of the payload, until ``done``.
    busy: at work, and the only user of the memory.
    done: with it (one cycle).  refused, refusal: nothing was done.
    address, data: of the deframer's memory, which is read with a cycle of latency.
    reply_address, reply_data: the payload of the reply, which is read with a cycle of latency; it
        stays until the next ``start``.
    memory: port of the external memory.

    Raises
    ------
    ValueError: the memory or its beats do not fit the frames.
    """

    def __init__(self, width: int, beats: int, length_bits: int = CHUNK_BITS):
        self._bytes, self._beats, self.length_bits = width // 8, beats, length_bits
        self.chunk_beats = ((1 << length_bits) - 1 - HEAD) // self._bytes
        if self._bytes not in (2, 4, 8, 16) or self.chunk_beats < 1:
            raise ValueError(
                f"beats of {width} bits in frames with {length_bits} bits of length; expected "
                "beats of 16, 32, 64 or 128 bits, and room for one"
            )
        if not 1 <= beats < 1 << 32:
            raise ValueError(f"a memory of {beats} beats; expected less than 2**32")
        super().__init__(
            {
                "start": In(1),
                "length": In(length_bits),
                "busy": Out(1),
                "done": Out(1),
                "refused": Out(1),
                "refusal": Out(Refusal),
                "address": Out(length_bits),
                "data": In(8),
                "reply_address": In(ADDRESS_BITS),
                "reply_data": Out(8),
                "memory": Out(MemoryPort((beats - 1).bit_length() or 1, width)),
            }
        )
        self._region = Signal(layout(protocol.REGION), reset_less=True)
        self._end = Signal(33, reset_less=True)
        self._beat = Signal(width, reset_less=True)
        self._left = Signal(range(max(HEAD, self._bytes)), reset_less=True)
        self._writing = Signal(reset_less=True)
        # The byte at the cursor has come; what is taken then moves the cursor.
        self._cursor, self._there = Signal(length_bits, reset_less=True), Signal()

    def elaborate(self, platform):
        m = Module()
        m.submodules.crc = crc = Processor(catalog.CRC32_ISO_HDLC())
        m.d.comb += [
            self.address.eq(self._cursor),
            self.memory.command.p.address.eq(self._region.address),
            self.memory.command.p.write.eq(self._writing),
            self.memory.wdata.p.eq(self._beat),
            crc.start.eq(self.start),
        ]
        m.d.sync += self._there.eq(1)
        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))
            self._begin(m)
            self._judge(m)
            self._write(m, crc)
            self._check(m, crc)
            with m.State("DONE"):
                m.d.comb += self.done.eq(1)
                m.next = "IDLE"
        self._reply(m, crc)
        return m

    def _begin(self, m: Module):
        """The region, from the first bytes; what is too short for one is refused below."""
        with m.State("IDLE"):
            self._seek(m, self.length)
            m.d.sync += self._left.eq(HEAD - 1)
            with m.If(self.start):
                m.next = "HEAD"
        with m.State("HEAD"), m.If(self._there):
            region = self._region.as_value()
            m.d.sync += [region.eq(Cat(region, self.data) >> 8), self._left.eq(self._left - 1)]
            self._seek(m, self._cursor - 1)
            with m.If(self._left == 0):
                m.next = "SUM"

    def _seek(self, m: Module, cursor):
        m.d.sync += [self._cursor.eq(cursor), self._there.eq(0)]

    def _judge(self, m: Module):
        """Refuse, or begin to write or to check."""
        region, log2 = self._region, self._bytes.bit_length() - 1
        data = (self.length - HEAD)[: self.length_bits]
        with m.State("SUM"):
            m.d.sync += self._end.eq(region.address + region.beats)
            m.next = "JUDGE"
        with m.State("JUDGE"):
            wrong = (self.length < HEAD) | (
                (data != 0) & ((data[:log2] != 0) | (data[log2:] != region.beats))
            )
            m.d.sync += [
                self._left.eq(self._bytes - 1),
                self._writing.eq(data != 0),
                self.refused.eq(0),
            ]
            m.next = "WRITE"
            with m.If(data == 0):
                m.next = "ASK"
            with m.If(region.beats == 0):
                m.next = "DONE"
            with m.If(wrong | (self._end > self._beats)):
                m.d.sync += [self.refused.eq(1), self.refusal.eq(Refusal.BAD_REGION)]
                m.next = "DONE"
            with m.If(wrong):
                m.d.sync += self.refusal.eq(Refusal.BAD_LENGTH)

    def _write(self, m: Module, crc: Processor):
        """Data: bytes into a beat, and the beat into the memory."""
        command, wdata = self.memory.command, self.memory.wdata
        with m.State("WRITE"), m.If(self._there):
            self._take(m, crc, self.data)
            self._seek(m, self._cursor - 1)
            with m.If(self._left == 0):
                m.d.sync += [command.valid.eq(1), wdata.valid.eq(1)]
                m.next = "PUT"
        with m.State("PUT"):
            with m.If(command.ready):
                m.d.sync += command.valid.eq(0)
            with m.If(wdata.ready):
                m.d.sync += wdata.valid.eq(0)
            with m.If(~(command.valid & ~command.ready) & ~(wdata.valid & ~wdata.ready)):
                self._advance(m, "WRITE")

    def _check(self, m: Module, crc: Processor):
        """No data: a beat out of the memory, and its bytes into the CRC."""
        command = self.memory.command
        with m.State("ASK"):
            m.d.sync += command.valid.eq(1)
            m.next = "GET"
        with m.State("GET"):
            with m.If(command.ready):
                m.d.sync += command.valid.eq(0)
            with m.If(self.memory.rvalid):
                m.d.sync += self._beat.eq(self.memory.rdata)
                m.next = "READ"
        with m.State("READ"):
            self._take(m, crc, self._beat[:8])
            with m.If(self._left == 0):
                self._advance(m, "ASK")

    def _take(self, m: Module, crc: Processor, byte):
        """A byte into the CRC, and into the beat from above."""
        m.d.comb += [crc.data.eq(byte), crc.valid.eq(1)]
        m.d.sync += [
            self._beat.eq(Cat(self._beat, byte) >> 8),
            self._left.eq(self._left - 1),
        ]

    def _advance(self, m: Module, again: str):
        """The next beat, if there is one."""
        region = self._region
        m.d.sync += [
            region.address.eq(region.address + 1),
            region.beats.eq(region.beats - 1),
            self._left.eq(self._bytes - 1),
        ]
        m.next = again
        with m.If(region.beats == 1):
            m.next = "DONE"

    def _reply(self, m: Module, crc: Processor):
        values = {
            "crc": crc.crc,
            "end": self._end,
            "beats": self._beats,
            "beat_bytes": self._bytes,
            "chunk_beats": self.chunk_beats,
        }
        bytes_ = []
        for name, count in protocol.MEMORY.items():
            value = values[name]
            value = Const(value, 8 * count) if isinstance(value, int) else value
            bytes_ += [value[8 * k : 8 * (k + 1)] for k in range(count)]
        m.d.sync += self.reply_data.eq(Array(bytes_)[self.reply_address])

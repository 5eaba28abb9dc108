"""hdl/external/loader.py behind a host: chunks, regions, and all that goes wrong with them."""

import gc
import random
import zlib

import pytest
from amaranth.hdl import Const, Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from golden import protocol
from golden.generate import Request
from golden.protocol import FLAG, REPLY, Decoder, Frame, Refusal, Type, encode, pack, unpack
from hdl.external.loader import BEGIN, HEAD, Loader
from hdl.host import Host
from tests.host_core import N_CTX, N_VOCAB, HostCore, expected, join_host
from tests.mangled import mangled
from tests.played_memory import PlayedMemory

HELLO = {"clock_hz": 12_000_000, "digest": 0, "gateware": 0}
BEATS = 150
LENGTH_BITS = 7
"""Of the tests' frames: small ones."""


class Device(wiring.Component):
    """A host with a loader and a core, without the UART."""

    def __init__(self, width=32, beats=BEATS, loader=True, length_bits=LENGTH_BITS):
        self.core = HostCore()
        self.loader = Loader(width, beats, length_bits) if loader else None
        self.host = Host(1, self.core.tags, N_VOCAB, N_CTX, HELLO, 20, self.loader)
        super().__init__(
            {"i": In(stream.Signature(8, always_ready=True)), "o": Out(stream.Signature(8))}
        )

    def elaborate(self, platform):
        m = Module()
        join_host(m, self)
        return m


class Wire:
    """Bytes into a simulated device, and frames out of it; a port of sim.host, too."""

    def __init__(self, busy=0.0, pace=4, seed=0, latency=(1, 6), **options):
        self.dut = Device(**options)
        self.pace, self.cycles = pace, 0
        self.sim = Simulator(self.dut)
        self.sim.add_clock(1)
        self._out, self._in = [], bytearray()
        self._busy = self.dut.loader.busy if self.dut.loader else Const(0)
        self.busy, self.worked = 0, 0
        self.sim.add_testbench(self._send, background=True)
        self.sim.add_testbench(self._receive, background=True)
        if self.dut.loader:
            port = self.dut.loader.memory
            width = options.get("width", 32)
            self.memory = PlayedMemory(
                port, options.get("beats", BEATS), width, busy=busy, latency=latency, seed=seed
            )
            self.sim.add_testbench(self.memory.run, background=True)

    async def _send(self, ctx):
        while True:
            ctx.set(self.dut.i.valid, bool(self._out))
            if self._out:
                ctx.set(self.dut.i.p, self._out.pop(0))
            for _ in range(self.pace):
                await ctx.tick()
                ctx.set(self.dut.i.valid, 0)

    async def _receive(self, ctx):
        ctx.set(self.dut.o.ready, 1)
        while True:
            signals = (self._busy, self.dut.o.valid, self.dut.o.p)
            *_, self.busy, valid, byte = await ctx.tick().sample(*signals)
            self.worked += self.busy
            if valid:
                self._in.append(byte)

    def run(self, cycles):
        self.cycles += cycles
        self.sim.run_until(self.cycles)

    def write(self, data):
        self._out += data
        self.run(len(data) * self.pace)

    def settle(self):
        """Until nothing is in work."""
        self.run(300)
        while self.busy:
            self.run(100)
        self.run(200)

    def read(self, timeout):
        end = self.cycles + timeout
        while not self._in and self.cycles < end:
            self.run(50)
        data, self._in = bytes(self._in), bytearray()
        return data

    def ask(self, data, count=1, wait=20_000):
        """So many frames that come in answer to bytes."""
        decoder, found, end = Decoder(), [], self.cycles + wait
        self.write(data)
        while len(found) < count and self.cycles < end:
            found += decoder.feed(self.read(50))
        assert decoder.bad == 0
        return found

    def load(self, number, address, beats, data=b""):
        """The one reply to a LOAD."""
        (frame,) = self.ask(encode(load(number, address, beats, data)))
        assert frame.number == number
        return frame


def load(number, address, beats, data=b""):
    head = pack(protocol.REGION, {"address": address, "beats": beats})
    return Frame(Type.LOAD, number, head + data)


def told(frame):
    assert frame.type == REPLY | Type.LOAD
    return unpack(protocol.MEMORY, frame.payload)


def refused(refusal, number):
    return Frame(REPLY | Type.ERROR, number, bytes([refusal]))


@pytest.mark.parametrize(("width", "busy"), [(16, 0.7), (32, 0.0), (64, 0.0), (128, 0.7)])
def test_chunks_are_written_and_regions_read(width, busy):
    wire, rng = Wire(busy, width=width), random.Random(width)
    size = width // 8
    chunk = ((1 << LENGTH_BITS) - 1 - HEAD) // size
    whole = {"beats": BEATS, "beat_bytes": size, "chunk_beats": chunk}
    assert told(wire.load(1, 0, 0)) == {"crc": 0, "end": 0, **whole}
    expected = bytearray(BEATS * size)
    for number in range(2, 7):
        beats = rng.choice([1, chunk, rng.randint(1, chunk)])
        address = rng.choice([0, BEATS - beats, rng.randrange(BEATS - beats)])
        data = rng.randbytes(beats * size)
        expected[address * size : address * size + len(data)] = data
        reply = told(wire.load(number, address, beats, data))
        assert reply == {"crc": zlib.crc32(data), "end": address + beats, **whole}
        assert wire.memory.bytes() == expected
        first, last = sorted(rng.sample(range(BEATS + 1), 2))
        reply = told(wire.load(number + 100, first, last - first))
        assert reply["crc"] == zlib.crc32(expected[first * size : last * size])
        assert reply["end"] == last
    assert wire.memory.bytes() == expected


def test_a_flipped_bit_in_the_memory_is_found():
    wire, data = Wire(), random.Random(1).randbytes(80)
    wire.load(1, 10, 20, data)
    assert told(wire.load(2, 10, 20))["crc"] == zlib.crc32(data)
    wire.memory.words[17] ^= 2
    assert told(wire.load(3, 10, 20))["crc"] != zlib.crc32(data)


@pytest.mark.parametrize(
    ("frame", "refusal"),
    [
        (Frame(Type.LOAD, 7), Refusal.BAD_LENGTH),
        (Frame(Type.LOAD, 7, bytes(7)), Refusal.BAD_LENGTH),
        (load(7, 0, 1, b"abc"), Refusal.BAD_LENGTH),
        (load(7, 0, 1, b"abcde"), Refusal.BAD_LENGTH),
        (load(7, 0, 2, b"abcd"), Refusal.BAD_LENGTH),
        (load(7, 0, 1, b"abcdefgh"), Refusal.BAD_LENGTH),
        (load(7, 0, 0, b"abcd"), Refusal.BAD_LENGTH),
        (load(7, 0, 1 << 30, b"abcd"), Refusal.BAD_LENGTH),
        (load(7, BEATS, 1, b"abcd"), Refusal.BAD_REGION),
        (load(7, BEATS - 1, 2, b"abcdefgh"), Refusal.BAD_REGION),
        (load(7, 0xFFFFFFFF, 1, b"abcd"), Refusal.BAD_REGION),
        (load(7, 0xFFFFFFFF, 0xFFFFFFFF), Refusal.BAD_REGION),
        (load(7, 1, 0xFFFFFFFF), Refusal.BAD_REGION),
        (load(7, BEATS + 1, 0), Refusal.BAD_REGION),
        (load(7, 0, 30, bytes(120)), Refusal.OVERSIZED),
    ],
)
def test_what_is_refused_writes_nothing(frame, refusal):
    wire = Wire()
    before = random.Random(5).randbytes(BEATS * 4)
    wire.memory.fill(before)
    assert wire.ask(encode(frame)) == [refused(refusal, 7)]
    assert wire.memory.bytes() == before
    assert told(wire.load(8, BEATS - 1, 1))["crc"] == zlib.crc32(before[-4:])


def test_a_device_without_a_memory_knows_no_load():
    wire = Wire(loader=False)
    assert wire.ask(encode(load(3, 0, 0))) == [refused(Refusal.UNKNOWN_TYPE, 3)]


def test_no_load_while_a_sequence_is_in_work():
    wire = Wire()
    request = Request((1, 2), count=9, seed=3)
    settings = {"stop": protocol.NO_STOP, "noise_scale": 0, "count": 9, "seed": 3, "sequence": 0}
    data = encode(Frame(Type.GENERATE, 1, protocol.prompt_bytes((1, 2), settings)))
    tokens = len(expected(request))
    wire.write(data)
    wire.run(200)
    frames = wire.ask(encode(load(2, 0, 1, b"abcd")), 2 + tokens)
    assert refused(Refusal.BUSY, 2) in frames
    assert len([f for f in frames if f.type == REPLY | Type.TOKEN]) == tokens
    assert not any(wire.memory.bytes())
    assert told(wire.load(3, 0, 1, b"abcd"))["crc"] == zlib.crc32(b"abcd")


def applied(memory, data):
    """A memory after bytes that came slowly enough: every good LOAD in them was acted on."""
    size = 4
    for frame in Decoder().feed(data):
        if frame.type != Type.LOAD or not HEAD < len(frame.payload) < 1 << LENGTH_BITS:
            continue
        region = unpack(protocol.REGION, frame.payload[:HEAD])
        chunk = frame.payload[HEAD:]
        first, last = region["address"], region["address"] + region["beats"]
        if len(chunk) == region["beats"] * size and last <= BEATS:
            memory[first * size : last * size] = chunk


def bad_traffic(rng):
    """Bytes of chunks that went wrong, in one of many ways, and of some that did not."""
    beats = rng.randint(0, 12)
    number, address = rng.randrange(128), rng.choice([0, BEATS - beats, rng.randrange(BEATS)])
    good = load(number, address, beats, rng.randbytes(4 * beats))
    sent, cut = encode(good), rng.randrange(len(encode(good)))
    flipped = bytearray(sent)
    flipped[rng.randrange(len(sent))] ^= 1 << rng.randrange(8)
    wild = load(number, rng.getrandbits(32), rng.getrandbits(rng.choice([1, 4, 32])))
    return rng.choice(
        [
            sent,
            sent[:cut],
            sent[cut:],
            bytes(flipped),
            sent[:cut] + sent[cut + 1 :],
            sent[:cut] + encode(load(9, 3, 2, rng.randbytes(8))) + sent[cut:],
            encode(Frame(Type.LOAD, number, rng.randbytes(rng.randrange(20)))),
            encode(Frame(Type.LOAD, number, good.payload + rng.randbytes(rng.randrange(200)))),
            encode(Frame(wild.type, number, wild.payload + rng.randbytes(rng.randrange(40)))),
            mangled(rng, 60),
        ]
    )


@given(st.integers(0, 1 << 32))
@pytest.mark.slow
@settings(max_examples=15, deadline=None, derandomize=True)
def test_bad_traffic_changes_nothing_else_and_never_wedges(seed):
    rng = random.Random(seed)
    wire = Wire(rng.choice([0.0, 0.6]), seed=seed)
    model, sent, decoder = bytearray(rng.randbytes(BEATS * 4)), b"", Decoder()
    wire.memory.fill(model)
    for _ in range(4):
        data = bytes([FLAG]) + bad_traffic(rng) + bytes([FLAG])
        sent += data
        wire.write(data)
        wire.settle()
    list(decoder.feed(wire.read(0)))
    applied(model, sent)
    assert wire.memory.bytes() == model
    assert decoder.bad == 0
    chunk = rng.randbytes(40)
    assert told(wire.load(200, 5, 10, chunk))["crc"] == zlib.crc32(chunk)
    model[20:60] = chunk
    assert wire.memory.bytes() == model
    assert told(wire.load(201, 0, BEATS))["crc"] == zlib.crc32(model)


def test_a_chunk_that_was_cut_and_sent_again():
    wire, data = Wire(), random.Random(2).randbytes(64)
    sent = encode(load(4, 7, 16, data))
    for cut in (3, 9, 40, len(sent) - 1):
        wire.write(sent[:cut])
        wire.run(500)
        assert not any(wire.memory.bytes())
    assert wire.ask(sent, 4)[-1].type == REPLY | Type.LOAD
    assert wire.memory.bytes()[28 : 28 + 64] == data


@pytest.mark.parametrize("width", [16, 128])
def test_latency_is_as_documented(width):
    size, beats = width // 8, 64 // (width // 8)
    for data, cycles in ((b"", beats * (size + 3)), (bytes(64), 2 * 64)):
        wire = Wire(width=width, latency=(1, 2))
        wire.load(1, 0, beats, data)
        assert wire.worked == BEGIN + cycles


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_what_cannot_be():
    for width, beats, bits, said in [
        (24, 10, 10, "beats of 24 bits"),
        (256, 10, 10, "beats of 256 bits"),
        (128, 10, 4, "room for one"),
        (16, 0, 10, "memory of 0 beats"),
        (16, 1 << 32, 10, "expected less than"),
    ]:
        with pytest.raises(ValueError, match=said):
            Loader(width, beats, bits)
    assert Loader(128, 1).chunk_beats == 63
    gc.collect()

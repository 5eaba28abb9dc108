"""hdl/frames.py against golden.protocol, with noise, cut and changed frames, and busy readers."""

import gc
import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from golden import protocol
from golden.protocol import FLAG, Decoder, Frame, Refusal, encode
from hdl.frames import Deframer, Framer, message_layout
from tests.bench import Streams
from tests.mangled import mangled

BITS = 5
ROOM = (1 << BITS) - 1
FLAGS = bytes([FLAG])
FRAMES = st.builds(Frame, st.integers(0, 127), st.integers(0, 255), st.binary(max_size=ROOM))


class Seen:
    """What a deframer made of bytes."""

    def __init__(self):
        self.frames, self.stored, self.refused = [], [], []
        self.events = {"frames": 0, "bad_crc": 0, "bad_frames": 0}


def deframe(data, gap=0, wait=0, locked=lambda k: False):
    """Feed ``data``; ``gap`` idle cycles after a flag, a reader that takes ``wait`` cycles."""
    dut = Deframer(BITS)
    sim = Simulator(dut)
    sim.add_clock(1e-6)
    seen = Seen()

    async def feed(ctx):
        for k, byte in enumerate(data):
            ctx.set(dut.locked, locked(k))
            ctx.set(dut.i.p, byte)
            ctx.set(dut.i.valid, 1)
            await ctx.tick()
            ctx.set(dut.i.valid, 0)
            for _ in range(gap if byte == FLAG else 0):
                await ctx.tick()
        await ctx.tick().repeat(wait + 2 * ROOM + 10)

    async def watch(ctx):
        async for *_, valid, refused, events in ctx.tick().sample(
            dut.refused.valid, dut.refused.p, dut.events
        ):
            if valid:
                seen.refused.append((Refusal(int(refused.refusal)), int(refused.number)))
            for name in seen.events:
                seen.events[name] += events[name]

    async def read(ctx):
        while True:
            *_, valid, head = await ctx.tick().sample(dut.frames.valid, dut.frames.p)
            if not valid:
                continue
            payload = []
            for k in range(head.length):
                ctx.set(dut.address, head.length - k)
                await ctx.tick()
                payload.append(ctx.get(dut.data))
            for _ in range(wait):
                await ctx.tick()
            ctx.set(dut.frames.ready, 1)
            await ctx.tick()
            ctx.set(dut.frames.ready, 0)
            seen.frames.append(Frame(int(head.type), int(head.number), bytes(payload)))
            seen.stored.append(head.stored)

    sim.add_testbench(feed)
    sim.add_testbench(watch, background=True)
    sim.add_testbench(read, background=True)
    sim.run()
    return seen


SLOW = ROOM + 4
"""Time for a payload to be read."""


@given(st.lists(FRAMES, max_size=3))
@settings(max_examples=20, deadline=None)
def test_good_frames(frames):
    seen = deframe(b"".join(encode(frame) for frame in frames), gap=SLOW)
    assert seen.frames == frames
    assert all(seen.stored)
    assert seen.events == {"frames": len(frames), "bad_crc": 0, "bad_frames": 0}
    assert seen.refused == []


def test_every_byte_value():
    for first in range(0, 256, 16):
        frame = Frame(1, first, bytes(range(first, first + 16)))
        assert deframe(encode(frame)).frames == [frame]


@given(st.integers(0, 1 << 32))
@settings(max_examples=25, deadline=None)
def test_a_good_frame_after_anything(seed):
    rng = random.Random(seed)
    last = Frame(1, 200, rng.randbytes(rng.randrange(ROOM)))
    data = b"".join(mangled(rng, ROOM) for _ in range(3)) + FLAGS + encode(last)
    seen = deframe(data, gap=SLOW)
    decoder = Decoder()
    found = list(decoder.feed(data))
    expected = [f for f in found if f.type < protocol.REPLY and len(f.payload) <= ROOM]
    assert seen.frames == expected
    assert seen.frames[-1] == last
    assert seen.events["frames"] == len(expected)
    bad = seen.events["bad_crc"] + seen.events["bad_frames"]
    assert bad == decoder.bad + len(found) - len(expected)


def with_crc(body):
    return FLAGS + protocol.stuff(body + protocol.crc(body)) + FLAGS


@pytest.mark.parametrize(
    ("data", "refused", "event"),
    [
        (encode(Frame(1, 9))[:-3] + b"\x00\x00\x7e", (Refusal.BAD_CRC, 0), "bad_crc"),
        (encode(Frame(1, 9, b"abcdef"))[:-5] + FLAGS, (Refusal.BAD_CRC, 0), "bad_crc"),
        (encode(Frame(1, 9, bytes(ROOM + 1))), (Refusal.OVERSIZED, 9), "bad_frames"),
        (encode(Frame(1, 9, bytes(500))), (Refusal.OVERSIZED, 9), "bad_frames"),
        (with_crc(b"\x01\x09\x02\x00a"), (Refusal.BAD_LENGTH, 9), "bad_frames"),
        (with_crc(b"\x01\x09\x00\x00a"), (Refusal.BAD_LENGTH, 9), "bad_frames"),
        (with_crc(b"\x01\x09\x00\x00abcde"), (Refusal.BAD_LENGTH, 9), "bad_frames"),
        (encode(Frame(0x81, 9)), None, "bad_frames"),
        (with_crc(b"\x01"), None, "bad_frames"),
        (encode(Frame(1, 9))[:-1] + b"\x7d\x7e", None, "bad_frames"),
    ],
    ids=["crc", "cut", "oversized", "far oversized", "short", "long", "longer", "reply", "tiny",
         "escape"],
)  # fmt: skip
def test_what_is_refused(data, refused, event):
    good = Frame(3, 4, b"good")
    seen = deframe(data + encode(good))
    assert seen.refused == ([refused] if refused else [])
    assert seen.frames == [good]
    assert seen.events == {"bad_crc": 0, "bad_frames": 0, "frames": 1} | {event: 1}


def test_flags_alone_are_nothing():
    assert deframe(FLAGS * 9).events == {"frames": 0, "bad_crc": 0, "bad_frames": 0}


def test_a_frame_that_nobody_waited_for_is_dropped():
    frames = [Frame(1, k, bytes([k])) for k in range(3)]
    data = b"".join(map(encode, frames))
    seen = deframe(data, wait=5)
    assert seen.frames == [frames[0], frames[2]]
    assert seen.events == {"frames": 2, "bad_crc": 0, "bad_frames": 1}


def test_a_locked_memory_keeps_its_contents():
    first, second = Frame(2, 1, b"first"), Frame(2, 2, b"other")
    data = encode(first) + encode(second)
    start = len(encode(first))
    for locked, stored in [
        (lambda k: False, [1, 1]),
        (lambda k: k >= start, [1, 0]),
        (lambda k: start <= k < start + 6, [1, 0]),  # unlocked while the payload came
    ]:
        seen = deframe(data, gap=SLOW, locked=locked)
        assert seen.stored == stored
        if locked(len(data) - 1):
            assert seen.frames[1].payload == b"first"


class Sender(wiring.Component):
    """A framer with a memory of known bytes."""

    def __init__(self, content):
        super().__init__(
            {
                "messages": In(stream.Signature(message_layout(8))),
                "o": Out(stream.Signature(8)),
            }
        )
        self.content = content

    def elaborate(self, platform):
        m = Module()
        m.submodules.framer = framer = Framer(8)
        m.submodules.memory = words = memory.Memory(shape=8, depth=256, init=self.content)
        read = words.read_port()
        m.d.comb += [read.addr.eq(framer.address), framer.data.eq(read.data)]
        wiring.connect(m, wiring.flipped(self.messages), framer.messages)
        wiring.connect(m, framer.o, wiring.flipped(self.o))
        return m


@pytest.mark.parametrize("idle", [0.0, 0.6])
@pytest.mark.parametrize("start", [0, 0x78])
def test_framer(idle, start):
    content = list(range(256))
    asked = [(0x81, 7, start, length) for length in (0, 1, 2, 9)] + [(0x7E, 0x7D, 0x70, 0x7E)]
    frames = [Frame(t, n, bytes(content[a : a + length])) for t, n, a, length in asked]
    data = b"".join(map(encode, frames))
    bench = Streams(Sender(content), idle=idle, seed=start)
    names = ("type", "number", "address", "length", "last")
    messages = [dict(zip(names, (*a, (a[2] + a[3] - 1) % 256), strict=True)) for a in asked]
    bench.source("messages", bench.dut.messages, messages)
    cycles = []
    seen = bench.sink("o", bench.dut.o, len(data), cycles)
    bench.run()
    assert bytes(seen) == data
    if not idle:
        assert cycles[-1] <= 3 * len(data)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_lengths_that_are_refused():
    for bits in (0, 17):
        with pytest.raises(ValueError, match="expected 1 to 16"):
            Deframer(bits)
    gc.collect()

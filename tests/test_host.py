"""hdl/host.py: requests, replies, refusals, and a core that is faster than the link."""

import gc
import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from golden import protocol
from golden.generate import Request
from golden.protocol import NO_STOP, REPLY, Decoder, Frame, Refusal, Type, encode, unpack
from hdl.host import Host
from hdl.prompt import length_bits, longest_prompt
from hdl.stream import Tags
from hdl.tally import ROUND
from tests.host_core import N_CTX, N_VOCAB, HostCore, expected, join_host

HELLO = {"clock_hz": 12_000_000, "digest": 0x1122334455667788, "gateware": 0x000102}
MAX_PROMPT = 20


class Device(wiring.Component):
    """A host and a core, without the UART."""

    def __init__(self, **options):
        self.core = HostCore(**options)
        core = self.core
        self.host = Host(core.schedule.streams, core.tags, N_VOCAB, core.plan.n_ctx, HELLO,
                         MAX_PROMPT)  # fmt: skip
        super().__init__(
            {
                "i": In(stream.Signature(8, always_ready=True)),
                "o": Out(stream.Signature(8)),
                "framing_error": In(1),
                "error": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        join_host(m, self)
        m.d.comb += [
            self.host.framing_error.eq(self.framing_error),
            self.error.eq(self.host.error),
        ]
        return m


class Link:
    """Sends bytes at a pace, and waits for frames."""

    def __init__(self, dut, ctx, pace, frames):
        self.dut, self.ctx, self.pace, self.frames = dut, ctx, pace, frames
        self.told = {}  # tokens by the number of their request

    async def send(self, data):
        for byte in encode(data) if isinstance(data, Frame) else data:
            self.ctx.set(self.dut.i.p, byte)
            self.ctx.set(self.dut.i.valid, 1)
            await self.ctx.tick()
            self.ctx.set(self.dut.i.valid, 0)
            await self.ctx.tick().repeat(self.pace - 1)

    async def receive(self, wait=6000):
        for _ in range(wait):
            if self.frames:
                return self.frames.pop(0)
            await self.ctx.tick()
        raise AssertionError("no frame came")

    async def reply(self):
        """The next frame that tells no token."""
        while (frame := await self.receive()).type == REPLY | Type.TOKEN:
            self.told.setdefault(frame.number, []).append(told(frame))
        return frame

    async def ask(self, kind, number, payload=b""):
        """A request and its reply."""
        await self.send(Frame(kind, number, payload))
        return await self.reply()

    async def silence(self, cycles=6000):
        await self.ctx.tick().repeat(cycles)
        assert self.frames == []

    async def hello(self, number=99):
        reply = await self.ask(Type.HELLO, number)
        assert (reply.type, reply.number) == (REPLY | Type.HELLO, number)
        return unpack(protocol.HELLO, reply.payload)

    async def tokens(self, number):
        """What is sampled for a request, until the last."""
        while not self.ended(number):
            frame = await self.receive()
            assert frame.type == REPLY | Type.TOKEN
            self.told.setdefault(frame.number, []).append(told(frame))
        return self.told.pop(number)

    def ended(self, number):
        return number in self.told and self.told[number][-1][2]


def told(frame):
    token = unpack(protocol.TOKEN, frame.payload)
    assert token["cycles"] > 0
    return token["token"], token["position"], bool(token["last"])


def play(script, pace=20, reading=20, **options):
    """Run ``script(link)`` against a device that sends a byte every ``reading`` cycles."""
    dut = Device(**options)
    sim = Simulator(dut)
    sim.add_clock(1e-6)
    frames, decoder = [], Decoder()

    async def read(ctx):
        while True:
            ctx.set(dut.o.ready, 1)
            *_, valid, byte = await ctx.tick().sample(dut.o.valid, dut.o.p)
            if valid:
                frames.extend(decoder.feed(bytes([byte])))
                ctx.set(dut.o.ready, 0)
                for _ in range(reading - 1):
                    await ctx.tick()

    async def run(ctx):
        await script(Link(dut, ctx, pace, frames))

    sim.add_testbench(run)
    sim.add_testbench(read, background=True)
    sim.run()
    assert decoder.bad == 0


def payload(request, **changes):
    values = {
        "stop": NO_STOP if request.stop is None else request.stop,
        "noise_scale": request.noise_scale,
        "count": request.count,
        "seed": request.seed,
        "sequence": request.sequence,
    } | changes
    return protocol.prompt_bytes(request.prompt, values)


def some_request(rng, **fixed):
    values = {
        "prompt": tuple(rng.randrange(N_VOCAB) for _ in range(rng.randint(1, N_CTX))),
        "count": rng.choice([1, 2, 5, 100]),
        "sequence": rng.getrandbits(32),
        "seed": rng.getrandbits(32),
        "noise_scale": rng.getrandbits(15),
        "stop": rng.choice([None, rng.randrange(N_VOCAB)]),
    }
    return Request(**values | fixed)


def refused(refusal, number):
    return Frame(REPLY | Type.ERROR, number, bytes([refusal]))


def accepted(number):
    return Frame(REPLY | Type.GENERATE, number)


def test_hello():
    async def script(link):
        assert await link.hello(1) == {
            "protocol": protocol.VERSION,
            "n_vocab": N_VOCAB,
            "n_ctx": N_CTX,
            "streams": 1,
            "max_prompt": MAX_PROMPT,
            **HELLO,
        }

    play(script)


@pytest.mark.parametrize("reading", [2, 100])
def test_generate(reading):
    """Also when the link is far slower than the core: no token is lost."""
    rng = random.Random(reading)

    async def script(link):
        for number in range(1, 4):
            request = some_request(rng)
            assert await link.ask(Type.GENERATE, number, payload(request)) == accepted(number)
            assert await link.tokens(number) == expected(request)

    play(script, reading=reading, latency=3)


BASE = Request(prompt=(1, 2, 3), count=3, seed=1)


@pytest.mark.parametrize(
    ("kind", "content", "refusal"),
    [
        (0, b"", Refusal.UNKNOWN_TYPE),
        (7, b"abc", Refusal.UNKNOWN_TYPE),
        (Type.TOKEN, b"", Refusal.UNKNOWN_TYPE),
        (Type.HELLO, b"a", Refusal.BAD_LENGTH),
        (Type.ABORT, b"a", Refusal.BAD_LENGTH),
        (Type.COUNTERS, b"a", Refusal.BAD_LENGTH),
        (Type.GENERATE, b"", Refusal.BAD_LENGTH),
        (Type.GENERATE, payload(BASE)[:13], Refusal.BAD_LENGTH),
        (Type.GENERATE, payload(BASE)[:-1], Refusal.BAD_LENGTH),
        (Type.GENERATE, payload(BASE)[6:], Refusal.EMPTY_PROMPT),
        (Type.GENERATE, payload(Request((1,) * 17, 1)), Refusal.PROMPT_TOO_LONG),
        (Type.GENERATE, payload(Request((1,) * 25, 1)), Refusal.OVERSIZED),
        (Type.GENERATE, bytes(1000), Refusal.OVERSIZED),
        (Type.GENERATE, payload(Request((1, N_VOCAB, 1), 1)), Refusal.BAD_TOKEN),
        (Type.GENERATE, payload(Request((N_VOCAB,), 1)), Refusal.BAD_TOKEN),
        (Type.GENERATE, payload(Request((0x101,), 1)), Refusal.BAD_TOKEN),
        (Type.GENERATE, payload(BASE, count=0), Refusal.BAD_COUNT),
        (Type.GENERATE, payload(BASE, noise_scale=0x8000), Refusal.BAD_NOISE_SCALE),
    ],
)
def test_what_is_refused(kind, content, refusal):
    async def script(link):
        assert await link.ask(kind, 77, content) == refused(refusal, 77)
        assert await link.ask(Type.GENERATE, 78, payload(BASE)) == accepted(78)
        assert await link.tokens(78) == expected(BASE)

    play(script)


def test_a_wrong_crc_and_the_error_light():
    async def script(link):
        data = bytearray(encode(Frame(Type.HELLO, 5)))
        data[2] ^= 1
        await link.send(data)
        assert await link.receive() == refused(Refusal.BAD_CRC, protocol.UNKNOWN)
        assert link.ctx.get(link.dut.error)
        await link.hello()
        assert not link.ctx.get(link.dut.error)

    play(script)


def test_replies_are_not_answered():
    async def script(link):
        for kind in (*Type, 0):
            await link.send(Frame(REPLY | kind, 3, b"a"))
        await link.silence()
        await link.hello()

    play(script)


def test_busy():
    async def script(link):
        long, other = Request((1,) * 3, 13), Request((2,), 3)
        assert await link.ask(Type.GENERATE, 1, payload(long)) == accepted(1)
        assert await link.ask(Type.GENERATE, 2, payload(other)) == refused(Refusal.BUSY, 2)
        assert await link.tokens(1) == expected(long)
        assert await link.ask(Type.GENERATE, 3, payload(other)) == accepted(3)
        assert await link.tokens(3) == expected(other)

    play(script, latency=400)


def test_a_prompt_that_is_being_fed_is_kept():
    """A second GENERATE arrives while the core takes the first one's prompt."""

    async def script(link):
        first, other = Request(tuple(range(14)), 2), Request((20,) * 14, 2)
        assert await link.ask(Type.GENERATE, 1, payload(first)) == accepted(1)
        assert await link.ask(Type.GENERATE, 2, payload(other)) == refused(Refusal.BUSY, 2)
        assert await link.tokens(1) == expected(first)

    play(script, latency=150, streams=2)


@pytest.mark.parametrize("reading", [3, 60])
def test_streams(reading):
    """Sequences that run at once keep their numbers; a slot is used again."""
    rng = random.Random(5)
    requests = {k: some_request(rng, count=rng.randint(1, 8)) for k in range(1, 7)}

    async def script(link):
        together = 0
        for number, request in requests.items():
            while (reply := await link.ask(Type.GENERATE, number, payload(request))) != accepted(
                number
            ):
                assert reply == refused(Refusal.BUSY, number)
            together += number > 1 and not link.ended(number - 1)
        assert together
        for number, request in requests.items():
            assert await link.tokens(number) == expected(request)

    play(script, reading=reading, streams=2, latency=30)


@pytest.mark.parametrize("streams", [1, 2])
@pytest.mark.parametrize("wait", [1, 4500])
def test_abort(streams, wait):
    """In a prompt or later: every sequence ends with a last token, and the next one is right."""
    long = Request(tuple(range(10)), 100, seed=9)

    async def script(link):
        for number in range(1, streams + 1):
            assert await link.ask(Type.GENERATE, number, payload(long)) == accepted(number)
            await link.ctx.tick().repeat(wait if number == streams else 4000)
        assert await link.ask(Type.ABORT, 50) == Frame(REPLY | Type.ABORT, 50)
        assert all(link.ended(number) for number in range(1, streams + 1))
        for number in range(1, streams + 1):
            seen = await link.tokens(number)
            assert [last for *_, last in seen] == [False] * (len(seen) - 1) + [True]
        assert len(seen) < len(expected(long))
        assert await link.ask(Type.GENERATE, 60, payload(BASE)) == accepted(60)
        assert await link.tokens(60) == expected(BASE)

    play(script, latency=400, streams=streams)


def test_abort_of_nothing_and_twice():
    async def script(link):
        assert await link.ask(Type.ABORT, 4) == Frame(REPLY | Type.ABORT, 4)
        await link.ask(Type.GENERATE, 5, payload(Request((1,), 14)))
        await link.send(Frame(Type.ABORT, 6))
        assert await link.ask(Type.GENERATE, 7, payload(BASE)) == refused(Refusal.BUSY, 7)
        assert await link.ask(Type.ABORT, 8) == Frame(REPLY | Type.ABORT, 8)
        assert link.ended(5)
        await link.silence()

    play(script, latency=4000)


def test_counters():
    async def script(link):
        await link.ask(Type.GENERATE, 1, payload(BASE))
        frames = [await link.receive() for _ in range(3)]
        cycles = [unpack(protocol.TOKEN, frame.payload)["cycles"] for frame in frames]
        await link.send(b"\x7e123456789\x7e\x7e1\x7e")
        assert await link.receive() == refused(Refusal.BAD_CRC, 0)
        link.ctx.set(link.dut.framing_error, 1)
        await link.ctx.tick()
        link.ctx.set(link.dut.framing_error, 0)
        await link.ctx.tick().repeat(2 * ROUND)
        reply = await link.ask(Type.COUNTERS, 2)
        assert (reply.type, reply.number) == (REPLY | Type.COUNTERS, 2)
        counters = unpack(protocol.COUNTERS, reply.payload)
        assert counters.pop("cycles") > 1000
        assert counters == {
            "token_cycles": sum(cycles), "tokens": 3, "frames": 2, "bad_crc": 1, "bad_frames": 1,
            "framing_errors": 1, "fewest_cycles": min(cycles), "most_cycles": max(cycles),
            "last_cycles": cycles[-1],
        }  # fmt: skip

    play(script)


@given(st.integers(0, 1 << 32))
@settings(max_examples=6, deadline=None)
def test_a_good_frame_after_anything(seed):
    """Also while a generation runs: its tokens are all told."""
    rng = random.Random(seed)
    good = encode(Frame(Type.GENERATE, 1, payload(BASE)))
    cut = rng.randrange(len(good))
    noise = rng.choice(
        [
            rng.randbytes(80),
            good[:cut],
            bytes(rng.choice([0x7E, 0x7D, 0, 2]) for _ in range(60)),
            good[:cut] + encode(Frame(Type.COUNTERS, 3)) + good[cut:],
            encode(Frame(9, 9)) * 5,
            encode(Frame(Type.GENERATE, 4, bytes(60))),
            good[:cut] + bytes([good[cut] ^ 1 << rng.randrange(8)]) + good[cut + 1 :],
            good[:cut] + good[cut + 1 :],
        ]
    )
    running = rng.random() < 0.5

    async def script(link):
        long = Request((1, 2), 14, seed=3)
        if running:
            await link.ask(Type.GENERATE, 200, payload(long))
        await link.send(noise + b"\x7e")
        await link.ctx.tick().repeat(600)  # until the device has answered what it will
        await link.send(Frame(Type.HELLO, 201))
        while (reply := await link.reply()).number != 201:
            assert reply.type != REPLY | Type.HELLO
        assert reply.type == REPLY | Type.HELLO
        if running:
            assert await link.tokens(200) == expected(long)

    play(script, pace=8, reading=8, latency=100)


def test_good_frames_back_to_back():
    """A second frame waits for the reply to the first."""

    async def script(link):
        await link.send(encode(Frame(Type.HELLO, 1)) + encode(Frame(Type.HELLO, 2)))
        assert [(await link.receive()).number for _ in range(2)] == [1, 2]

    play(script, reading=40)


@pytest.mark.parametrize("tokens", [1, 16, 64, 200])
def test_lengths(tokens):
    assert longest_prompt(length_bits(tokens)) >= tokens
    assert longest_prompt(length_bits(tokens) - 1) < tokens


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_what_does_not_fit_the_frames():
    tags = Tags(stream=0, position=4, layer=0)
    with pytest.raises(ValueError, match="65536 token ids do not fit a frame"):
        Host(1, tags, 1 << 16, N_CTX, HELLO, MAX_PROMPT)
    with pytest.raises(OverflowError):
        Host(1, tags, N_VOCAB, N_CTX, HELLO | {"clock_hz": 1 << 32}, MAX_PROMPT)
    gc.collect()

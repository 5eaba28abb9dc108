"""hdl/soc.py behind its two wires, talked to by sim/host.py; and sim/host.py against bad links."""

import gc
import random
import re

import pytest
from amaranth.sim import Simulator

from golden import protocol
from golden.errors import WeftError
from golden.generate import Request, generate
from golden.protocol import REPLY, Decoder, Frame, Refusal, Type, encode
from hdl.memory import Memories
from hdl.soc import Soc
from hdl.uart import FRAME_BITS
from sim.host import Link, LinkError, NoReply, Refused, Token
from tests import models
from tests.host_core import N_CTX, N_VOCAB, HostCore, expected
from tests.random_models import BASE

CLOCK, BAUD = 1_000_000, 125_000
DIGEST = bytes(range(8))


class Wires:
    """A port into a simulation; it has its own clock, which may be wrong by ``skew``."""

    def __init__(self, skew=1.0, core=None, **options):
        self.dut = Soc(core or HostCore(**options), CLOCK, BAUD, DIGEST, (1, 2, 3), max_prompt=20)
        self.bit = skew / BAUD
        self.sim = Simulator(self.dut)
        self.sim.add_clock(1 / CLOCK)
        self.sim.add_testbench(self._send, background=True)
        self.sim.add_testbench(self._receive, background=True)
        self.now, self._out, self._in = 0.0, [], bytearray()

    async def _send(self, ctx):
        while True:
            ctx.set(self.dut.rx, self._out.pop(0) if self._out else 1)
            self.busy = ctx.get(self.dut.busy)
            await ctx.delay(self.bit)

    async def _receive(self, ctx):
        while True:
            if ctx.get(self.dut.tx):
                await ctx.delay(self.bit / 8)
                continue
            await ctx.delay(self.bit * 1.45)
            byte = 0
            for k in range(8):
                byte |= ctx.get(self.dut.tx) << k
                await ctx.delay(self.bit)
            assert ctx.get(self.dut.tx), "no stop bit"
            self._in.append(byte)

    def run(self, seconds):
        self.now += seconds
        self.sim.run_until(self.now)

    def levels(self, levels):
        """Put bare levels on the wire, a bit each."""
        self._out.extend(levels)
        self.run(len(levels) * self.bit)

    def write(self, data):
        for byte in data:
            self._out += [0, *(byte >> k & 1 for k in range(8)), 1]
        self.run(len(data) * FRAME_BITS * self.bit)

    def read(self, timeout):
        end = self.now + timeout
        while not self._in and self.now < end:
            self.run(FRAME_BITS * self.bit)
        data, self._in = bytes(self._in), bytearray()
        return data

    def link(self, token_timeout=0.05):
        return Link(self, timeout=0.02, token_timeout=token_timeout, clock=lambda: self.now)


@pytest.mark.parametrize("skew", [0.98, 1.0, 1.02])
def test_a_conversation(skew):
    wires = Wires(skew)
    link = wires.link()
    device = link.hello()
    assert (device.gateware, device.digest) == ("1.2.3", DIGEST.hex())
    assert (device.clock_hz, device.n_vocab, device.n_ctx) == (CLOCK, N_VOCAB, N_CTX)
    assert (device.streams, device.max_prompt) == (1, 20)
    request = Request(prompt=(1, 2, 26), count=3, seed=7, sequence=0x7E7D7E7D, noise_scale=0x7D7E)
    tokens = list(link.generate(request))
    assert [(t.token, t.position, t.last) for t in tokens] == expected(request)
    counters = link.counters()
    assert counters["tokens"] == 3
    assert counters["token_cycles"] == sum(t.cycles for t in tokens)
    assert counters["framing_errors"] == counters["bad_crc"] == 0
    assert 0 < wires.now * CLOCK - counters["cycles"] < 20_000


def test_cycles_of_a_token_are_those_of_the_core():
    """Not those in which its answer waits for the link, which is far slower."""
    tokens = list(Wires(latency=30).link().generate(Request((1,), 8)))
    assert len(tokens) > 4
    assert [token.cycles for token in tokens] == [31] * len(tokens)


@pytest.mark.slow
def test_a_real_core():
    """From the wire through a whole model and back: the tokens of the integer model."""
    made = models.design(BASE, multipliers=4)
    link = Wires(core=made.core(Memories(made.image), observe=False)).link(token_timeout=1)
    request = Request(prompt=(1, 2), count=3, seed=5, noise_scale=1000)
    sampled = [step.sampled for step in generate(made.plan, request)]
    assert [t.token for t in link.generate(request)] == sampled[1:]


def test_noise_breaks_and_refusals():
    wires = Wires()
    link = wires.link()
    rng = random.Random(1)
    wires.levels([rng.getrandbits(1) for _ in range(300)])
    wires.levels([0] * 40)
    wires.levels([1] * 12)
    assert link.hello().n_vocab == N_VOCAB
    assert link.counters()["framing_errors"] > 0
    with pytest.raises(Refused, match="not in its vocabulary") as error:
        link.generate(Request((N_VOCAB,), 1))
    assert error.value.refusal == Refusal.BAD_TOKEN
    request = Request((3,), 2)
    assert [t.token for t in link.generate(request)] == [t for t, *_ in expected(request)]


def test_abort_and_a_new_program():
    """Another program takes over while tokens come; the lights tell."""
    wires = Wires(latency=2000)
    first = wires.link().generate(Request((1,), 15))
    assert next(first).position == 0
    assert wires.busy
    link = wires.link()
    link.abort()
    assert not wires.busy
    request = Request((3,), 2)
    assert [t.token for t in link.generate(request)] == [t for t, *_ in expected(request)]


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_the_clock_must_make_the_baud_rate():
    with pytest.raises(WeftError, match=re.escape("misses 1,150,000 baud by 4.2%")):
        Soc(HostCore(), 12_000_000, 1_150_000, DIGEST, (0, 1, 0))
    gc.collect()


class Played:
    """A port whose other end is a function from a frame to bytes; time passes only in waiting."""

    def __init__(self, answer):
        self.answer, self.now = answer, 0.0
        self.decoder, self.ready, self.sent = Decoder(), [], []

    def write(self, data):
        for frame in self.decoder.feed(data):
            self.sent.append(frame)
            self.ready.append(self.answer(frame))

    def read(self, timeout):
        data = b"".join(self.ready)
        self.ready = []
        if not data:
            self.now += timeout
        return data

    def link(self):
        return Link(self, clock=lambda: self.now)


COUNTERS = bytes(protocol.size(protocol.COUNTERS))


def reply(frame, payload=b"", kind=None):
    return encode(Frame(REPLY | (kind or frame.type), frame.number, payload))


def token(number, position, last=False):
    values = {"cycles": 9, "position": position, "token": position + 1, "last": int(last)}
    return encode(Frame(REPLY | Type.TOKEN, number, protocol.pack(protocol.TOKEN, values)))


@pytest.mark.parametrize("damage", ["lost", "cut", "changed", "refused", "late"])
def test_what_may_be_repeated_is(damage):
    answers = []

    def answer(frame):
        good = reply(frame, COUNTERS)
        answers.append(good)
        if len(answers) > 2:
            return good
        return {
            "lost": b"",
            "cut": good[:-5],
            "changed": good[:9] + b"\x55" + good[10:],
            "refused": reply(Frame(0, 0), bytes([Refusal.BAD_CRC]), Type.ERROR),
            "late": encode(Frame(REPLY | Type.COUNTERS, frame.number - 1, COUNTERS)),
        }[damage]

    port = Played(answer)
    assert port.link().counters() == dict.fromkeys(protocol.COUNTERS, 0)
    assert [frame.type for frame in port.sent] == [Type.COUNTERS] * 3
    assert len({frame.number for frame in port.sent}) == 3


def test_a_silent_device():
    port = Played(lambda frame: b"")
    with pytest.raises(
        NoReply, match=re.escape("did not send a reply within 1 s; check its power")
    ):
        port.link().hello()
    assert len(port.sent) == 4
    with pytest.raises(NoReply):
        port.link().generate(Request((1,), 1))
    assert len(port.sent) == 5  # a GENERATE is not repeated


def test_tokens_that_are_lost_or_stop():
    def answer(frame):
        return reply(frame) + token(frame.number, 0) + token(frame.number, 2)

    tokens = Played(answer).link().generate(Request((1,), 3))
    assert next(tokens) == Token(1, 0, 9, False)
    with pytest.raises(LinkError, match="the token at position 1 was lost"):
        next(tokens)
    tokens = Played(lambda f: reply(f) + token(f.number, 0)).link().generate(Request((1,), 3))
    next(tokens)
    with pytest.raises(NoReply, match="did not send the next token within 30 s"):
        next(tokens)


def test_a_lost_acceptance_and_tokens_of_others():
    def answer(frame):
        return token(frame.number + 1, 5) + token(frame.number, 0, last=True)

    assert [t.token for t in Played(answer).link().generate(Request((1,), 3))] == [1]


def test_another_version():
    with pytest.raises(
        LinkError, match="speaks version 9 of the protocol and this program version"
    ):
        Played(lambda frame: reply(frame, b"\x09")).link().hello()
    with pytest.raises(LinkError, match="a reply of another form"):
        Played(lambda frame: reply(frame, b"\x01")).link().hello()


def test_a_cable_that_is_pulled():
    class Pulled:
        def write(self, data):
            pass

        def read(self, timeout):
            raise OSError("device disconnected")

    with pytest.raises(LinkError, match=re.escape("broke (device disconnected); plug it in")):
        Link(Pulled()).hello()


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (Request((1,), 1 << 16), "count is 65536; a request to a device takes 0 to 65535"),
        (Request((1, 1 << 16), 1), "token 1 of the prompt is 65536"),
        (Request((1,), 1, noise_scale=1 << 15), "noise_scale is 32768"),
        (Request((1,), 1, seed=-1), "seed is -1"),
    ],
)
def test_what_does_not_fit_a_frame(request_, said):
    port = Played(lambda frame: b"")
    with pytest.raises(WeftError, match=said):
        port.link().generate(request_)
    assert port.sent == []


def test_numbers_go_round():
    port = Played(lambda frame: reply(frame, COUNTERS))
    link = port.link()
    for _ in range(300):
        link.counters()
    numbers = [frame.number for frame in port.sent]
    assert protocol.UNKNOWN not in numbers
    assert numbers[:2] == [1, 2]
    assert numbers[255] == 1

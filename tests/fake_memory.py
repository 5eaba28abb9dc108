"""A device in Python with an external memory, behind a line that loses, cuts and spoils bytes."""

import random
import zlib

from golden import protocol
from golden.protocol import REPLY, Decoder, Frame, Refusal, Type, encode, pack, unpack

CLOCK_HZ = 50_000_000
CHUNK_BEATS = 20


class FakeMemory:
    """Answers HELLO, ABORT and LOAD like hdl/host.py; a port of sim.host.

    Parameters
    ----------
    plan: digest that it holds.  beats, beat_bytes: of the memory; no beats: there is none.
    noise: how probable it is that a write, or a reply, arrives damaged.
    """

    def __init__(self, plan, beats, beat_bytes, noise=0.0, seed=0):
        self.plan, self.beat_bytes, self.noise = plan, beat_bytes, noise
        self.memory, self.rng = bytearray(beats * beat_bytes), random.Random(seed)
        self.decoder, self.ready, self.now = Decoder(), bytearray(), 0.0
        self.written = 0  # bytes
        self.silent_after = None  # bytes written, after which the cable is pulled
        self.dead = ()  # bytes that keep a bit
        self.busy = False

    def write(self, data):
        if self.silent_after is not None and self.written >= self.silent_after:
            raise OSError("device disconnected")
        for frame in self.decoder.feed(self._line(data)):
            self._answer(frame)

    def read(self, timeout):
        if not self.ready:
            self.now += timeout
        data, self.ready = bytes(self.ready[:9]), self.ready[9:]
        return data

    def _line(self, data):
        """What arrives of it."""
        if self.rng.random() >= self.noise:
            return data
        at, end = (self.rng.randrange(len(data)) for _ in range(2))
        return self.rng.choice(
            [
                b"",
                data[:at],
                data[at:],
                data[:at] + self.rng.randbytes(3) + data[at + 3 :],
                data[:at] + data[at + 1 :],
                data[min(at, end) :] + data[: max(at, end)],
            ]
        )

    def _say(self, kind, number, payload=b""):
        self.ready += self._line(encode(Frame(REPLY | kind, number, payload)))

    def _refuse(self, refusal, number):
        self._say(Type.ERROR, number, bytes([refusal]))

    def _answer(self, frame):
        if frame.type == Type.HELLO:
            values = {"protocol": protocol.VERSION, "gateware": 0x000100, "clock_hz": CLOCK_HZ,
                      "digest": int.from_bytes(bytes.fromhex(self.plan)[:8], "little"),
                      "n_vocab": 11, "n_ctx": 16, "streams": 1, "max_prompt": 64}  # fmt: skip
            self._say(Type.HELLO, frame.number, pack(protocol.HELLO, values))
        elif frame.type == Type.ABORT:
            self._say(Type.ABORT, frame.number)
        elif frame.type == Type.LOAD and self.memory:
            self._load(frame)
        else:
            self._refuse(Refusal.UNKNOWN_TYPE, frame.number)

    def _load(self, frame):
        region, data = unpack(protocol.REGION, frame.payload[:8]), frame.payload[8:]
        first, last = (self.beat_bytes * beat for beat in (
            region["address"], region["address"] + region["beats"]))  # fmt: skip
        if self.busy:
            self._refuse(Refusal.BUSY, frame.number)
        elif last > len(self.memory):
            self._refuse(Refusal.BAD_REGION, frame.number)
        elif data and len(data) != last - first:
            self._refuse(Refusal.BAD_LENGTH, frame.number)
        else:
            if data:
                self.memory[first:last] = data
                self.written += len(data)
                for at in self.dead:
                    self.memory[at] |= 1
            crc = zlib.crc32(data or self.memory[first:last])
            self._say(Type.LOAD, frame.number, self._memory(crc, last // self.beat_bytes))

    def _memory(self, crc, end):
        values = {"crc": crc, "end": end, "beats": len(self.memory) // self.beat_bytes,
                  "beat_bytes": self.beat_bytes, "chunk_beats": CHUNK_BEATS}  # fmt: skip
        return pack(protocol.MEMORY, values)

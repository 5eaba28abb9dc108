"""A device in Python, behind a port that can be noisy, lose its cable, or be reset."""

from collections import deque
from collections.abc import Callable

from golden import protocol
from golden.generate import Request, sampled_steps
from golden.protocol import REPLY, Decoder, Frame, Type, encode

CLOCK_HZ = 50_000_000
CYCLES = 200
"""Of every token."""


class FakeDevice:
    """Answers like hdl/host.py with a model behind it; a port of sim.host.

    ``held``: tokens wait for a read that finds nothing else, as if they took time.  ``plan`` is
    what it holds.
    """

    def __init__(self, plan):
        self.plan, self.decoder = plan, Decoder()
        self.asked = []  # types of all good frames
        self.pulled = False
        self.before_reply = b""  # noise
        self.happens: dict[int, Callable] = {}  # once, before the token of that number
        self.now = 0.0
        self.reset()

    def reset(self):
        """As its button does: it forgets everything, and what it was saying is cut."""
        self.decoder.reset()
        self.ready, self.held, self.told = bytearray(), deque(), 0

    def write(self, data):
        self._check_cable()
        for frame in self.decoder.feed(data):
            self.asked.append(Type(frame.type))
            self._answer(frame)

    def read(self, timeout):
        self._check_cable()
        if not self.ready and self.held:
            self._tell()
        if not self.ready:
            self.now += timeout
        data, self.ready = bytes(self.ready[:7]), self.ready[7:]  # in pieces, as they come
        return data

    def close(self):
        pass

    def pull(self):
        """Its cable."""
        self.pulled = True

    def _check_cable(self):
        if self.pulled:
            raise OSError("device disconnected")

    def _tell(self):
        self.happens.pop(self.told, lambda: None)()
        if self.held:
            self.told += 1
            self._say(*self.held.popleft())

    def _say(self, kind, number, payload=b""):
        self.ready += self.before_reply + encode(Frame(REPLY | kind, number, payload))

    def _answer(self, frame):
        if frame.type == Type.HELLO:
            values = {"protocol": protocol.VERSION, "gateware": 0x000100, "clock_hz": CLOCK_HZ,
                      "digest": int.from_bytes(bytes.fromhex(self.plan.digest())[:8], "little"),
                      "n_vocab": self.plan.n_vocab, "n_ctx": self.plan.n_ctx or 0, "streams": 1,
                      "max_prompt": 64}  # fmt: skip
            self._say(Type.HELLO, frame.number, protocol.pack(protocol.HELLO, values))
        elif frame.type == Type.COUNTERS:
            values = dict.fromkeys(protocol.COUNTERS, 0) | {"tokens": self.told}
            self._say(Type.COUNTERS, frame.number, protocol.pack(protocol.COUNTERS, values))
        elif frame.type == Type.ABORT:
            if self.held:
                kind, number, token = self.held[0]
                self._say(kind, number, token[:-1] + b"\x01")  # the last one
                self.held.clear()
            self._say(Type.ABORT, frame.number)
        elif self.held:
            self._say(Type.ERROR, frame.number, bytes([protocol.Refusal.BUSY]))
        else:
            self._say(Type.GENERATE, frame.number)
            self.held.extend(self._tokens(frame))

    def _tokens(self, frame):
        tail = protocol.size(protocol.SETTINGS)
        prompt, settings = frame.payload[:-tail], frame.payload[-tail:]
        ids = [int.from_bytes(prompt[k : k + 2], "little") for k in range(0, len(prompt), 2)]
        values = protocol.unpack(protocol.SETTINGS, settings)
        stop = None if values["stop"] == protocol.NO_STOP else values["stop"]
        for step in sampled_steps(self.plan, Request(tuple(ids), **values | {"stop": stop})):
            token = {"cycles": CYCLES, "position": step.position, "token": step.sampled,
                     "last": int(step.last)}  # fmt: skip
            yield Type.TOKEN, frame.number, protocol.pack(protocol.TOKEN, token)

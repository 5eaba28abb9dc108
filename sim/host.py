"""The host's end of the host link, over anything that carries bytes.

A lost or damaged reply costs a time-out and a repetition; a device that was reset, or a cable that
was plugged in again, costs one sentence.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

from golden import protocol
from golden.errors import WeftError
from golden.generate import Request
from golden.protocol import REPLY, UNKNOWN, Decoder, Frame, Refusal, Type

TIMEOUT = 1.0
"""Seconds for a reply."""

TOKEN_TIMEOUT = 30.0
"""Seconds for the next token."""

TRIES = 4
"""How often a request is sent that may be repeated."""

REASONS = {
    Refusal.UNKNOWN_TYPE: "does not know this request; its gateware is older than this program",
    Refusal.BAD_LENGTH: "found a wrong length in the request",
    Refusal.OVERSIZED: "has no room for the request; choose a shorter prompt",
    Refusal.BUSY: "is busy with other sequences; wait for them or abort them",
    Refusal.BAD_TOKEN: "found a token in the prompt that is not in its vocabulary",
    Refusal.EMPTY_PROMPT: "was given an empty prompt; expected at least one token",
    Refusal.PROMPT_TOO_LONG: "has a context that is shorter than the prompt",
    Refusal.BAD_COUNT: "was asked for no tokens; expected at least 1",
    Refusal.BAD_NOISE_SCALE: "was given a temperature that is too high",
}


class LinkError(WeftError):
    """The link or the device failed, told in one sentence."""


class NoReply(LinkError):
    """Nothing came in time, or what was sent came damaged."""


class Refused(LinkError):
    """The device answered with an ERROR; ``refusal`` says which."""

    def __init__(self, refusal: int):
        self.refusal = refusal
        super().__init__(f"the device {REASONS.get(refusal, f'refused with code {refusal}')}")


class Port(Protocol):
    """What carries bytes: a serial port, or a simulation."""

    def read(self, timeout: float) -> bytes:
        """The bytes that have come; waits up to ``timeout`` seconds for the first."""

    def write(self, data: bytes) -> None:
        """Send bytes."""


@dataclass(frozen=True)
class Device:
    """What a device says that it is; ``n_ctx`` is None when sequences are endless."""

    gateware: str
    digest: str
    clock_hz: int
    n_vocab: int
    n_ctx: int | None
    streams: int
    max_prompt: int


@dataclass(frozen=True)
class Token:
    """A sampled token; ``cycles`` are those that the hardware counted for it."""

    token: int
    position: int
    cycles: int
    last: bool


class Link:
    """Requests to a device, and what it answers.

    Tokens that come while another answer is awaited are kept for their :meth:`generate`.

    Parameters
    ----------
    port: carries the bytes. An OSError of it becomes a LinkError.
    timeout, token_timeout: seconds for a reply, and for the next token.
    clock: seconds that have passed; of a simulation, if the port is one.
    """

    def __init__(self, port: Port, timeout: float = TIMEOUT, token_timeout: float = TOKEN_TIMEOUT,
                 clock: Callable[[], float] = time.monotonic):  # fmt: skip
        self._port, self._clock = port, clock
        self._timeout, self._token_timeout = timeout, token_timeout
        self._decoder, self._frames = Decoder(), []
        self._number = UNKNOWN
        self._tokens: dict[int, list[Token]] = {}

    def hello(self) -> Device:
        """What the device is; LinkError if it speaks another version of the protocol."""
        payload = self._repeat(Type.HELLO, self._timeout).payload
        if not payload or payload[0] != protocol.VERSION:
            version = f"version {payload[0]}" if payload else "no version"
            raise LinkError(
                f"the device speaks {version} of the protocol and this program version "
                f"{protocol.VERSION}; build both from the same sources"
            )
        values = _unpack(protocol.HELLO, payload)
        major, minor, patch = reversed(values["gateware"].to_bytes(3, "little"))
        return Device(
            f"{major}.{minor}.{patch}",
            values["digest"].to_bytes(8, "little").hex(),
            values["clock_hz"],
            values["n_vocab"],
            values["n_ctx"] or None,
            values["streams"],
            values["max_prompt"],
        )

    def counters(self) -> dict[str, int]:
        """What the device counted since its reset: golden.protocol.COUNTERS."""
        return _unpack(protocol.COUNTERS, self._repeat(Type.COUNTERS, self._timeout).payload)

    def abort(self) -> None:
        """End all sequences; their :meth:`generate` end with a last token."""
        self._repeat(Type.ABORT, self._token_timeout)

    def generate(self, request: Request) -> Iterator[Token]:
        """The tokens of a request, each as it comes; sent at once, not repeated.

        Raises
        ------
        Refused: by the device.
        LinkError: a token was lost, or none came in time.
        WeftError: the request does not fit a frame.
        """
        number = self._send(Type.GENERATE, _payload(request))
        self._tokens[number] = []
        try:
            self._reply(Type.GENERATE, number, self._timeout)
        except LinkError:
            del self._tokens[number]
            raise
        return self._follow(number, len(request.prompt) - 1)

    def _follow(self, number: int, position: int) -> Iterator[Token]:
        waiting = self._tokens[number]
        try:
            while True:
                self._until(lambda: waiting, self._token_timeout, "the next token")
                token = waiting.pop(0)
                if token.position != position:
                    raise LinkError(
                        f"the token at position {position} was lost on its way; "
                        "check the cable and generate again"
                    )
                yield token
                position += 1
                if token.last:
                    return
        finally:
            del self._tokens[number]

    def _repeat(self, kind: Type, timeout: float) -> Frame:
        """Ask until there is an answer; only for what may be repeated."""
        for _ in range(TRIES - 1):
            with suppress(NoReply):
                return self._ask(kind, timeout)
        return self._ask(kind, timeout)

    def _ask(self, kind: Type, timeout: float) -> Frame:
        return self._reply(kind, self._send(kind), timeout)

    def _send(self, kind: Type, payload: bytes = b"") -> int:
        """Send a request; answers its number, which no other has that still waits for something."""
        numbers = (n % 256 for n in itertools.count(self._number + 1))
        self._number = next(n for n in numbers if n != UNKNOWN and n not in self._tokens)
        with _told():
            self._port.write(protocol.encode(Frame(kind, self._number, payload)))
        return self._number

    def _reply(self, kind: Type, number: int, timeout: float) -> Frame | None:
        """The reply to a request; None if only its tokens came.  Other replies came too late.

        An ERROR without a number may be the echo of noise: what can be repeated is, at once; a
        GENERATE may have been accepted nevertheless.
        """
        mine = {(REPLY | kind, number), (REPLY | Type.ERROR, number)}
        if kind != Type.GENERATE:
            mine.add((REPLY | Type.ERROR, UNKNOWN))
        found: list[Frame] = []

        def there() -> bool:
            while self._frames:
                frame = self._frames.pop(0)
                if (frame.type, frame.number) in mine:
                    found.append(frame)
            return bool(found or self._tokens.get(number))

        self._until(there, timeout, "a reply")
        if found and found[0].type == REPLY | Type.ERROR:
            refusal = _unpack(protocol.ERROR, found[0].payload)["refusal"]
            if refusal == Refusal.BAD_CRC:
                raise NoReply("the device received what was sent damaged; check its cable")
            raise Refused(refusal)
        return found[0] if found else None

    def _until(self, there: Callable[[], bool], timeout: float, what: str) -> None:
        """Take in frames until ``there``; LinkError after ``timeout`` seconds."""
        deadline = self._clock() + timeout
        while not there():
            left = deadline - self._clock()
            if left <= 0:
                raise NoReply(
                    f"the device did not send {what} within {timeout:g} s; "
                    "check its power, its cable and the baud rate"
                )
            with _told():
                data = self._port.read(left)
            for frame in self._decoder.feed(data):
                self._take(frame)

    def _take(self, frame: Frame) -> None:
        """Tokens go to their request, if it is known; other replies wait."""
        if frame.type != REPLY | Type.TOKEN:
            self._frames.append(frame)
        elif frame.number in self._tokens:
            values = _unpack(protocol.TOKEN, frame.payload)
            values["last"] = bool(values["last"])
            self._tokens[frame.number].append(Token(**values))


@contextmanager
def _told() -> Iterator[None]:
    """An error of the port becomes a LinkError."""
    try:
        yield
    except OSError as error:
        raise LinkError(
            f"the connection to the device broke ({error}); plug it in and start again"
        ) from None


def _unpack(fields: protocol.Fields, payload: bytes) -> dict[str, int]:
    try:
        return protocol.unpack(fields, payload)
    except ValueError as error:
        raise LinkError(
            f"the device sent a reply of another form: {error}; build it from the same sources"
        ) from None


def _payload(request: Request) -> bytes:
    """The payload of a GENERATE."""
    limits = {"count": protocol.MAX_COUNT, "noise_scale": protocol.MAX_NOISE_SCALE,
              "seed": 0xFFFFFFFF, "sequence": 0xFFFFFFFF}  # fmt: skip
    values = {name: getattr(request, name) for name in limits}
    tokens = {f"token {k} of the prompt": token for k, token in enumerate(request.prompt)}
    for name, value in (values | tokens).items():
        limit = limits.get(name, protocol.MAX_VOCAB - 1)
        if not 0 <= value <= limit:
            raise WeftError(f"{name} is {value}; a request to a device takes 0 to {limit}")
    values["stop"] = protocol.NO_STOP if request.stop is None else request.stop
    return protocol.prompt_bytes(request.prompt, values)

"""The host's end of the host link, over anything that carries bytes.

A lost or damaged reply costs a time-out and a repetition; a device that was reset, or a cable that
was plugged in again, costs one sentence.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol

from golden import protocol
from golden.generate import Request
from golden.protocol import REPLY, UNKNOWN, Decoder, Frame, Refusal, Type
from sim.replies import (
    Device,
    LinkError,
    Memory,
    NoReply,
    Refused,
    Token,
    read,
    read_device,
    read_memory,
    read_token,
    request_payload,
)

TIMEOUT = 1.0
"""Seconds for a reply."""

TOKEN_TIMEOUT = 30.0
"""Seconds for the next token."""

LOOK = 1.0
"""Seconds between looks at a device that takes long for a token."""

TRIES = 4
"""How often a request is sent that may be repeated."""


class Port(Protocol):
    """What carries bytes: a serial port, or a simulation."""

    def read(self, timeout: float) -> bytes:
        """The bytes that have come; waits up to ``timeout`` seconds for the first."""

    def write(self, data: bytes) -> None:
        """Send bytes."""


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
        return read_device(self._repeat(Type.HELLO, self._timeout).payload)

    def counters(self) -> dict[str, int]:
        """What the device counted since its reset: golden.protocol.COUNTERS."""
        return read(protocol.COUNTERS, self._repeat(Type.COUNTERS, self._timeout).payload)

    def abort(self) -> None:
        """End all sequences; their :meth:`generate` end with a last token."""
        self._repeat(Type.ABORT, self._token_timeout)

    def generate(
        self, request: Request, waiting: Callable[[], object] | None = None
    ) -> Iterator[Token]:
        """The tokens of a request, each as it comes; sent at once, not repeated.

        The first may take as many times as long as others as the prompt has tokens.  ``waiting`` is
        called every LOOK seconds in which nothing comes, and may ask for the counters.

        Raises
        ------
        Refused: by the device.
        LinkError: a token was lost, or none came in time.
        WeftError: the request does not fit a frame.
        """
        number = self._send(Type.GENERATE, request_payload(request))
        self._tokens[number] = []
        try:
            self._reply(Type.GENERATE, [number], self._timeout)
        except LinkError:
            del self._tokens[number]
            raise
        return self._follow(number, len(request.prompt), waiting)

    def _follow(self, number: int, tokens: int, waiting) -> Iterator[Token]:
        """Tokens of a request whose prompt has so many."""
        told, position = self._tokens[number], tokens - 1
        timeout = tokens * self._token_timeout
        try:
            while True:
                self._until(lambda: told, timeout, "the next token", waiting)
                token, timeout = told.pop(0), self._token_timeout
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

    def region(self, address: int, beats: int) -> Memory:
        """What lies in a region of the external memory; none at all tells what memory it is."""
        payload = protocol.pack(protocol.REGION, {"address": address, "beats": beats})
        return read_memory(self._repeat(Type.LOAD, self._token_timeout, payload).payload)

    def post(self, kind: Type, payload: bytes, flags: int) -> int:
        """Send a request and so many FLAGs behind it; answers its number, and awaits nothing."""
        return self._send(kind, payload, bytes([protocol.FLAG]) * flags)

    def hear(self) -> Frame | None:
        """The next reply that tells no token; None if none comes in time."""
        with suppress(NoReply):
            self._until(lambda: self._frames, self._timeout, "a reply")
        return self._frames.pop(0) if self._frames else None

    def _repeat(self, kind: Type, timeout: float, payload: bytes = b"") -> Frame:
        """Ask until there is an answer, to whichever try; only for what may be repeated."""
        numbers = [self._send(kind, payload)]
        while len(numbers) < TRIES:
            with suppress(NoReply):
                return self._reply(kind, numbers, timeout)
            numbers.append(self._send(kind, payload))
        return self._reply(kind, numbers, timeout, patient=True)

    def _send(self, kind: Type, payload: bytes = b"", behind: bytes = b"") -> int:
        """Send a request; answers its number, which no other has that still waits for something."""
        numbers = (n % 256 for n in itertools.count(self._number + 1))
        self._number = next(n for n in numbers if n != UNKNOWN and n not in self._tokens)
        with _told():
            self._port.write(protocol.encode(Frame(kind, self._number, payload)) + behind)
        return self._number

    def _reply(
        self, kind: Type, numbers: Sequence[int], timeout: float, patient: bool = False
    ) -> Frame | None:
        """The reply to a request, sent under ``numbers``; None if only its tokens came.

        An ERROR without a number may be the echo of noise: what can be repeated is, at once; a
        GENERATE may have been accepted nevertheless.  ``patient``: such an ERROR is passed over.
        """
        mine = {(REPLY | each, number) for each in (kind, Type.ERROR) for number in numbers}
        if kind != Type.GENERATE and not patient:
            mine.add((REPLY | Type.ERROR, UNKNOWN))
        found: list[Frame] = []

        def there() -> bool:
            while self._frames and not found:
                frame = self._frames.pop(0)
                if (frame.type, frame.number) in mine:
                    found.append(frame)
            return bool(found or any(self._tokens.get(number) for number in numbers))

        self._until(there, timeout, "a reply")
        if found and found[0].type == REPLY | Type.ERROR:
            refusal = read(protocol.ERROR, found[0].payload)["refusal"]
            if refusal == Refusal.BAD_CRC:
                raise NoReply("the device received what was sent damaged; check its cable")
            raise Refused(refusal)
        return found[0] if found else None

    def _until(self, there: Callable[[], object], timeout: float, what: str, waiting=None) -> None:
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
                data = self._port.read(min(left, LOOK) if waiting else left)
            for frame in self._decoder.feed(data):
                self._take(frame)
            if waiting and not data:
                waiting()

    def _take(self, frame: Frame) -> None:
        """Tokens go to their request, if it is known; other replies wait."""
        if frame.type != REPLY | Type.TOKEN:
            self._frames.append(frame)
        elif frame.number in self._tokens:
            self._tokens[frame.number].append(read_token(frame.payload))


@contextmanager
def _told() -> Iterator[None]:
    """An error of the port becomes a LinkError."""
    try:
        yield
    except OSError as error:
        raise LinkError(
            f"the connection to the device broke ({error}); plug it in and start again"
        ) from None

"""Sends chunks into a device's external memory, several at once, until each was acknowledged.

A LOAD may be repeated at will, so a chunk that is lost, damaged or not acknowledged is sent again.
The device answers in order: what was sent before a chunk that it acknowledges, and is not yet, is
lost.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from golden import protocol
from golden.protocol import REPLY, Frame, Type
from sim.host import TRIES, Link
from sim.replies import LinkError, Memory, NoReply, Refused, read, read_memory

WINDOW = 8
"""Chunks on their way: a USB bridge keeps replies for up to 16 ms, in which two have come."""


@dataclass(frozen=True)
class Chunk:
    """Bytes for the beats from ``address`` on; a whole number of beats."""

    address: int
    data: bytes


def chunks(memory: Memory, address: int, data: bytes) -> Iterator[Chunk]:
    """Bytes as chunks that a device can take."""
    beat, size = memory.beat_bytes, memory.chunk_beats * memory.beat_bytes
    for at in range(0, len(data), size):
        yield Chunk(address + at // beat, data[at : at + size])


class Sender:
    """Sends chunks to a device.

    Parameters
    ----------
    link: to the device.  memory: what it has.
    flags: FLAGs behind each chunk, while which the device writes it: it takes no byte meanwhile.
    """

    def __init__(self, link: Link, memory: Memory, flags: int):
        self._link, self._memory, self._flags = link, memory, flags
        self._pending: dict[int, Chunk] = {}

    def send(self, wanted: Iterable[Chunk]) -> Iterator[int]:
        """Send all; tells the bytes of each chunk that was acknowledged.

        Raises
        ------
        Refused: by the device.  LinkError: it answers no more, or what arrives is always damaged.
        """
        fresh, again, failures = iter(wanted), deque(), 0
        self._pending.clear()
        while True:
            while len(self._pending) < WINDOW:
                chunk = again.popleft() if again else next(fresh, None)
                if chunk is None:
                    break
                self._post(chunk)
            if not self._pending:
                return
            chunk, lost = self._hear()
            again.extend(lost)
            if chunk is not None:
                failures = 0
                yield len(chunk.data)
            elif lost:
                failures += 1
            if failures == TRIES:
                raise NoReply(
                    f"the device acknowledges nothing of what it was sent {TRIES} times; check its "
                    "power and its cable"
                )

    def _post(self, chunk: Chunk) -> None:
        beats = len(chunk.data) // self._memory.beat_bytes
        head = protocol.pack(protocol.REGION, {"address": chunk.address, "beats": beats})
        self._pending[self._link.post(Type.LOAD, head + chunk.data, self._flags)] = chunk

    def _hear(self) -> tuple[Chunk | None, list[Chunk]]:
        """The chunk that was acknowledged, if one was; and those that are lost."""
        frame = self._link.hear()
        if frame is None:
            lost = list(self._pending.values())
            self._pending.clear()
            return None, lost
        if frame.number not in self._pending:
            return None, []  # of an earlier try, or the echo of noise
        if frame.type == REPLY | Type.ERROR:
            raise Refused(read(protocol.ERROR, frame.payload)["refusal"])
        if frame.type != REPLY | Type.LOAD:
            raise LinkError(
                f"the device answered a chunk with a frame of type {frame.type}; build it from the "
                "same sources"
            )
        return self._acknowledged(frame)

    def _acknowledged(self, frame: Frame) -> tuple[Chunk | None, list[Chunk]]:
        before = list(self._pending)[: list(self._pending).index(frame.number)]
        lost = [self._pending.pop(number) for number in before]
        chunk, reply = self._pending.pop(frame.number), read_memory(frame.payload)
        end = chunk.address + len(chunk.data) // self._memory.beat_bytes
        if (reply.crc, reply.end) != (zlib.crc32(chunk.data), end):
            return None, [*lost, chunk]
        return chunk, lost

"""Puts a weight image into a board's external memory, and sees that it lies there bit by bit.

The image is compared piece by piece with what is there, by CRC-32; only pieces that differ are
sent, and compared again.  So a load that was interrupted goes on where it ended, and one that is
repeated verifies.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from golden.protocol import Refusal
from hdl.external.image_file import Image
from hdl.uart import FRAME_BITS
from sim.chunks import Sender, chunks
from sim.host import TRIES, Link
from sim.replies import LinkError, Memory, Refused

PIECE = 1 << 18
"""Bytes that are compared at once: 2.6 s of a link of 1 Mbaud, and a hundredth of that to read."""

BEAT_CYCLES = 32
"""What a beat may take the memory, on the safe side: chunks behind one that is late are lost."""


@dataclass(frozen=True)
class Loaded:
    """Bytes that were sent, and that lay there already."""

    sent: int
    kept: int


def load(link: Link, image: Image, baud: int, progress: Callable[[int], object] = int) -> Loaded:
    """Put an image, which must have been checked, into the memory of a device.

    ``baud`` is that of the link; ``progress`` is told of so many more bytes that are right.

    Raises
    ------
    LinkError: the device is another one, or its link or memory fails: names the tensor.
    WeftError: the image cannot be read.
    """
    device = link.hello()
    link.abort()
    memory = _memory(link, image, device.digest)
    sender = Sender(link, memory, flags(memory, device.clock_hz, baud))
    sent = kept = 0
    for offset, data in _pieces(image):
        if _is_there(link, memory, offset, data):
            kept += len(data)
            progress(len(data))
            continue
        for _ in range(TRIES):
            for count in sender.send(chunks(memory, offset // memory.beat_bytes, data)):
                progress(count)
            if _is_there(link, memory, offset, data):
                break
            progress(-len(data))
        else:
            raise LinkError(
                f"{TRIES} times what was written to the memory at {tensors(image, offset, data)} "
                "did not lie there afterwards; check the memory of the board and its clock"
            )
        sent += len(data)
    return Loaded(sent, kept)


def _memory(link: Link, image: Image, digest: str) -> Memory:
    """What memory the device has; LinkError if the image is not for it."""
    header = image.header
    if not header.plan.startswith(digest):
        raise LinkError(
            f"the device holds the plan {digest} and {image.path} is of {header.plan[:16]} "
            f"({header.model}): make the image with the options of the bitstream, or load another"
        )
    try:
        memory = link.region(0, 0)
    except Refused as error:
        if error.refusal != Refusal.UNKNOWN_TYPE:
            raise
        raise LinkError(
            "the device has no external memory: its weights are in its bitstream"
        ) from None
    if header.port != 8 * memory.beat_bytes:
        raise LinkError(
            f"{image.path} is for a port of {header.port} bits and the device's has "
            f"{8 * memory.beat_bytes}: make it anew with `make image PORT={8 * memory.beat_bytes}`"
        )
    if header.memory_beats > memory.beats:
        raise LinkError(
            f"{header.model} takes {header.memory_beats:,} beats with its keys and values and the "
            f"device's memory has {memory.beats:,}: choose a smaller model or a larger board"
        )
    return memory


def flags(memory: Memory, clock_hz: int, baud: int) -> int:
    """FLAGs to send behind a chunk, while the device copies it and takes no byte."""
    beats = memory.chunk_beats
    cycles = 2 * (8 + beats * memory.beat_bytes) + BEAT_CYCLES * beats
    return math.ceil(cycles * baud / (clock_hz * FRAME_BITS)) + 1


def _pieces(image: Image) -> Iterator[tuple[int, bytes]]:
    """(offset, bytes) of the memory, in order."""
    end = image.header.data_bytes
    for offset in range(0, end, PIECE):
        yield offset, image.read(offset, min(PIECE, end - offset))


def _is_there(link: Link, memory: Memory, offset: int, data: bytes) -> bool:
    beat = memory.beat_bytes
    return link.region(offset // beat, len(data) // beat).crc == zlib.crc32(data)


def tensors(image: Image, offset: int, data: bytes) -> str:
    """The tensors that bytes of the memory belong to."""
    end = offset + len(data)
    names = [
        e.name for e in image.header.entries if e.offset < end and e.offset + e.length > offset
    ]
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"

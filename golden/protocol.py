"""The host link's frames: one definition for gateware and host.

A frame is ``FLAG body FLAG``, byte-stuffed as in RFC 1662 (PPP in HDLC-like framing): a flag inside
the body never occurs, so a receiver is in step again at the next one.  One flag may end a frame and
begin the next, and flags with nothing between them mean nothing.  The body is

    type (1), number (1), length of the payload (2), payload, CRC of all before it (2).

The CRC is CRC-16/IBM-3740, most significant byte first (so that a receiver's register ends at 0);
everything else is little-endian.  A request has a number from 1 to 255 that its replies repeat; 0
means that the number of what is answered is not known.  Types of replies have bit 7 set, and a
device ignores them: an echo of its own replies starts no conversation.

    request    payload               reply
    HELLO      -                     HELLO: what the device is
    GENERATE   prompt, SETTINGS      GENERATE: accepted; then a TOKEN for every sampled token, until
                                     one with ``last``, all with the number of the request
    ABORT      -                     ABORT, when all sequences have ended: each with a last TOKEN
    COUNTERS   -                     COUNTERS: what the device counted since its reset
    LOAD       REGION, data or none  LOAD: the data were written to that region of the external
                                     memory, or, without data, what lies there: its CRC
    any        -                     ERROR with a ``Refusal``

HELLO, ABORT, COUNTERS and LOAD may be repeated at will; GENERATE is acted on once for every frame.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

VERSION = 1
FLAG, ESCAPE, FLIP = 0x7E, 0x7D, 0x20
"""FLAG and ESCAPE are sent as ESCAPE and the byte with the bits of FLIP inverted."""

REPLY = 0x80
"""The bit of a type that says: from the device."""

UNKNOWN = 0
"""Number in the reply to a frame whose number is not known."""

CRC_NAME, CRC_BYTES = "CRC16_IBM_3740", 2
HEADER = {"type": 1, "number": 1, "length": 2}

Fields = Mapping[str, int]
"""Names of fields and their bytes, in the order of transmission."""


class Type(IntEnum):
    """Types of frames; a reply has the type of its request, and REPLY."""

    HELLO = 1
    GENERATE = 2
    ABORT = 3
    COUNTERS = 4
    TOKEN = 5
    ERROR = 6
    LOAD = 7


class Refusal(IntEnum):
    """Why a frame was not acted on."""

    UNKNOWN_TYPE = 1
    BAD_LENGTH = 2
    BAD_CRC = 3
    OVERSIZED = 4
    BUSY = 5
    BAD_TOKEN = 6
    EMPTY_PROMPT = 7
    PROMPT_TOO_LONG = 8
    BAD_COUNT = 9
    BAD_NOISE_SCALE = 10
    BAD_REGION = 11


HELLO = {
    "protocol": 1,  # VERSION
    "gateware": 3,  # patch, minor, major
    "digest": 8,  # the first bytes of the plan's digest
    "clock_hz": 4,
    "n_vocab": 4,
    "n_ctx": 4,  # positions of a sequence; 0: endless
    "streams": 2,  # sequences at once
    "max_prompt": 2,  # tokens that a GENERATE can carry
}

TOKEN_BYTES = 2
"""Bytes of a token id in a prompt."""

SETTINGS = {
    "stop": TOKEN_BYTES,  # token that ends the sequence; NO_STOP: none
    "noise_scale": 2,  # golden.noise.noise_scale
    "count": 2,  # tokens to sample at the most
    "seed": 4,
    "sequence": 4,
}
"""What follows the prompt in a GENERATE; the meaning is that of golden.generate.Request."""

NO_STOP = 0xFFFF
MAX_NOISE_SCALE = 0x7FFF
MAX_COUNT = 0xFFFF
MAX_VOCAB = 0xFFFF
"""Token ids are below it, so that NO_STOP is none."""

TOKEN = {
    "cycles": 4,  # from the acceptance of the token before to this one
    "position": 4,  # of the token that this one was sampled after
    "token": TOKEN_BYTES,
    "last": 1,  # 1: the sequence ends with this token
}

COUNTERS = {
    "cycles": 8,  # since reset, as of a moment at most 256 cycles before the reply
    "token_cycles": 8,  # of all tokens
    "tokens": 4,
    "frames": 4,  # that were good
    "bad_crc": 4,
    "bad_frames": 4,  # cut off, too long, of a wrong length, replies, or not waited for
    "framing_errors": 4,  # of the UART: no stop bit
    "fewest_cycles": 4,  # of a token; all ones before the first
    "most_cycles": 4,
    "last_cycles": 4,  # of the last token
}

REGION = {"address": 4, "beats": 4}
"""What a LOAD begins with: beats of the external memory.  Data fill all of them."""

MEMORY = {
    "crc": 4,  # CRC-32, that of zlib, of the bytes that were written or that lie there
    "end": 4,  # the beat behind the region
    "beats": 4,  # of the whole memory
    "beat_bytes": 1,
    "chunk_beats": 2,  # that a LOAD can carry at the most
}
"""The reply to a LOAD."""

ERROR = {"refusal": 1}


@dataclass(frozen=True)
class Frame:
    """What a frame says: type (a request's Type, or REPLY and a Type), number, payload."""

    type: int
    number: int
    payload: bytes = b""


def size(fields: Fields) -> int:
    """Bytes of all fields."""
    return sum(fields.values())


def pack(fields: Fields, values: Mapping[str, int]) -> bytes:
    """The bytes of ``values``; OverflowError if one does not fit its field."""
    return b"".join(int(values[name]).to_bytes(count, "little") for name, count in fields.items())


def unpack(fields: Fields, payload: bytes) -> dict[str, int]:
    """The values in a payload; ValueError if it has another length."""
    if len(payload) != size(fields):
        raise ValueError(f"{len(payload)} bytes are not the {size(fields)} of {', '.join(fields)}")
    values, offset = {}, 0
    for name, count in fields.items():
        values[name] = int.from_bytes(payload[offset : offset + count], "little")
        offset += count
    return values


def prompt_bytes(prompt: Sequence[int], settings: Mapping[str, int]) -> bytes:
    """The payload of a GENERATE; OverflowError if a value does not fit its field."""
    tokens = b"".join(token.to_bytes(TOKEN_BYTES, "little") for token in prompt)
    return tokens + pack(SETTINGS, settings)


def crc(data: bytes) -> bytes:
    """The CRC, as it follows ``data``."""
    return binascii.crc_hqx(data, 0xFFFF).to_bytes(CRC_BYTES, "big")


def stuff(body: bytes) -> bytes:
    """``body`` without a FLAG inside."""
    escaped = body.replace(bytes([ESCAPE]), bytes([ESCAPE, ESCAPE ^ FLIP]))
    return escaped.replace(bytes([FLAG]), bytes([ESCAPE, FLAG ^ FLIP]))


def encode(frame: Frame) -> bytes:
    """The bytes of a frame, flags included."""
    head = {"type": frame.type, "number": frame.number, "length": len(frame.payload)}
    body = pack(HEADER, head) + frame.payload
    return bytes([FLAG]) + stuff(body + crc(body)) + bytes([FLAG])


def decode(body: bytes) -> Frame | None:
    """The frame in a body whose stuffing was undone; None if it is none."""
    if len(body) < size(HEADER) + CRC_BYTES or crc(body[:-CRC_BYTES]) != body[-CRC_BYTES:]:
        return None
    head = unpack(HEADER, body[: size(HEADER)])
    payload = body[size(HEADER) : -CRC_BYTES]
    if len(payload) != head["length"]:
        return None
    return Frame(head["type"], head["number"], payload)


class Decoder:
    """Finds the good frames in a stream of bytes; noise between and inside frames is passed over.

    Parameters
    ----------
    capacity: bytes of a body; what is longer is no frame.

    Members
    -------
    bad: bodies so far that were no frames.
    """

    def __init__(self, capacity: int = 1 << 16):
        self._capacity = capacity
        self.bad = 0
        self.reset()

    def reset(self) -> None:
        """Forget a frame that has only begun."""
        self._body, self._escape = bytearray(), False

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that end in ``data``."""
        for byte in data:
            if byte == FLAG:
                frame = None if self._escape else decode(bytes(self._body))
                self.bad += frame is None and bool(self._body)
                self.reset()
                if frame is not None:
                    yield frame
            elif byte == ESCAPE:
                self._escape = True
            elif len(self._body) <= self._capacity:
                self._body.append(byte ^ FLIP if self._escape else byte)
                self._escape = False

"""What is said over the host link, as values: requests into payloads, replies out of them."""

from __future__ import annotations

from dataclasses import dataclass

from golden import protocol
from golden.errors import WeftError
from golden.generate import Request
from golden.protocol import Refusal

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
    Refusal.BAD_REGION: "has a memory that is smaller than what was to be written or read",
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


@dataclass(frozen=True)
class Memory:
    """What a device says of a region of its external memory, and of all of it.

    ``crc`` is the CRC-32 of the bytes of the region, or of those written to it; ``end`` the beat
    behind it.
    """

    crc: int
    end: int
    beats: int
    beat_bytes: int
    chunk_beats: int


def read(fields: protocol.Fields, payload: bytes) -> dict[str, int]:
    """The values in the payload of a reply; LinkError if it has another length."""
    try:
        return protocol.unpack(fields, payload)
    except ValueError as error:
        raise LinkError(
            f"the device sent a reply of another form: {error}; build it from the same sources"
        ) from None


def read_device(payload: bytes) -> Device:
    """The reply to HELLO; LinkError if the device speaks another version of the protocol."""
    if not payload or payload[0] != protocol.VERSION:
        version = f"version {payload[0]}" if payload else "no version"
        raise LinkError(
            f"the device speaks {version} of the protocol and this program version "
            f"{protocol.VERSION}; build both from the same sources"
        )
    values = read(protocol.HELLO, payload)
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


def read_token(payload: bytes) -> Token:
    """A TOKEN."""
    values = read(protocol.TOKEN, payload)
    return Token(**values | {"last": bool(values["last"])})


def read_memory(payload: bytes) -> Memory:
    """The reply to a LOAD."""
    return Memory(**read(protocol.MEMORY, payload))


def request_payload(request: Request) -> bytes:
    """The payload of a GENERATE; WeftError if a value does not fit it."""
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

"""Helpers of the tests of an external memory: how its beats look, packed a byte at a time."""

from __future__ import annotations

import struct

import numpy as np

from golden.blocks import GROUP
from golden.formats import halves


def to_beats(raw: bytes, port: int) -> list[int]:
    """Little-endian beats; zeros fill the last."""
    step = port // 8
    raw += bytes(-len(raw) % step)
    return [int.from_bytes(raw[k : k + step], "little") for k in range(0, len(raw), step)]


def pack(stage, port: int) -> list[int]:
    """The beats of the weights of a norm, a linear stage or an embedding."""
    if stage.kind == "norm":
        return to_beats(struct.pack(f"<{stage.size}h", *stage.gain), port)
    codes = stage.tokens if stage.kind == "embed" else stage.weights
    if getattr(stage, "minima", None) is None:
        return _rows(codes, stage.scales, port)
    return _groups(codes.reshape(-1, GROUP), stage.scales.ravel(), stage.minima.ravel(), port)


def _half(integer: int) -> bytes:
    return halves(np.array(integer)).tobytes()


def _rows(codes: np.ndarray, scales: np.ndarray, port: int) -> list[int]:
    tile, packed = port // 16, []
    for first in range(0, len(codes), tile):
        packed += to_beats(b"".join(_half(s) for s in scales[first : first + tile]), port)
        for row in codes[first : first + tile]:
            packed += to_beats(struct.pack(f"<{len(row)}b", *row), port)
    return packed


def _groups(codes, scales, minima, port: int) -> list[int]:
    tile, packed = max(1, port // 32), []
    for first in range(0, len(codes), tile):
        pairs = zip(scales[first : first + tile], minima[first : first + tile], strict=True)
        packed += to_beats(b"".join(_half(s) + _half(m) for s, m in pairs), port)
        for group in codes[first : first + tile]:
            packed += to_beats(bytes(int(a) | int(b) << 4 for a, b in group.reshape(-1, 2)), port)
    return packed


def token_row(stage, token: int, port: int) -> list[int]:
    """The beats that an embedding reads for a token: that with its scale, and its codes."""
    tile, row = port // 16, -(-8 * stage.output_size // port)
    first = token // tile * (1 + tile * row)
    start = first + 1 + token % tile * row
    packed = pack(stage, port)
    return [packed[first], *packed[start : start + row]]

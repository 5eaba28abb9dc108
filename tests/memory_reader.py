"""An external memory read bit by bit, as docs/image.md says: slow, and without hdl/external."""

from fractions import Fraction

import numpy as np


class Bits:
    """The bits of a memory, from beat 0 on; beats are taken one after the other."""

    def __init__(self, memory: bytes, port: int):
        self.port, self.beat = port, 0
        self._value = int.from_bytes(bytes(memory), "little")

    def take(self, beats: int) -> "Fields":
        """The next beats as one number."""
        shift, self.beat = self.beat * self.port, self.beat + beats
        return Fields(self._value >> shift & ((1 << beats * self.port) - 1))


class Fields:
    """A number that is taken apart from its lowest bit on."""

    def __init__(self, value: int):
        self._value = value

    def unsigned(self, width: int) -> int:
        taken = self._value & ((1 << width) - 1)
        self._value >>= width
        return taken

    def signed(self, width: int) -> int:
        taken = self.unsigned(width)
        return taken - (taken >> (width - 1) << width)

    def half(self) -> int:
        """A float16, in units of 2**-24."""
        bits = self.unsigned(16)
        exponent, fraction = bits >> 10 & 31, bits & 1023
        assert exponent < 31
        size = Fraction(fraction if exponent == 0 else 1024 + fraction) * 2 ** max(exponent - 1, 0)
        return int(-size if bits >> 15 else size)

    def end(self) -> None:
        """What is left is padding."""
        assert self._value == 0


def beats(bits: int, port: int) -> int:
    return (bits + port - 1) // port


def read_gains(memory: Bits, size: int) -> np.ndarray:
    return np.array(_integers(memory, size, 16))


def read_biases(memory: Bits, size: int) -> np.ndarray:
    return np.array(_integers(memory, size, 32))


def read_rows(memory: Bits, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes and scales of a matrix with a scale a row."""
    codes, scales, tile = [], [], memory.port // 16
    for first in range(0, rows, tile):
        count = min(tile, rows - first)
        head = memory.take(1)
        scales += [head.half() for _ in range(count)]
        head.end()
        for _ in range(count):
            row = memory.take(beats(8 * columns, memory.port))
            codes.append([row.signed(8) for _ in range(columns)])
            row.end()
    return np.array(codes), np.array(scales)


def read_groups(memory: Bits, rows: int, columns: int) -> tuple[np.ndarray, ...]:
    """Codes, scales and minima of a matrix in groups of 32."""
    codes, scales, minima = [], [], []
    groups, tile = rows * columns // 32, max(1, memory.port // 32)
    for first in range(0, groups, tile):
        count = min(tile, groups - first)
        head = memory.take(max(1, 32 // memory.port))
        for _ in range(count):
            scales.append(head.half())
            minima.append(head.half())
        head.end()
        for _ in range(count):
            group = memory.take(128 // memory.port)
            codes.append([group.unsigned(4) for _ in range(32)])
            group.end()
    shape = (rows, columns // 32)
    return (
        np.array(codes).reshape(rows, columns),
        np.array(scales).reshape(shape),
        np.array(minima).reshape(shape),
    )


def read_keys(memory: Bits, slots: int, d_head: int, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Exponents [slots, (key, value)] and keys [slots, d_head] of a head."""
    exponents, keys = [], []
    for _ in range(slots):
        head = memory.take(1)
        exponents.append((head.signed(8), head.signed(8)))
        head.end()
        keys.append(_integers(memory, d_head, bits))
    return np.array(exponents), np.array(keys)


def read_values(memory: Bits, slots: int, d_head: int, bits: int) -> np.ndarray:
    """Values [slots, d_head] of a head."""
    return np.array([_integers(memory, d_head, bits) for _ in range(slots)])


def _integers(memory: Bits, size: int, bits: int) -> list[int]:
    """So many integers, in whole beats."""
    fields = memory.take(beats(size * bits, memory.port))
    found = [fields.signed(bits) for _ in range(size)]
    fields.end()
    return found

"""The container of GGUF files, versions 2 and 3, little endian: metadata and tensors by name.

Written here because no header may be believed before the file has been seen to be as long as it
says: the reader of the ``gguf`` package loops and allocates on counts first.  Its writer makes the
files of the tests.  The format is described in the documentation of GGML.
"""

from __future__ import annotations

import math
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from golden.blocks import GROUP, GROUP_BYTES, Blocks
from golden.errors import WeftError
from golden.zoo.floats import float32

MAGIC = b"GGUF"
VERSIONS = (2, 3)
SCALARS = dict(zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIif?Qqd", strict=True))
STRING, ARRAY = 8, 9
TYPES = {0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 8: "Q8_0", 30: "BF16"}
ELEMENT_BYTES = {"F32": 4, "F16": 2, "BF16": 2}
DEFAULT_ALIGNMENT = 32
MOST_DIMENSIONS = 4

Value = int | float | bool | str | list


@dataclass(frozen=True)
class TensorInfo:
    """Where a tensor lies: type, shape with the slowest dimension first, and its bytes."""

    kind: str
    shape: tuple[int, ...]
    offset: int
    size: int


class GgufFile:
    """An open GGUF file whose header has been read and checked against the file's length.

    Members
    -------
    metadata : dict
        Every field by its key.
    tensors : dict of str to TensorInfo
        In the order of the header.

    Raises
    ------
    WeftError
        If the file is no GGUF, or its header contradicts itself or the file's length.
    OSError
        If it cannot be read.
    """

    def __init__(self, path: Path):
        if path.exists() and not path.is_file() and not path.is_dir():
            raise WeftError("it is no ordinary file")
        self._file = path.open("rb")
        try:
            self._header = _Header(self._file)
            self.metadata: dict[str, Value] = {}
            self.tensors: dict[str, TensorInfo] = {}
            self._read_header()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> GgufFile:
        return self

    def __exit__(self, *_) -> None:
        self._file.close()

    def read(self, name: str) -> tuple[np.ndarray, Blocks | None]:
        """A tensor in float32, and as it is in the file if it is quantised."""
        info = self.tensors[name]
        self._file.seek(info.offset)
        raw = np.frombuffer(self._file.read(info.size), np.uint8)
        if raw.size != info.size:
            raise WeftError(f"tensor {name} has lost its end while it was read")
        if info.kind in GROUP_BYTES:
            groups = (math.prod(info.shape[:-1]), info.shape[-1] // GROUP, GROUP_BYTES[info.kind])
            blocks = Blocks(info.kind, raw.reshape(groups))
            return blocks.dequantise(), blocks
        return float32(info.kind, info.shape, raw), None

    def _read_header(self) -> None:
        header = self._header
        if header.take(4, "its first bytes") != MAGIC:
            raise WeftError("it does not begin as a GGUF file does")
        version = header.scalar("I", "its version")
        if version not in VERSIONS:
            raise WeftError(f"it has version {version} of GGUF; expected 2 or 3, little endian")
        n_tensors, n_fields = (header.scalar("Q", "its counts") for _ in range(2))
        header.expect(24 * n_tensors + 13 * n_fields, f"{n_tensors:,} tensors, {n_fields:,} fields")
        for index in range(n_fields):
            key = header.string(f"the name of field {index}")
            if key in self.metadata:
                raise WeftError(f"field {key} is there twice")
            self.metadata[key] = header.value(f"field {key}")
        rows = [self._tensor(index) for index in range(n_tensors)]
        alignment = self.metadata.get("general.alignment", DEFAULT_ALIGNMENT)
        if not isinstance(alignment, int) or alignment < 8 or alignment % 8:
            raise WeftError(f"field general.alignment is {alignment}; expected a multiple of 8")
        start = -(-header.position // alignment) * alignment
        for name, kind, shape, offset in rows:
            self.tensors[name] = self._place(name, kind, shape, start, offset, alignment)
        end = max((info.offset + info.size for info in self.tensors.values()), default=start)
        if header.length - end >= alignment:
            raise WeftError(f"it has {header.length - end:,} bytes after the end of its tensors")

    def _tensor(self, index: int) -> tuple[str, int, tuple[int, ...], int]:
        header, seen = self._header, f"the entry of tensor {index}"
        name = header.string(seen)
        count = header.scalar("I", seen)
        if not 1 <= count <= MOST_DIMENSIONS:
            raise WeftError(f"tensor {name} has {count:,} dimensions; expected 1 to 4")
        shape = tuple(header.scalar("Q", seen) for _ in range(count))[::-1]
        return name, header.scalar("I", seen), shape, header.scalar("Q", seen)

    def _place(self, name, number, shape, start, offset, alignment) -> TensorInfo:
        """Check a tensor's type, shape and place against the file."""
        if name in self.tensors:
            raise WeftError(f"tensor {name} is there twice")
        kind = TYPES.get(number)
        if kind is None:
            raise WeftError(
                f"tensor {name} has type number {number}; "
                f"expected one of {', '.join(f'{k} ({n})' for n, k in TYPES.items())}"
            )
        if kind in GROUP_BYTES and shape[-1] % GROUP:
            raise WeftError(
                f"tensor {name} has rows of {shape[-1]} elements; expected a multiple of {GROUP}, "
                f"the group of {kind}"
            )
        elements = math.prod(shape)
        size = elements // GROUP * GROUP_BYTES[kind] if kind in GROUP_BYTES else 0
        size = size or elements * ELEMENT_BYTES.get(kind, 0)
        if offset % alignment or not elements:
            raise WeftError(
                f"tensor {name} has shape {shape} and begins at byte {offset} of the data; "
                f"expected no dimension of zero and a multiple of {alignment}"
            )
        if start + offset + size > self._header.length:
            raise WeftError(
                f"tensor {name} would end at byte {start + offset + size:,}, but the file has "
                f"{self._header.length:,}: it is damaged or was not copied whole"
            )
        return TensorInfo(kind, shape, start + offset, size)


class _Header:
    """Reads the header from its beginning; nothing is taken before the file is known to hold it."""

    def __init__(self, file: BinaryIO):
        self._file, self.position = file, 0
        self.length = os.fstat(file.fileno()).st_size

    def expect(self, size: int, what: str) -> None:
        """Raise a WeftError unless ``size`` more bytes are there."""
        if size > self.length - self.position:
            raise WeftError(
                f"{what} would take {size:,} bytes at byte {self.position:,}, but the file has "
                f"{self.length:,}: it is damaged or was not copied whole"
            )

    def take(self, size: int, what: str) -> bytes:
        """The next bytes."""
        self.expect(size, what)
        self.position += size
        return self._file.read(size)

    def scalar(self, code: str, what: str):
        """A number of one of the types of :mod:`struct`."""
        return struct.unpack(f"<{code}", self.take(struct.calcsize(f"<{code}"), what))[0]

    def string(self, what: str) -> str:
        """A text with its length in front."""
        try:
            return self.take(self.scalar("Q", what), what).decode()
        except UnicodeDecodeError:
            raise WeftError(f"{what} is not UTF-8 text") from None

    def value(self, what: str) -> Value:
        """A field's type and its value; an array is a list."""
        kind = self.scalar("I", what)
        if kind != ARRAY:
            return self._single(kind, what)
        kind, count = self.scalar("I", what), self.scalar("Q", what)
        if kind in SCALARS:
            size = struct.calcsize(f"<{SCALARS[kind]}")
            self.expect(count * size, what)
            return np.frombuffer(self.take(count * size, what), f"<{SCALARS[kind]}").tolist()
        self.expect(count * 8, what)
        return [self._single(kind, what) for _ in range(count)]

    def _single(self, kind: int, what: str) -> Value:
        if kind == STRING:
            return self.string(what)
        if kind not in SCALARS:
            raise WeftError(f"{what} holds values of type number {kind}, which GGUF does not have")
        return self.scalar(SCALARS[kind], what)

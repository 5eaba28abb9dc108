"""Weight images: files that hold the weights of an external memory, and say what they are.

A file is used only after its header was checked, and a tensor only after its CRC was: a flipped bit
is found, and the tensor named.  See docs/image.md.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from golden.errors import WeftError, write_whole
from golden.words import counted
from hdl.external import image_header
from hdl.external.image import tensor_bytes
from hdl.external.image_header import OPENING, BadHeader, Entry, Header
from hdl.external.layout import Layout

CHUNK = 1 << 20
AGAIN = "copy it again, or make it anew with `make image`"

Progress = Callable[[int], object]
"""Is told of so many more bytes."""


def write(path: Path, layout: Layout, checkpoint: str, progress: Progress = int) -> Header:
    """Write the image of a layout, whole or not at all; ``checkpoint``: the digest of its weights.

    Takes the memory of one tensor.

    Raises
    ------
    WeftError
        If the file cannot be written.
    """
    entries, digest, header = [], hashlib.sha256(), None

    def content(file: BinaryIO) -> None:
        nonlocal header
        file.seek(image_header.data_offset(len(layout.tensors)))
        for tensor in layout.tensors:
            data = tensor_bytes(tensor).data
            digest.update(data)
            entries.append(image_header.entry_of(layout, tensor, zlib.crc32(data)))
            file.write(data)
            progress(len(data))
        header = image_header.header_of(layout, checkpoint, digest.hexdigest(), entries)
        file.seek(0)
        file.write(image_header.pack(header))

    write_whole(path, content)
    return header


@dataclass(frozen=True)
class Image:
    """A file whose header is right; :func:`opened` makes it."""

    path: Path
    header: Header

    def tensor(self, name: str) -> bytes:
        """The bytes of one tensor, alone.

        Raises
        ------
        WeftError
            If there is none of that name, or its bytes are damaged.
        """
        entry = next((each for each in self.header.entries if each.name == name), None)
        if entry is None:
            known = ", ".join(each.name for each in self.header.entries[:12])
            raise WeftError(f"{self.path} has no tensor {name}; it has {known} and so on")
        data = self.read(entry.offset, entry.length)
        if zlib.crc32(data) != entry.crc:
            self.refuse([name])
        return data

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the memory from ``offset`` on, as they are; :meth:`check` tells whether right.

        Raises
        ------
        WeftError
            If they cannot be read.
        """
        with _reading(self.path) as file:
            file.seek(self.header.data_offset + offset)
            return _exactly(file, length, self.path)

    def damaged(self, progress: Progress = int) -> list[str]:
        """Names of the tensors whose bytes are not those that were written.

        Raises
        ------
        WeftError
            If the file cannot be read, or all tensors are right and the whole is not.
        """
        digest, found = hashlib.sha256(), []
        with _reading(self.path) as file:
            file.seek(self.header.data_offset)
            for entry in self.header.entries:
                crc = 0
                for data in _chunks(file, entry, self.path):
                    digest.update(data)
                    crc = zlib.crc32(data, crc)
                    progress(len(data))
                if crc != entry.crc:
                    found.append(entry.name)
        if not found and digest.hexdigest() != self.header.data_digest:
            raise WeftError(f"the data of {self.path} have another SHA-256 than it says; {AGAIN}")
        return found

    def check(self, progress: Progress = int) -> None:
        """Raise a WeftError that names what is damaged, if anything is."""
        self.refuse(self.damaged(progress))

    def refuse(self, damaged: list[str]) -> None:
        """Raise a WeftError about tensors that are damaged, if any are."""
        if damaged:
            more = f" and {counted(len(damaged) - 1, 'other')}" if damaged[1:] else ""
            raise WeftError(
                f"{self.path} is damaged: bits of tensor {damaged[0]}{more} are not those that "
                f"were written; {AGAIN}"
            )

    def check_layout(self, layout: Layout) -> None:
        """Raise a WeftError if this is the image of another plan or port."""
        plan, header = layout.plan, self.header
        if header.plan != plan.digest():
            raise WeftError(
                f"{self.path} holds the plan {header.plan[:16]} of {header.model}; expected "
                f"{plan.digest()[:16]} of {plan.name}: give the options that it was made with, or "
                "make it anew with `make image`"
            )
        if header.port != layout.port:
            raise WeftError(
                f"{self.path} is for a port of {header.port} bits; expected {layout.port}: make "
                f"it anew with `make image PORT={layout.port}`"
            )


def opened(path: Path) -> Image:
    """An image whose header was read and found right.

    Raises
    ------
    WeftError
        If the file cannot be read, is none of this version, is damaged in its header, or has
        another size than that says.
    """
    with _reading(path) as file:
        try:
            opening = file.read(OPENING.size)
            rest = image_header.length_of(opening) - OPENING.size
            header = image_header.unpack(opening + _exactly(file, rest, path))
        except BadHeader as error:
            raise WeftError(f"{path} {error}") from None
        _check_rest(file, header, path)
    return Image(path, header)


def _check_rest(file: BinaryIO, header: Header, path: Path) -> None:
    """Whether zeros lead up to the data, and nothing is behind them."""
    padding = _exactly(file, header.data_offset - file.tell(), path)
    if any(padding):
        raise WeftError(f"{path} is damaged between its header and its data; {AGAIN}")
    size, expected = os.fstat(file.fileno()).st_size, header.data_offset + header.data_bytes
    if size != expected:
        what = "is cut short" if size < expected else "goes on behind its end"
        raise WeftError(f"{path} {what}: it has {size:,} bytes; expected {expected:,}: {AGAIN}")


def _chunks(file: BinaryIO, entry: Entry, path: Path) -> Iterator[bytes]:
    for at in range(0, entry.length, CHUNK):
        yield _exactly(file, min(CHUNK, entry.length - at), path)


def _exactly(file: BinaryIO, length: int, path: Path) -> bytes:
    data = file.read(length)
    if len(data) != length:
        raise WeftError(f"{path} is cut short after {file.tell():,} bytes; {AGAIN}")
    return data


@contextmanager
def _reading(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise WeftError(
            f"the image {path} cannot be read: {error.strerror or error}; `make image` writes one"
        ) from None

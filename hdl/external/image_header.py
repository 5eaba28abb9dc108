"""The header of a weight image, byte by byte; docs/image.md is the same as a table.

All numbers are little-endian.  The header is an ``OPENING``, one ``ENTRY`` a tensor in the order of
the data, and the CRC-32 of all that; zeros follow up to the data, which begin at a whole PAGE.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from typing import NamedTuple

from golden.blocks import GROUP
from golden.schedules.external import PORT_BITS
from golden.stage import SCALE_FRACTION, SCALED_BITS, Bias, Linear, Norm, Stage
from hdl.external.image import place
from hdl.external.layout import Biases, Elements, Gains, Groups, Layout, Rows, Tensor

MAGIC = b"\x89WEFT\r\n\x1a"
"""As PNG's: no text begins like this, and a transfer that changes ends of lines spoils it."""

VERSION = 1
PAGE = 4096
DIGEST = 32
"""Bytes of a SHA-256."""

OPENING = struct.Struct(f"<8s4I2Q{DIGEST}s{DIGEST}s{DIGEST}s64s12IQ")
ENTRY = struct.Struct("<32s4Ii2QI")
CRC = struct.Struct("<I")

MOST_TENSORS = 1 << 16
"""More than any model has: what a damaged header says cannot take all memory."""

MOST_SIZE = 1 << 31
"""Rows or columns of a tensor are fewer."""

TIED = 1
"""Flag: the embedding is the head's matrix."""


class BadHeader(Exception):
    """What is wrong with a header: the rest of a sentence that begins with the file's name."""


@dataclass(frozen=True)
class Shapes:
    """Sizes and formats of the model, in the order of the header."""

    layers: int
    heads: int
    kv_heads: int
    d_head: int
    d_model: int
    d_ff: int
    n_vocab: int
    slots: int
    cache_bits: int
    flags: int
    sum_bits: int
    scale_fraction: int

    @property
    def tied(self) -> bool:
        """Whether the embedding is the head's matrix."""
        return bool(self.flags & TIED)

    @property
    def cache_bytes(self) -> int:
        """Of keys, values and their two exponents that a position adds, without padding."""
        return self.layers * self.kv_heads * (2 * self.d_head * self.cache_bits // 8 + 2)


KINDS = {1: Gains, 2: Rows, 3: Groups, 4: Biases}
"""How the bytes of a tensor lie, by its number in an entry."""


class Entry(NamedTuple):
    """A tensor: where its bytes are in the data, and what they must be.

    ``exponent``: of the plan's stage; values are ``2**exponent`` times what gains, biases, or
    scales and codes, stand for (see golden.stage).
    """

    name: str
    kind: int
    layer: int
    rows: int
    columns: int
    exponent: int
    offset: int
    length: int
    crc: int

    @property
    def form(self) -> str:
        """The kind for people."""
        return KINDS[self.kind].__name__.lower()

    @property
    def unpadded(self) -> int:
        """Bytes of its values alone."""
        size = self.rows * self.columns
        by_kind = {1: 2 * size, 2: size + 2 * self.rows, 3: size // GROUP * 20, 4: 4 * size}
        return by_kind[self.kind]

    def beats(self, port: int) -> int:
        """Beats that a tensor of this kind and shape takes."""
        form = KINDS[self.kind]
        shape = (self.columns,) if issubclass(form, Elements) else (self.rows, self.columns)
        return form(*shape, port).beats


@dataclass(frozen=True)
class Header:
    """All that a file says before its data."""

    port: int
    model: str
    plan: str
    checkpoint: str
    data_digest: str
    memory_beats: int
    shapes: Shapes
    entries: tuple[Entry, ...]

    @property
    def data_offset(self) -> int:
        """Where the data begin."""
        return data_offset(len(self.entries))

    @property
    def data_bytes(self) -> int:
        """Of all tensors."""
        return sum(entry.length for entry in self.entries)


def header_bytes(tensors: int) -> int:
    """Bytes of a header, its CRC included."""
    return OPENING.size + tensors * ENTRY.size + CRC.size


def data_offset(tensors: int) -> int:
    """Where the data of so many tensors begin in a file."""
    return -(-header_bytes(tensors) // PAGE) * PAGE


def entry_of(layout: Layout, tensor: Tensor, crc: int) -> Entry:
    """The entry of a tensor whose bytes have this CRC."""
    stage, form, bytes_ = tensor.stage, tensor.form, place(tensor)
    kind = next(number for number, each in KINDS.items() if isinstance(form, each))
    rows, columns = (1, form.size) if isinstance(form, Elements) else (form.rows, form.columns)
    name = layout.plan.place(tensor.layer, stage.name)
    length = bytes_.stop - bytes_.start
    return Entry(
        name, kind, tensor.layer, rows, columns, _exponent(stage), bytes_.start, length, crc
    )


def _exponent(stage: Stage) -> int:
    if isinstance(stage, Norm):
        return int(stage.gain_exponent)
    if isinstance(stage, Bias):
        return stage.format.exponent
    return int(stage.weight_exponent if isinstance(stage, Linear) else stage.exponent)


def header_of(
    layout: Layout, checkpoint: str, data_digest: str, entries: Sequence[Entry]
) -> Header:
    """The header of a plan's image; digests in hexadecimal."""
    plan, attention = layout.plan, layout.attention
    shapes = Shapes(
        layers=len(plan.layers),
        heads=attention.n_head,
        kv_heads=attention.kv_heads,
        d_head=attention.d_head,
        d_model=layout.embed.output_size,
        d_ff=next(stage.input_size for stage in plan.template if stage.name == "fc2"),
        n_vocab=plan.n_vocab,
        slots=attention.slots,
        cache_bits=attention.key.width,
        flags=TIED if layout.tied else 0,
        sum_bits=SCALED_BITS,
        scale_fraction=SCALE_FRACTION,
    )
    return Header(
        layout.port, plan.name, plan.digest(), checkpoint, data_digest, layout.end, shapes,
        tuple(entries),
    )  # fmt: skip


def pack(header: Header) -> bytes:
    """The bytes of a header, and zeros up to the data."""
    digests = map(bytes.fromhex, (header.plan, header.checkpoint, header.data_digest))
    tensors = len(header.entries)
    opening = OPENING.pack(
        MAGIC, VERSION, header_bytes(tensors), tensors, header.port, header.data_offset,
        header.data_bytes, *digests, _text(header.model, 64), *astuple(header.shapes),
        header.memory_beats,
    )  # fmt: skip
    packed = [ENTRY.pack(_text(entry.name, 32), *entry[1:]) for entry in header.entries]
    body = b"".join((opening, *packed))
    return (body + CRC.pack(zlib.crc32(body))).ljust(header.data_offset, b"\0")


def _text(text: str, size: int) -> bytes:
    """UTF-8, cut to fit; what cannot be printed is a question mark."""
    printable = "".join(c if c.isprintable() else "?" for c in text)
    return printable.encode()[:size].decode(errors="ignore").encode()


def length_of(opening: bytes) -> int:
    """The bytes of a whole header, from its opening.

    Raises
    ------
    BadHeader
        If it is none of this version, or says what cannot be.
    """
    if not opening.startswith(MAGIC):
        raise BadHeader("is no weight image; expected a file that `make image` wrote")
    if len(opening) < OPENING.size:
        raise BadHeader(f"is cut short after {len(opening)} bytes; copy it again")
    _, version, length, tensors, *_ = OPENING.unpack(opening)
    if version != VERSION:
        raise BadHeader(
            f"is a weight image of version {version}; expected version {VERSION}: make it anew "
            "with `make image`"
        )
    if not 0 < tensors <= MOST_TENSORS or length != header_bytes(tensors):
        raise BadHeader(
            f"has a damaged header: {length} bytes for {tensors} tensors; expected 1 to "
            f"{MOST_TENSORS} tensors and {ENTRY.size} bytes for each: copy or make it again"
        )
    return length


def unpack(data: bytes) -> Header:
    """The header in exactly its bytes.

    Raises
    ------
    BadHeader
        If they are damaged, or contradict each other.
    """
    body, (crc,) = data[: -CRC.size], CRC.unpack(data[-CRC.size :])
    if zlib.crc32(body) != crc:
        raise BadHeader("has a damaged header: its CRC is wrong; copy or make it again")
    values = OPENING.unpack_from(body)
    port, offset, size, plan, checkpoint, digest, model = values[4:11]
    shapes = Shapes(*values[11 : 11 + len(fields(Shapes))])
    packed = body[OPENING.size :]
    entries = tuple(Entry(_read(name), *rest) for name, *rest in ENTRY.iter_unpack(packed))
    name = _read(model)
    hexadecimal = (each.hex() for each in (plan, checkpoint, digest))
    header = Header(port, name, *hexadecimal, values[-1], shapes, entries)
    _check(header, offset, size)
    return header


def _read(text: bytes) -> str:
    name = text.rstrip(b"\0").decode(errors="replace")
    if "\ufffd" in name or not name.isprintable():
        raise BadHeader("holds a name that is no text; make it again")
    return name


def _check(header: Header, offset: int, size: int) -> None:
    """Whether what a header says is possible."""
    if header.port not in PORT_BITS:
        known = ", ".join(map(str, PORT_BITS))
        raise BadHeader(f"is for a port of {header.port} bits; expected one of {known}")
    at = 0
    for entry in header.entries:
        problem = _problem(entry, header.port, at)
        if problem:
            raise BadHeader(f"describes tensor {entry.name} {problem}; make it again")
        at += entry.length
    if (offset, size) != (header.data_offset, header.data_bytes):
        raise BadHeader(
            f"says that its {size} bytes of data begin at byte {offset}; expected "
            f"{header.data_bytes} from byte {header.data_offset} on: make it again"
        )


def _problem(entry: Entry, port: int, at: int) -> str | None:
    if entry.kind not in KINDS:
        return f"as one of kind {entry.kind}; expected 1 to {len(KINDS)}"
    if not (0 < entry.rows < MOST_SIZE and 0 < entry.columns < MOST_SIZE):
        return f"with {entry.rows} rows and {entry.columns} columns"
    if KINDS[entry.kind] is Groups and entry.columns % GROUP:
        return f"with rows of {entry.columns} codes; expected a multiple of {GROUP}"
    length = entry.beats(port) * port // 8
    if (entry.offset, entry.length) != (at, length):
        return f"as {entry.length} bytes from {entry.offset} on; expected {length} from {at} on"
    return None

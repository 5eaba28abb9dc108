"""Struct payloads as plain numbers: one description of a layout, and packing both ways.

cocotb does not see the fields of packed structs, recorded lines carry payloads as hexadecimal
digits, and a cached simulation is used without elaborating the design that it was made from. So a
layout is described once as a tuple of :class:`Field`, which is data and can be stored as JSON.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import reduce

import numpy as np
from amaranth.hdl import Shape
from amaranth.lib import data


@dataclass(frozen=True)
class Field:
    """A number, or an array of numbers, inside a payload.

    Parameters
    ----------
    path: names from the outside in, joined by dots: ``tag.stream``.
    offset, width: position of the least significant bit, and bits of one number.
    signed: two's complement.
    count: numbers of an array, or None for a single number.
    """

    path: str
    offset: int
    width: int
    signed: bool
    count: int | None = None

    @property
    def end(self) -> int:
        """The bit after the last."""
        return self.offset + self.width * (1 if self.count is None else self.count)


Layout = tuple[Field, ...]
"""A description of a payload: what :func:`describe` returns, and all other functions take."""


def describe(shape, path: str = "", offset: int = 0) -> Layout:
    """Describe a payload's shape: structs of numbers, of arrays of numbers, and of structs.

    An array of anything else becomes one group of fields an element, with its index in the path.
    """
    if isinstance(shape, data.Layout):
        if isinstance(shape, data.ArrayLayout) and not isinstance(shape.elem_shape, data.Layout):
            element = Shape.cast(shape.elem_shape)
            return (Field(path, offset, element.width, element.signed, shape.length),)
        fields: list[Field] = []
        for name, member in shape:
            inner = f"{path}.{name}" if path else str(name)
            fields += describe(member.shape, inner, offset + member.offset)
        return tuple(fields)
    number = Shape.cast(shape)
    return (Field(path, offset, number.width, number.signed),)


def width(layout: Layout) -> int:
    """Bits of a payload."""
    return max((field.end for field in layout), default=0)


def to_json(layout: Layout) -> list[dict]:
    """A description as JSON values."""
    return [asdict(field) for field in layout]


def from_json(fields: Sequence[dict]) -> Layout:
    """The description that :func:`to_json` was given."""
    return tuple(Field(**field) for field in fields)


def pack(layout: Layout, values: Mapping | int) -> int:
    """The bits of a payload.

    Parameters
    ----------
    layout
        Description of the payload.
    values
        Nested mappings with the structs' names (``{"tag": {"stream": 1}}``), or paths as keys
        (``{"tag.stream": 1}``); fields that are absent are zero. A number, if the payload is one.

    Raises
    ------
    ValueError
        If a name is unknown, a number does not fit, or an array has too many elements.
    """
    given = _flatten(values) if isinstance(values, Mapping) else {"": values}
    bits = 0
    for field in layout:
        value = given.pop(field.path, 0)
        if field.count is None:
            bits |= _fit(field, value) << field.offset
            continue
        elements = [] if isinstance(value, int) and value == 0 else list(value)
        if len(elements) > field.count:
            raise ValueError(f"{field.path}: {len(elements)} elements do not fit {field.count}")
        for k, element in enumerate(elements):
            bits |= _fit(field, element) << (field.offset + k * field.width)
    if given:
        known = ", ".join(field.path for field in layout)
        raise ValueError(f"the payload has no field {next(iter(given))}; it has {known}")
    return bits


def unpack(layout: Layout, bits: int) -> dict | int | list[int]:
    """The fields of a payload as nested dictionaries; the inverse of :func:`pack`."""
    result: dict = {}
    for field in layout:
        if field.count is None:
            value: int | list[int] = _extract(field, bits, 0)
        else:
            value = [_extract(field, bits, k) for k in range(field.count)]
        if not field.path:
            return value
        *outer, name = field.path.split(".")
        reduce(lambda inner, key: inner.setdefault(key, {}), outer, result)[name] = value
    return result


def unpack_many(layout: Layout, payloads: np.ndarray) -> dict[str, np.ndarray]:
    """The fields of many payloads by path, int64: ``[n]``, or ``[n, count]`` for an array.

    Parameters
    ----------
    layout
        Description of the payload; no number is wider than 64 bits.
    payloads
        Bytes, uint8 ``[n, bytes of a payload]``, the least significant byte first.
    """
    fields = {}
    for field in layout:
        if field.width > 64:
            raise ValueError(f"{field.path} has {field.width} bits; 64 is the most")
        if field.count is None:
            fields[field.path] = _column(field, payloads, 0)
        else:
            fields[field.path] = _columns(field, payloads)
    return fields


def _columns(field: Field, payloads: np.ndarray) -> np.ndarray:
    """An array field; at once where its numbers are whole words of the machine."""
    if field.width in (8, 16, 32, 64) and field.offset % 8 == 0:
        span = payloads[:, field.offset // 8 : field.end // 8]
        kind = f"<{'i' if field.signed else 'u'}{field.width // 8}"
        return np.ascontiguousarray(span).view(kind).astype(np.int64)
    result = np.empty((len(payloads), field.count), dtype=np.int64)
    for k in range(field.count):
        result[:, k] = _column(field, payloads, k)
    return result


def _column(field: Field, payloads: np.ndarray, index: int) -> np.ndarray:
    start = field.offset + index * field.width
    total = np.zeros(len(payloads), dtype=np.uint64)
    for byte in range(start // 8, -(-(start + field.width) // 8)):
        shift = 8 * byte - start
        part = payloads[:, byte].astype(np.uint64)
        total |= part << np.uint64(shift) if shift >= 0 else part >> np.uint64(-shift)
    if field.width < 64:
        total &= np.uint64((1 << field.width) - 1)
        result = total.astype(np.int64)
        if field.signed and field.width:
            sign = np.int64(1 << (field.width - 1))
            result = (result ^ sign) - sign
        return result
    return total.view(np.int64)


def _flatten(values: Mapping, path: str = "") -> dict:
    flat = {}
    for name, value in values.items():
        inner = f"{path}.{name}" if path else str(name)
        flat |= _flatten(value, inner) if isinstance(value, Mapping) else {inner: value}
    return flat


def _fit(field: Field, value: int) -> int:
    """The bits of a number; a field of no bits (a static exponent) takes any."""
    value = int(value)
    if not field.width:
        return 0
    low = -(1 << field.width >> 1) if field.signed else 0
    high = (1 << field.width >> field.signed) - 1
    if not low <= value <= high:
        raise ValueError(f"{field.path or 'payload'}: {value} is not in {low} to {high}")
    return value & ((1 << field.width) - 1)


def _extract(field: Field, bits: int, index: int) -> int:
    value = bits >> (field.offset + index * field.width) & ((1 << field.width) - 1)
    if field.signed and field.width and value >> (field.width - 1):
        value -= 1 << field.width
    return value

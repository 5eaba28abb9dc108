"""Recorded lines as arrays: what passed each tap, and when; made for millions of lines."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from golden.errors import WeftError
from sim import payload
from sim.payload import Layout
from sim.recorder import Design

CHUNK = 4096
"""Lines that are decoded at once, so that intermediate results stay in the processor's cache."""

CYCLE_DIGITS = 8
"""Digits of a cycle in the recorder's lines."""

CYCLE, PAYLOAD = slice(5, 5 + CYCLE_DIGITS), 5 + CYCLE_DIGITS + 1
"""Where the line of a tap tells its cycle, and from where on its payload."""


@dataclass(frozen=True)
class Recording:
    """All beats that passed one tap, in order.

    Parameters
    ----------
    name: of the tap.
    cycles: when each beat passed, int64 [n].
    fields: the payload's fields by path (``data``, ``exponent``, ``tag.position``, ``first``, ...),
        int64 [n], or [n, count] for an array.
    """

    name: str
    cycles: np.ndarray
    fields: dict[str, np.ndarray] = field(repr=False)

    def __len__(self) -> int:
        return len(self.cycles)

    def __getitem__(self, path: str) -> np.ndarray:
        return self.fields[path]

    @property
    def data(self) -> np.ndarray:
        """Mantissas [n, lanes]."""
        return self.fields["data"]

    @property
    def exponent(self) -> np.ndarray:
        """Exponents; zeros if the format's exponent is static."""
        return self.fields["exponent"]

    @property
    def first(self) -> np.ndarray:
        """Whether a beat is the first of its vector."""
        return self.fields["first"].astype(bool)

    @property
    def last(self) -> np.ndarray:
        """Whether a beat is the last of its vector."""
        return self.fields["last"].astype(bool)

    def tag(self, name: str) -> np.ndarray:
        """A field of the tags: ``stream``, ``position``, ``layer``, ``job`` or ``sample``."""
        return self.fields[f"tag.{name}"]


def decode(design: Design, lines: Iterable[str] | bytes) -> dict[str, Recording]:
    """The recordings of all taps, by name; those of a tap that recorded nothing are empty.

    Parameters
    ----------
    design
        Of the simulation that wrote the lines.
    lines
        A run's lines in order, or a whole log as bytes; lines of other kinds are passed over.

    Raises
    ------
    WeftError
        If a line is not what the design writes, or holds undefined bits; it is named.
    """
    if isinstance(lines, bytes):
        lines = lines.decode("ascii", "replace").split("\n")
    found: dict[str, list[str]] = {f"{k:03x}": [] for k in range(len(design.taps))}
    try:
        for line in lines:
            if line[:1] == "@":
                found[line[1:4]].append(line)
    except KeyError:
        raise WeftError(f"the design has no tap for the recorded line {line!r}") from None
    return {
        name: _recording(name, layout, f"@{k:03x} ", found[f"{k:03x}"])
        for k, (name, layout) in enumerate(design.taps)
    }


def tokens(design: Design, lines: Iterable[str]) -> list[tuple[int, dict]]:
    """Cycle and payload of every token among the lines."""
    return [token(design, line) for line in lines if line.startswith("t ")]


def token(design: Design, line: str) -> tuple[int, dict]:
    """Cycle and payload of a token's line."""
    _, cycle, digits = line.split()
    return int(cycle, 16), payload.unpack(design.tokens, int(digits, 16))


def counters(design: Design, lines: Iterable[str]) -> dict[tuple[str, int], tuple[int, int]]:
    """Busy and blocked cycles by (unit, job), from the lines at the end of a run."""
    found = {}
    for line in lines:
        if line.startswith("c "):
            index, busy, blocked = (int(part, 16) for part in line.split()[1:])
            found[design.counters[index]] = busy, blocked
    return found


def stuck(design: Design, lines: Iterable[str]) -> str:
    """One sentence a unit about what it was doing when the run hung; empty if it did not hang."""
    return "\n".join(_status(design, line) for line in lines if line.startswith("u "))


def _status(design: Design, line: str) -> str:
    index, busy, blocked, starved, job = (int(part, 16) for part in line.split()[1:])
    words = [
        "holds work" if busy or blocked else "holds no work",
        "is blocked" if blocked else "",
        "is starved" if starved else "",
    ]
    told = ", ".join(word for word in words if word)
    return f"{design.units[index]} (job {job}) {told}"


def _recording(name: str, layout: Layout, prefix: str, lines: list[str]) -> Recording:
    """Decode the lines of one tap; Python's own parser of hexadecimal digits does the work."""
    digits = max(-(-payload.width(layout) // 4), 1)
    length = len(prefix) + CYCLE_DIGITS + 1 + digits
    raw = np.empty((len(lines), CYCLE_DIGITS // 2 + -(-digits // 2)), dtype=np.uint8)
    for at in range(0, len(lines), CHUNK):
        part = lines[at : at + CHUNK]
        if set(map(len, part)) != {length}:
            raise _bad(name, next(line for line in part if len(line) != length))
        text = "".join(part).replace(prefix, "")
        if digits % 2:
            text = text.replace(" ", " 0")  # whole bytes
        try:
            parsed = bytes.fromhex(text)
        except ValueError:
            raise _bad(name, next(line for line in part if _is_bad(line))) from None
        raw[at : at + CHUNK] = np.frombuffer(parsed, dtype=np.uint8).reshape(len(part), -1)
    cycles = np.ascontiguousarray(raw[:, : CYCLE_DIGITS // 2]).view(">u4")[:, 0].astype(np.int64)
    little_endian = raw[:, CYCLE_DIGITS // 2 :][:, ::-1]
    return Recording(name, cycles, payload.unpack_many(layout, little_endian))


def _is_bad(line: str) -> bool:
    try:
        int(line[1:].replace(" ", ""), 16)
    except ValueError:
        return True
    return False


def _bad(name: str, line: str) -> WeftError:
    return WeftError(
        f"a line of the tap {name} cannot be read: {line!r}; an x is a bit that the gateware never "
        "defined, and a wrong length is a line cut off, or of another design"
    )

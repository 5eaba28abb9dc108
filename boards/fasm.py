"""FASM, the text that names a bitstream's features, assembled into frames of a 7-series chip.

The features' bits come from the database of Project X-Ray.  Every feature must be known there, or
be one that sets no bit; two features must not contradict each other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from golden.errors import WeftError

WORDS = 101
"""Words of 32 bits in a frame."""

SAME_DIE = {"xc7a35t": "xc7a50t"}
"""A chip that is another one with another number."""

FEATURE = re.compile(
    r"(?P<tile>\w+?)\.(?P<name>[^\s\[=]+)(?:\[(?P<high>\d+)(?::(?P<low>\d+))?\])?"
    r"(?:\s*=\s*\d+'(?P<base>[bhd])(?P<digits>[0-9a-fA-F_]+))?"
)
INDEX = re.compile(r"(?P<name>.*)\[(?P<index>\d+)\]")
BASES = {"b": 2, "d": 10, "h": 16}
BUSES = {"": "CLB_IO_CLK", ".block_ram": "BLOCK_RAM"}
"""Suffix of a file of the database -> the configuration bus that it describes."""


@dataclass(frozen=True)
class Bit:
    """A bit that a feature demands: its value, its frame in the tile, its number in the frame."""

    value: bool
    frame: int
    number: int


@dataclass(frozen=True)
class TileType:
    """(feature, index) -> (bus, bits); and the features that set no bit."""

    features: dict[tuple[str, int], tuple[str, list[Bit]]]
    pseudo: set[str]


@dataclass
class Assembler:
    """Collects features, and gives frames.

    Parameters
    ----------
    database: folder of a family, as ``.../artix7``.
    part: as in ``xc7a35tcsg324-1``.

    Members
    -------
    written: (address of a frame, word, bit) -> value, for every bit that a feature demanded.
    """

    database: Path
    part: str
    written: dict[tuple[int, int, int], bool] = field(default_factory=dict)

    def __post_init__(self):
        die = self.part[: self.part.index("t") + 1]
        path = self.database / SAME_DIE.get(die, die) / "tilegrid.json"
        self._grid = json.loads(path.read_text())
        self._types = cache(self._read_type)

    def add(self, lines: Iterable[str]) -> None:
        """Add lines of FASM.

        Raises
        ------
        WeftError
            If a line is not FASM, or its tile or feature is unknown, or contradicts another.
        """
        for line in lines:
            text = line.partition("#")[0].strip()
            if text and not text.startswith("{"):
                for tile, feature, index in features(text):
                    self._set(tile, feature, index)

    def frames(self) -> dict[int, list[int]]:
        """Address -> words, of every frame of the chip that has a tile."""
        found = {}
        for tile in self._grid.values():
            for block in tile["bits"].values():
                base = int(block["baseaddr"], 16)
                for address in range(base, base + block["frames"]):
                    found.setdefault(address, [0] * WORDS)
        for (address, word, bit), value in self.written.items():
            found[address][word] |= value << bit
        return dict(sorted(found.items()))

    def bits(self) -> set[tuple[int, int, int]]:
        """(address, word, bit) of every bit that is one."""
        return {place for place, value in self.written.items() if value}

    def _set(self, tile_name: str, feature: str, index: int) -> None:
        if tile_name not in self._grid:
            raise WeftError(f"the chip {self.part} has no tile {tile_name}")
        tile = self._grid[tile_name]
        kind, shift = tile["type"], 0
        for block in tile["bits"].values():
            if "alias" in block:
                kind, shift = block["alias"]["type"], block["alias"]["start_offset"]
        known = self._types(kind)
        if (feature, index) not in known.features:
            if feature in known.pseudo | self._types(tile["type"]).pseudo:
                return
            raise WeftError(f"the database knows no feature {feature}[{index}] of {tile_name}")
        bus, bits = known.features[feature, index]
        block = tile["bits"][bus]
        for bit in bits:
            word = block["offset"] + bit.number // 32 - shift
            place = int(block["baseaddr"], 16) + bit.frame, word, bit.number % 32
            if self.written.setdefault(place, bit.value) != bit.value:
                raise WeftError(f"{tile_name}.{feature}[{index}] contradicts another feature")

    def _read_type(self, name: str) -> TileType:
        known = {}
        for suffix, bus in BUSES.items():
            for words in _rows(self.database / f"segbits_{name.lower()}{suffix}.db"):
                feature = _indexed(words[0].partition(".")[2])
                known[feature] = bus, [_bit(word) for word in words[1:]]
        pseudo = _rows(self.database / f"ppips_{name.lower()}.db")
        return TileType(known, {words[0].partition(".")[2] for words in pseudo})


def features(text: str) -> Iterator[tuple[str, str, int]]:
    """(tile, feature, index) of everything that one line of FASM sets."""
    match = FEATURE.fullmatch(text)
    if match is None:
        raise WeftError(f"this is no FASM: {text}")
    high = int(match["high"] or 0)
    if match["digits"] is None:
        yield match["tile"], match["name"], high
        return
    low = high if match["low"] is None else int(match["low"])
    value = int(match["digits"].replace("_", ""), BASES[match["base"]])
    for k in range(value.bit_length()):
        if value >> k & 1:
            yield match["tile"], match["name"], low + k


def write_frames(frames: dict[int, list[int]]) -> str:
    """Frames as xc7frames2bit reads them."""
    return "".join(
        f"0x{address:08X} {','.join(f'0x{word:08X}' for word in words)}\n"
        for address, words in frames.items()
    )


def _rows(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def _indexed(name: str) -> tuple[str, int]:
    """A feature's name and its index; one without has index 0."""
    match = INDEX.fullmatch(name)
    return (match["name"], int(match["index"])) if match else (name, 0)


def _bit(word: str) -> Bit:
    frame, number = word.lstrip("!").split("_")
    return Bit(not word.startswith("!"), int(frame), int(number))

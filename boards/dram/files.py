"""What LiteDRAM's packages write for a board's memory; made once, kept in the folder of tools."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from golden.errors import OptionError
from sim.engines import cache
from sim.memory import library

GENERATE = Path(__file__).with_name("generate.py")
CLOCK_MHZ = 100
"""Of the controller."""

PORT = 128
"""Bits of its native port."""

ADDRESS_BITS = 24
"""Of a beat: 256 MiB."""


@dataclass(frozen=True)
class Files:
    """Verilog of the module ``litedram``, its registers, and the commands that start the chip.

    ``imitation`` is the same module for simulations: see generate.py.
    """

    verilog: str
    imitation: str
    registers: Mapping[str, int]
    commands: list[dict]


def generate(memory: str) -> Files:
    """The files of a memory.

    Raises
    ------
    WeftError
        If the packages cannot be had, or fail.
    """
    name = cache.digest(memory, GENERATE.read_bytes(), library.LOCK.read_bytes())

    def make(target: Path) -> None:
        library.generate(memory, target, GENERATE)

    what = f"generating LiteDRAM with the PHY of {memory}"
    folder = cache.cached(library.folder() / "boards" / f"{memory}-{name}", make, what)
    told = json.loads((folder / "litedram.json").read_text())
    verilog, imitation = (_text(folder / name) for name in ("litedram.v", "imitation.v"))
    return Files(verilog, imitation, told["registers"], told["sequence"])


def _text(path: Path) -> str:
    """A file without the date of its making."""
    lines = path.read_text().splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("// Date"))


def check_clock(mhz: float) -> None:
    """Raise an OptionError if the controller cannot run at ``mhz``."""
    if mhz != CLOCK_MHZ:
        problem = f"is {mhz:g}; the memory beside the chip needs {CLOCK_MHZ}: leave it out"
        raise OptionError("clock", problem)

"""Behaviour of the cells that netlists are made of, by family of chips.

Yosys brings most of it in its own folder (``+/`` in its commands), which is used where it lies. The
files here model what Yosys has only shells for. A cell is looked for here first; files of Yosys
come in as libraries, of which only those modules are taken that are missing.
"""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

_MODULE = re.compile(r"^(?P<shell>\(\* *blackbox[^)]*\*\)\s*)?module\s+(?P<name>\w+)", re.MULTILINE)
"""A module of a file, and the attribute that marks a shell."""

COMMON = Path(__file__).with_name("block_ram.v")


@dataclass(frozen=True)
class Cells:
    """Where the cells of a family are.

    Parameters
    ----------
    own: file in this folder.
    library: files of Yosys.  includes: folders of Yosys that these look in.
    defines: macros for them.
    """

    own: str
    library: tuple[str, ...]
    includes: tuple[str, ...] = ()
    defines: tuple[str, ...] = ()

    def arguments(self) -> list[str | Path]:
        """For Verilator."""
        share = share_folder()
        return [
            *(f"-D{name}" for name in self.defines),
            *(f"+incdir+{share / folder}" for folder in self.includes),
            *self.sources(),
            *(part for name in self.library for part in ("-v", share / name)),
        ]

    def modelled(self) -> set[str]:
        """Names of all cells that have behaviour."""
        share = share_folder()
        files = [*self.sources(), *(share / name for name in self.library)]
        files += [path for folder in self.includes for path in (share / folder).glob("*.vh")]
        found = (_MODULE.finditer(path.read_text()) for path in files)
        return {each["name"] for some in found for each in some if not each["shell"]}

    def sources(self) -> list[Path]:
        """The files in this folder."""
        return [COMMON, Path(__file__).with_name(self.own)]


CELLS = {
    "xc7": Cells("xc7.v", ("xilinx/cells_sim.v",)),
    "ecp5": Cells("ecp5.v", ("ecp5/cells_sim.v",), ("ecp5", "lattice")),
    "ice40": Cells("ice40.v", ("ice40/cells_sim.v",), defines=("ICE40_U",)),
    "gowin": Cells("gowin.v", ("gowin/cells_sim.v",)),
}


def share_folder() -> Path:
    """Yosys' own folder, in the package that brings it."""
    return Path(importlib.util.find_spec("pyosys").origin).with_name("share")

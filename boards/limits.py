"""What the open tools for the 7 series get wrong or cannot time, refused in netlists."""

from __future__ import annotations

import json
from pathlib import Path

from boards.families import FAMILIES
from golden.errors import WeftError

CLOCKS = ("MMCME2_ADV", "MMCME2_BASE", "PLLE2_ADV", "PLLE2_BASE")
"""Cells that have failed to lock on boards."""

OUTPUT_REGISTERS = ("DOA_REG", "DOB_REG")
WIDTHS = tuple(f"{way}_WIDTH_{port}" for way in ("READ", "WRITE") for port in "AB")
BAD_WIDTHS = (1, 9)
"""Of a RAMB36E1."""


def check_xc7(netlist: Path) -> None:
    """Raise a WeftError if a netlist (a JSON of Yosys) has a cell that the flow does not master."""
    for module in json.loads(netlist.read_text())["modules"].values():
        if not int(module["attributes"].get("blackbox", "0"), 2):
            for name, cell in module["cells"].items():
                if fault := _fault(cell["type"], cell["parameters"], cell.get("connections", {})):
                    raise WeftError(
                        f"the open tools for the 7 series do not master {cell['type']} {name}: "
                        f"{fault}; use TOOLCHAIN=vivado"
                    )


def _fault(kind: str, parameters: dict, connections: dict) -> str:
    """What is wrong with a cell, if anything."""
    if kind in CLOCKS:
        return "it may not lock"
    if kind == FAMILIES["xc7"].block:
        least = FAMILIES["xc7"].registers
        fixed = [key for key in ("AREG", "BREG") if _constant(connections.get(key[0], ["?"]))]
        missing = [
            key
            for key, number in least.items()
            if _number(parameters[key]) < number and key not in fixed
        ]
        return f"{missing[0]} is off, and what passes it would not be timed" if missing else ""
    if kind.startswith("RAMB"):
        if any(_number(parameters[key]) for key in OUTPUT_REGISTERS):
            return "its output register is on"
        if kind == "RAMB36E1" and any(_number(parameters[key]) in BAD_WIDTHS for key in WIDTHS):
            return "it is 1 or 9 bits wide"
    return ""


def _constant(bits: list) -> bool:
    """Whether a factor is known: nothing has to arrive there."""
    return all(bit in ("0", "1", "x") for bit in bits)


def _number(value: str | int) -> int:
    return int(value, 2) if isinstance(value, str) else value

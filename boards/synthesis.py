"""What synthesis makes of gateware: DSP blocks, look-up tables, registers and memories, by part.

Every part is synthesised by itself, in a process of its own, by the native Yosys of ``pyosys``: the
submodules of the top (the units of a core), and the top with these as black boxes.  So every cell
belongs to one part, and the counts of the parts add up.  What Yosys could simplify across the
borders of parts is not, so the sums are slightly pessimistic.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from boards.families import RESOURCES, Family
from sim.engines import process
from sim.engines.verilog import RUN_YOSYS, convert

FABRIC = "fabric"
"""The part that is the top without its parts: queues, width converters, forks, routes."""

PRODUCTS = "t:$mul t:$macc t:$macc_v2 t:$div t:$mod"

LUTRAM = re.compile("LUTRAM|DPR16X4")
"""In what Yosys calls a mapping to memory in look-up tables; other mappings are to block RAM."""


@dataclass(frozen=True)
class Product:
    """A product in the design: where it was written, and the widths of its factors.

    ``constant``: a factor is known.  ``line``: of the Python source, as file:line.
    """

    line: str
    a: int
    b: int
    constant: bool


@dataclass(frozen=True)
class Memory:
    """A memory: its name, size, and what it became (block, lutram, or registers and logic)."""

    name: str
    width: int
    depth: int
    kind: str
    writable: bool


@dataclass
class Part:
    """What synthesis made of one part.

    Members
    -------
    cells: how many of each.  products: that it forms, before mapping.  soft: products that did not
    become DSP blocks.  unregistered: DSP blocks that lack one of their registers.
    """

    name: str
    cells: Counter = field(default_factory=Counter)
    products: list[Product] = field(default_factory=list)
    soft: list[Product] = field(default_factory=list)
    memories: list[Memory] = field(default_factory=list)
    unregistered: int = 0

    def counts(self, family: Family) -> dict[str, float]:
        """How much of every resource; ``lut`` includes the memories in look-up tables."""
        found = dict.fromkeys(RESOURCES, 0.0)
        for cell, number in self.cells.items():
            if resource := family.resource(cell):
                found[resource] += number * family.weight(cell)
        found["lut"] += found["lutram"] * family.lutram_luts
        return {name: int(n) if n == int(n) else n for name, n in found.items()}


def synthesise(top, family: Family, parts: Sequence[str] = (), processes: int = 1) -> list[Part]:
    """Synthesise a design; ``parts`` are names of its submodules, the rest is FABRIC."""
    with TemporaryDirectory() as name, ThreadPoolExecutor(processes) as pool:
        folder = Path(name)
        (folder / "top.il").write_text(convert(top, "top", sources=True))
        return list(pool.map(lambda p: _part(p, parts, family, folder), (*parts, FABRIC)))


def _part(name: str, parts: Sequence[str], family: Family, folder: Path) -> Part:
    own = folder / name
    own.mkdir()
    module = "top" if name == FABRIC else f"top.{name}"
    boxes = [f"blackbox {' '.join(f'top.{part}' for part in parts)}"] if parts else []
    script = [
        "read_rtlil ../top.il",
        *(boxes if name == FABRIC else []),
        f"hierarchy -check -top {module}",
        "proc",
        "flatten",
        "opt",
        "wreduce",
        "peepopt",
        "opt_clean",
        "memory_collect",
        f"select {PRODUCTS} t:$mem_v2",
        "write_json -selected before.json",
        "select -clear",
        "opt_clean -purge",  # abc9 of 0.70 fails on some public names
        *(f"tee -q -a yosys.log {command.format(top=module)}" for command in family.commands),
        "tee -q -o stat.json stat -json",
        f"select t:{family.block}",
        "write_json -selected after.json",
    ]
    (own / "part.ys").write_text("\n".join(script) + "\n")
    process.execute([sys.executable, "-c", RUN_YOSYS, "script part.ys"], own, f"Yosys ({name})")
    return _read(name, module, family, own)


def _read(name: str, module: str, family: Family, folder: Path) -> Part:
    design = json.loads((folder / "stat.json").read_text())["design"]
    part = Part(name, Counter(design["num_cells_by_type"]))
    mapped = _mappings((folder / "yosys.log").read_text(), module)
    for cell in _cells(folder / "before.json"):
        if cell["type"] == "$mem_v2":
            part.memories.append(_memory(cell, mapped))
        else:
            part.products.append(_product(cell))
    part.products.sort(key=lambda p: (p.a * p.b, p.line))
    blocks = _cells(folder / "after.json")
    part.soft = part.products[: max(len(part.products) - len(blocks), 0)]
    part.unregistered = sum(
        any(_number(block["parameters"][key]) < least for key, least in family.registers.items())
        for block in blocks
    )
    part.memories.sort(key=lambda m: -m.width * m.depth)
    return part


def _cells(path: Path) -> list[dict]:
    modules = json.loads(path.read_text())["modules"]
    return [cell for module in modules.values() for cell in module["cells"].values()]


def _number(value: str | int) -> int:
    return int(value, 2) if isinstance(value, str) else value


def _product(cell: dict) -> Product:
    source = cell["attributes"].get("src", "?").split("|")[0]
    line = re.sub(r"^.*/(?=(golden|hdl|sim|boards|tests)/)", "", source)
    a, b = (len(cell["connections"].get(port, [])) for port in "AB")
    known = (all(bit in ("0", "1", "x") for bit in cell["connections"].get(p, "?")) for p in "AB")
    return Product(line, a, b, any(known))


def _memory(cell: dict, mapped: dict[str, str]) -> Memory:
    parameters = cell["parameters"]
    name = parameters["MEMID"].removeprefix("\\")
    width, depth, ports = (_number(parameters[key]) for key in ("WIDTH", "SIZE", "WR_PORTS"))
    return Memory(name, width, depth, mapped.get(name, "logic"), ports > 0)


def _mappings(log: str, module: str) -> dict[str, str]:
    """What became of every memory, from what Yosys says while it maps them."""
    found = {}
    for memory, target in re.findall(r"^mapping memory (\S+) via (\S+)", log, re.MULTILINE):
        found[memory.removeprefix(f"{module}.")] = "lutram" if LUTRAM.search(target) else "block"
    return found

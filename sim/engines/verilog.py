"""A design as Verilog for simulators, kept so that a warm start elaborates nothing.

Amaranth's RTLIL goes through the native Yosys of ``pyosys``. Initial contents of loadable memories
are taken out before (they are slow to convert, and a zero ROM might be optimised away), and
``$readmemh`` is put in after, so that other contents need no other Verilog.
"""

import gc
import importlib.metadata
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from amaranth.back import rtlil

from hdl.memory import PREFIX, Memories, verilog_name
from sim.engines import cache, process
from sim.recorder import Design

HIERARCHICAL = ("proc -nomux -norom", "memory_collect", "write_verilog -norename -noattr top.v")
"""Yosys commands that keep the modules: what Amaranth itself does."""

FLATTENED = ("prep -flatten -top top", "opt -full", "write_verilog -noattr top.v")
"""Yosys commands that make one module: forty times as fast in Icarus."""

EXPORTED = (
    "proc -norom", "opt", "memory_collect", "opt_clean", "write_verilog -noattr top.v"
)  # fmt: skip
"""Yosys commands that keep the modules and optimise each: half the text, and quick in Icarus."""

RUN_YOSYS = "import sys; from pyosys import libyosys as y; y.run_pass(sys.argv[1], y.Design())"

_INITIAL = re.compile(
    r"^(?:  attribute [^\n]*\n)*"
    r"  cell \$meminit_v2 [^\n]*\n"
    rf'    parameter \\MEMID "\\\\{PREFIX}[^\n]*\n'
    r"(?:    [^\n]*\n)*"
    r"  end\n",
    re.MULTILINE,
)

_MEMORY = re.compile(
    rf"^  reg (?:\[\d+:0\] )?(?P<name>\\?\S*?(?P<file>{PREFIX}\w+)) +\[(?P<last>\d+):0\];$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Generated:
    """Verilog of a design, and what its lines mean."""

    path: Path
    design: Design

    @property
    def text(self) -> bytes:
        return self.path.read_bytes()


def generate(
    factory: Callable,
    key: str,
    folder: Path,
    flat: bool = False,
    edit: Callable[[str], str] | None = None,
) -> Generated:
    """The Verilog of a design, whose top module is ``top``.

    Parameters
    ----------
    factory
        Makes the design from :class:`Memories`; it has a method ``design()``.
    key
        Stands for the design; Weft's sources and the tools' versions are added here.
    folder
        The cache.
    flat
        Make one module of it.
    edit
        Changes the text that is stored.
    """
    versions = [importlib.metadata.version(package) for package in ("amaranth", "pyosys")]
    name = cache.digest(key, cache.sources_digest(), *versions, flat, edit and edit.__qualname__)

    def make(temporary: Path) -> None:
        memories = Memories()
        top = factory(memories)
        text = translate(top, "top", temporary, FLATTENED if flat else HIERARCHICAL)
        text, loaded = load_memories(text, load_file)
        design = top.design()
        shapes = {
            name: shape for name, shape in design.memories.items() if verilog_name(name) in loaded
        }
        (temporary / "design.json").write_text(replace(design, memories=shapes).to_json())
        (temporary / "top.v").write_text(edit(text) if edit else text)

    made = cache.cached(folder / "verilog" / name, make, "generating Verilog")
    return Generated(made / "top.v", Design.from_json((made / "design.json").read_text()))


def convert(top, name: str, sources: bool = False) -> str:
    """RTLIL of a design, with the lines of the Python ``sources`` that made it if they are wanted.

    Python's collector of garbage would walk through the millions of objects of a netlist again and
    again, and find none: without it this takes 40 % less time.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        return rtlil.convert(top, name=name, emit_src=sources)
    finally:
        if collecting:
            gc.enable()


def translate(top, name: str, folder: Path, commands: tuple[str, ...] = HIERARCHICAL) -> str:
    """Verilog of a design whose top module is ``name``; loadable memories have no contents yet."""
    (folder / "top.il").write_text(_INITIAL.sub("", convert(top, name)))
    (folder / "top.ys").write_text("\n".join(("read_rtlil top.il", *commands)) + "\n")
    process.execute([sys.executable, "-c", RUN_YOSYS, "script top.ys"], folder, "Yosys")
    (folder / "top.il").unlink()
    return (folder / "top.v").read_text()


def load_memories(text: str, contents: Callable[[str, str, int], str]) -> tuple[str, set[str]]:
    """Give every loadable memory its contents; answers the text and the memories' names in it.

    ``contents`` answers the statements that fill a memory: from what it is called
    (hdl.memory.verilog_name), what it is called in its module, and its depth.
    """
    loaded = set()

    def load(match: re.Match) -> str:
        loaded.add(match["file"])
        depth = int(match["last"]) + 1
        return f"{match[0]}\n{contents(match['file'], match['name'], depth)}"

    return _MEMORY.sub(load, text), loaded


def load_file(file: str, name: str, depth: int) -> str:
    """Contents come from ``<file>.hex`` when the simulation starts."""
    return f'  initial $readmemh("{file}.hex", {name} , 0, {depth - 1});'

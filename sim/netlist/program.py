"""From a netlist to a program that simulates it: Yosys writes Verilog, Verilator compiles it."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

from golden.errors import WeftError
from sim import tools
from sim.cells import CELLS
from sim.engines import cache, process
from sim.engines.verilator import compile_with_runtime
from sim.engines.verilog import RUN_YOSYS
from sim.netlist.pins import Pins

MAIN = Path(__file__).with_name("main.cpp")

TRANSLATE = (
    "read_json top.json",
    "rename -hide w:* c:*",  # names of many levels would be half of what C++ has to read
    "splitnets",  # buses of unrelated bits look like loops to Verilator
    "opt_clean",
    "write_verilog -noattr top.v",
)
"""Yosys commands; none of them changes a cell."""

OPTIONS = (
    *("--timing", "--no-sched-zero-delay", "--timescale", "1ps/1ps"),
    *("--x-assign", "unique", "--x-initial", "unique"),  # what is undefined is random, not zero
    *("-O3", "-Wno-lint", "-Wno-fatal"),
    *("--output-split", "4000"),
)

MAKE_OPTIONS = ("OPT_FAST=-O1", "OPT_SLOW=-O0", "OPT_GLOBAL=-O2")
"""A run is a million cycles: the compiler must not take longer than it saves."""

_PORT = re.compile(r"^  (?:input|output) ", re.MULTILINE)


def cells_of(netlist: Path) -> dict[str, int]:
    """How many cells of every type a netlist (its JSON) has."""
    cells = json.loads(netlist.read_text())["modules"]["top"]["cells"].values()
    kinds = [cell["type"] for cell in cells]
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


def program(netlist: Path, family: str, pins: Pins, folder: Path) -> Path:
    """The program that simulates ``netlist``, a JSON of Yosys; ``folder`` is a cache."""
    cells = CELLS[family]
    if strange := sorted(set(cells_of(netlist)) - cells.modelled()):
        raise WeftError(
            f"there is no model of the cell {strange[0]} of {family}; write one in sim/cells"
        )
    text = netlist.read_bytes()
    ports = set(json.loads(text)["modules"]["top"]["ports"])
    bench = pins.bench(ports)
    own = [path.read_bytes() for path in (MAIN, *cells.sources())]
    versions = [tools.version_of(path) for path in (tools.verilator(), tools.cxx())]
    name = cache.digest(text, bench, *own, cells, TRANSLATE, OPTIONS, MAKE_OPTIONS, versions)

    def make(target: Path) -> None:
        _translate(netlist, target)
        (target / "bench.v").write_text(bench)
        command = [tools.verilator(), "--cc", "--exe", *OPTIONS, "--top-module", "bench"]
        command += ["--prefix", "Vtop", "-Mdir", "obj", "-o", "sim", "bench.v", "top.v"]
        process.execute([*command, *cells.arguments(), MAIN], target, "Verilator")
        compile_with_runtime(target / "obj", folder / "verilator", MAKE_OPTIONS)
        (target / "obj" / "sim").rename(target / "sim")
        shutil.rmtree(target / "obj")

    what = "compiling the simulation of the netlist with Verilator"
    return cache.cached(folder / "netlist" / name, make, what) / "sim"


def _translate(netlist: Path, target: Path) -> None:
    """Verilog of a netlist, whose pins are wires that can be driven from both sides."""
    shutil.copyfile(netlist, target / "top.json")
    (target / "translate.ys").write_text("\n".join(TRANSLATE) + "\n")
    process.execute([sys.executable, "-c", RUN_YOSYS, "script translate.ys"], target, "Yosys")
    (target / "top.json").unlink()
    text = (target / "top.v").read_text()
    (target / "top.v").write_text(_PORT.sub("  inout ", text))

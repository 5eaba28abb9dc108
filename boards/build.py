"""From gateware to a bitstream: elaboration, synthesis, place and route, packing.

The result of every step is kept under a name made of all that it depends on, so that the same
sources, tools and seed give the same bytes, and only what changed is done again.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from boards import timing
from boards.board import Board
from boards.clock import frequency
from boards.elaborate import NAME, elaborate
from boards.flows import FLOWS, Flow
from boards.progress import ticking
from boards.tools import Tools, find
from boards.warnings import check_log
from golden.errors import WeftError
from sim.engines import cache, process
from sim.engines.verilog import RUN_YOSYS
from sim.setup.paths import ROOT

PACKAGES = ("amaranth", "amaranth-boards", "pyosys")
SEED = 42
SEED_RANGE, PLACER_SEEDS = 1 << 32, 1 << 31
SEEDS = 4
"""Layouts that are tried until timing closes, with one seed after the other."""

NEAR = 0.85
"""Another seed does not help a layout that reaches less than this part of its clock."""

SOURCES = ("boards/*.py", "boards/setup/*")


@dataclass(frozen=True)
class Order:
    """What to build.

    Parameters
    ----------
    board: for which.  key: stands for the gateware, contents of its memories included.
    gateware: makes it, from the frequency of its clock in MHz (see boards.top.Top).
    mhz: the clock that is wanted.  seed: of place and route.
    """

    board: Board
    key: str
    gateware: Callable[[float], object]
    mhz: float
    seed: int = SEED

    @property
    def flow(self) -> Flow:
        """How it is done."""
        return FLOWS[self.board.family]

    @property
    def made_mhz(self) -> float:
        """The clock that the board makes for the one that is wanted."""
        return frequency(self.board, self.mhz)


@dataclass(frozen=True)
class Placed:
    """Netlist and layout of an order: their folders, the seed, the timing, and the tools."""

    netlist: Path
    folder: Path
    seed: int
    timing: timing.Timing
    tools: Tools


@functools.cache
def sources_digest() -> str:
    """Stands for the source files of the board side."""
    files = sorted(path for pattern in SOURCES for path in ROOT.glob(pattern) if path.is_file())
    return cache.digest(*(part for path in files for part in (path.name, path.read_bytes())))


def package_versions() -> dict[str, str]:
    """Versions of the Python packages that make a netlist."""
    return {package: importlib.metadata.version(package) for package in PACKAGES}


def synthesise(order: Order, folder: Path) -> Path:
    """The folder of the netlist (top.json), its constraints and its counts (stat.json)."""
    board, flow = order.board, order.flow
    depends = [order.key, board.name, order.made_mhz, sources_digest(), cache.sources_digest()]

    def make(target: Path) -> None:
        gateware = order.gateware(order.made_mhz)
        made = elaborate(board, gateware, order.made_mhz, flow.toolchain, flow.constraints)
        rtlil, limits, others = made
        for name, text in others.items():
            (target / name).write_text(text)
        (target / f"{NAME}.{flow.constraints}").write_text(limits)
        (target / f"{NAME}.il").write_text(rtlil)
        (target / "synthesis.ys").write_text("\n".join(_script(flow, others)) + "\n")
        command = [sys.executable, "-c", RUN_YOSYS, "script synthesis.ys"]
        with ticking("synthesis", target / "yosys.log"):
            process.execute(command, target, "Yosys")
        check_log((target / "yosys.log").read_text())
        (target / f"{NAME}.il").unlink()

    name = cache.digest(*depends, *package_versions().values())
    return cache.cached(
        folder / "netlist" / name, make, f"step 1 of 3: synthesis for {board.title}"
    )


def _script(flow: Flow, others: Iterable[str]) -> list[str]:
    return [
        f"read_rtlil {NAME}.il",
        *(f"read_verilog {name}" for name in others),
        f"hierarchy -top {NAME}",
        "proc",
        "flatten",
        "design -push-copy",  # before anything undriven becomes a constant
        f"read_verilog -lib {' '.join(flow.cells)}",
        "tee -q -a yosys.log check",
        "design -pop",
        "opt_clean -purge",  # abc9 of 0.70 fails on some public names
        *(f"tee -q -a yosys.log {command.format(top=NAME)}" for command in flow.synthesis),
        "check -assert",
        "tee -q -o stat.json stat -json",
        f"write_json {NAME}.json",
    ]


def place(order: Order, netlist: Path, folder: Path, check: bool = True) -> Placed:
    """Place and route a netlist; whether its timing closes is the caller's question.

    A layout of which no bitstream is made needs no ``check`` for what the tools get wrong.
    """
    board, flow = order.board, order.flow
    if check:
        flow.check(netlist / f"{NAME}.json")
    tools = find((flow.placer, *flow.packers))
    files = [f"{NAME}.json", f"{NAME}.{flow.constraints}"]
    arguments = [*board.place, *flow.place, "--freq", f"{order.made_mhz:g}"]
    arguments += [
        "--seed",
        str(order.seed % PLACER_SEEDS),
        "--timing-allow-fail",
        "--report",
        "report.json",
    ]
    depends = [*((netlist / file).read_bytes() for file in files), *arguments]

    def make(target: Path) -> None:
        for file in files:
            (target / file).hardlink_to(netlist / file)  # wheels cannot follow symbolic links
        command = [tools[flow.placer], *map(tools.path, arguments), "--json", files[0]]
        with ticking("place and route", target / f"{tools[flow.placer].name}.log"):
            process.execute(command, target, "place and route")

    name = cache.digest(*depends, tools.versions[flow.placer])
    what = f"step 2 of 3: place and route for {board.title}, seed {order.seed}"
    made = cache.cached(folder / "placed" / name, make, what)
    report = json.loads((made / "report.json").read_text())
    return Placed(netlist, made, order.seed, timing.read(report), tools)


def close(order: Order, netlist: Path, folder: Path) -> Placed:
    """Place and route a netlist with the order's seed and the next ones, until timing closes.

    At most SEEDS are tried, and no more when a layout is not even NEAR.  The answer is the first
    layout that closes, or the fastest of those that do not.
    """
    tried = []
    for k in range(SEEDS):
        seed = (order.seed + k) % SEED_RANGE
        placed = place(dataclasses.replace(order, seed=seed), netlist, folder)
        tried.append(placed)
        if not NEAR * order.made_mhz <= placed.timing.fmax_mhz < order.made_mhz:
            break
        print(
            f"weft: seed {seed} reaches {placed.timing.fmax_mhz:.1f} MHz of "
            f"{order.made_mhz:g} MHz ({k + 1} of at most {SEEDS} seeds)",
            file=sys.stderr,
            flush=True,
        )
    return max(tried, key=lambda placed: placed.timing.fmax_mhz)


def pack(order: Order, placed: Placed, folder: Path) -> Path:
    """The bitstream of a layout.

    Raises
    ------
    WeftError
        If its timing does not close.
    """
    if placed.timing.fmax_mhz < order.made_mhz:
        raise WeftError(
            f"timing does not close on {order.board.title}: the layout reaches "
            f"{placed.timing.fmax_mhz:.1f} MHz of {order.made_mhz:g} MHz; the slowest path goes "
            f"through {placed.timing.path()}; give a lower CLOCK, another SEED or fewer MULTIPLIERS"
        )

    def make(target: Path) -> None:
        for path in placed.folder.glob(f"{NAME}.*"):
            (target / path.name).hardlink_to(path)
        order.flow.pack(order.board, placed.tools, target)

    versions = [placed.tools.versions[name] for name in order.flow.packers]
    name = cache.digest(placed.folder.name, sources_digest(), *versions)
    made = cache.cached(folder / "bitstream" / name, make, "step 3 of 3: writing the bitstream")
    return made / f"{NAME}.{order.flow.product}"

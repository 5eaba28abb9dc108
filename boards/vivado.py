"""The other way for Xilinx: Vivado, or a complete project for it."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from boards.build import Order
from boards.elaborate import NAME, prepare
from boards.progress import ticking
from golden.errors import OptionError, WeftError, write_whole
from sim.engines import process
from sim.engines.verilog import HIERARCHICAL, RUN_YOSYS

SLACK = re.compile(r"WNS\(ns\).*?\n[\s-]+\n\s*(-?\d+\.\d+)", re.DOTALL)
"""The worst slack in a summary of timing."""


def write_project(order: Order, folder: Path) -> Path:
    """Write Verilog, constraints, Tcl and a script; answers the script.

    Raises
    ------
    OptionError
        If Vivado does not know the board's chip.
    """
    board = order.board
    if board.family != "xc7":
        raise OptionError("toolchain", f"is vivado, which does not know {board.device}; use open")

    class Platform(board.platform):
        """The board, whose Verilog is made by the native Yosys."""

        @property
        def file_templates(self):
            """Vivado's files, with RTLIL in the place of Verilog."""
            verilog = ("{{name}}.v", "{{name}}.debug.v")
            kept = {k: v for k, v in super().file_templates.items() if k not in verilog}
            return kept | {"{{name}}.il": "{{emit_rtlil()}}"}

    made = order.made_mhz
    plan = prepare(Platform(toolchain="Vivado"), board, order.gateware(made), made)
    files = {n: c if isinstance(c, bytes) else c.encode() for n, c in plan.files.items()}
    files[f"{NAME}.v"] = _verilog(files.pop(f"{NAME}.il"))
    for name, content in files.items():
        write_whole(folder / name, content)
    return folder / f"build_{NAME}.sh"


def _verilog(rtlil: bytes) -> bytes:
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "top.il").write_bytes(rtlil)
        (folder / "top.ys").write_text("\n".join(("read_rtlil top.il", *HIERARCHICAL)) + "\n")
        process.execute([sys.executable, "-c", RUN_YOSYS, "script top.ys"], folder, "Yosys")
        return (folder / "top.v").read_bytes()


def run(script: Path) -> Path:
    """Run a project if there is a Vivado; answers the bitstream.

    Raises
    ------
    WeftError
        If Vivado is not on PATH, saying what to run where it is; or if it fails.
    """
    if not shutil.which("vivado"):
        raise WeftError(
            f"Vivado is not on PATH; the whole project is in {script.parent}: where Vivado is, run "
            f"`cd {script.parent} && sh {script.name}`, which writes {NAME}.bit"
        )
    with ticking("Vivado", script.parent / "sh.log"):
        process.execute(["sh", script.name], script.parent, "Vivado")
    return script.parent / f"{NAME}.bit"


def fmax(folder: Path, mhz: float) -> float:
    """The fastest clock in MHz, from the worst slack that Vivado reports for a clock of ``mhz``.

    Raises
    ------
    WeftError
        If it reports none.
    """
    said = SLACK.search((folder / f"{NAME}_timing.rpt").read_text())
    if said is None:
        raise WeftError(f"{folder / NAME}_timing.rpt names no worst slack (WNS)")
    return 1000 / (1000 / mhz - float(said[1]))

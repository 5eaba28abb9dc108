"""From RTLIL to a bitstream, for every family: which tools, with which arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from boards import limits, xc7
from boards.board import Board
from boards.families import FAMILIES
from boards.tools import Tools
from sim.engines import process


@dataclass(frozen=True)
class Flow:
    """How a family's netlists become bitstreams.

    Parameters
    ----------
    toolchain: of the Amaranth platform whose file of constraints is used.
    constraints: that file's suffix.
    cells: files of Yosys that declare the cells which gateware names itself.
    synthesis: commands of Yosys; ``{top}`` is the top.
    placer: the nextpnr.  place: its arguments beside the board's own, before the netlist.
    packer: all tools that make the bitstream.  pack: makes it, in the folder that it is given.
    product: suffix of the bitstream.
    untimed: paths that nextpnr does not time.
    check: refuses a netlist that the tools would get wrong.
    """

    toolchain: str
    constraints: str
    cells: tuple[str, ...]
    synthesis: tuple[str, ...]
    placer: str
    place: tuple[str, ...]
    packers: tuple[str, ...]
    pack: Callable[[Board, Tools, Path], None]
    product: str
    untimed: tuple[str, ...] = ()
    check: Callable[[Path], None] = lambda netlist: None


def _pack_ecp5(board: Board, tools: Tools, folder: Path) -> None:
    command = [tools["ecppack"], "--compress", "--input", "top.config", "--bit", "top.bit"]
    process.execute(command, folder, "ecppack")


def _pack_ice40(board: Board, tools: Tools, folder: Path) -> None:
    process.execute([tools["icepack"], "top.asc", "top.bin"], folder, "icepack")


def _pack_gowin(board: Board, tools: Tools, folder: Path) -> None:
    device = board.place[-1].partition("=")[2]
    command = [tools["gowin_pack"], "-d", device, "-o", "top.fs", "top.placed.json"]
    process.execute(command, folder, "gowin_pack")


FLOWS = {
    "xc7": Flow(
        toolchain="Vivado",
        constraints="xdc",
        cells=("+/xilinx/cells_sim.v", "+/xilinx/cells_xtra.v"),
        synthesis=("synth_xilinx -family xc7 -flatten -abc9 -top {top}",),
        placer="nextpnr-himbaechel-xilinx",
        place=("-o", "xdc=top.xdc", "-o", "fasm=top.fasm"),
        packers=("xc7frames2bit", "bitread"),
        pack=xc7.pack,
        product="bit",
        untimed=("paths into, out of and inside DSP48E1",),
        check=limits.check_xc7,
    ),
    "ecp5": Flow(
        toolchain="Trellis",
        constraints="lpf",
        cells=("+/ecp5/cells_sim.v", "+/ecp5/cells_bb.v"),
        synthesis=FAMILIES["ecp5"].commands,
        placer="nextpnr-ecp5",
        place=("--lpf", "top.lpf", "--textcfg", "top.config", "--router", "router2"),
        packers=("ecppack",),
        pack=_pack_ecp5,
        product="bit",
    ),
    "ice40": Flow(
        toolchain="IceStorm",
        constraints="pcf",
        cells=("+/ice40/cells_sim.v",),
        synthesis=FAMILIES["ice40"].commands,
        placer="nextpnr-ice40",
        place=("--pcf", "top.pcf", "--asc", "top.asc"),
        packers=("icepack",),
        pack=_pack_ice40,
        product="bin",
    ),
    "gowin": Flow(
        toolchain="Apicula",
        constraints="cst",
        cells=("+/gowin/cells_sim.v",),
        synthesis=FAMILIES["gowin"].commands,
        placer="nextpnr-himbaechel-gowin",
        place=("--vopt", "cst=top.cst", "--write", "top.placed.json"),
        packers=("gowin_pack",),
        pack=_pack_gowin,
        product="fs",
    ),
}

"""From a board and its gateware to RTLIL and a file of constraints, through Amaranth's platform."""

from __future__ import annotations

from boards.board import Board
from boards.top import Top
from sim.setup.paths import ROOT

NAME = "top"
"""Of the top module, and of all files."""


def elaborate(
    board: Board, gateware, mhz: float, toolchain: str, constraints: str
) -> tuple[str, str, dict[str, str]]:
    """(RTLIL, constraints, other files of Verilog), the same wherever the project's folder is.

    ``toolchain`` is that of Amaranth's platform, and ``constraints`` the suffix of its file.
    """
    wanted = "{{name}}." + constraints

    class Platform(board.platform):
        """The board, of whose files only two are made."""

        command_templates = ()

        @property
        def file_templates(self):
            """RTLIL, and the constraints."""
            return {wanted: super().file_templates[wanted], "{{name}}.il": "{{emit_rtlil()}}"}

    platform = Platform(toolchain=toolchain)
    plan = prepare(platform, board, gateware, mhz)
    texts = (plan.files[f"{NAME}.{suffix}"] for suffix in ("il", constraints))
    rtlil, limits = (text.decode() if isinstance(text, bytes) else text for text in texts)
    others = {name: platform.extra_files[name] for name in platform.iter_files(".v")}
    if constraints == "xdc":
        limits = limits.replace(r"\[", "[")  # nextpnr takes the backslash for a part of the name
    return rtlil.replace(f"{ROOT}/", ""), limits, others


def prepare(platform, board: Board, gateware, mhz: float):
    """The plan of a platform's build."""
    platform.add_resources(board.resources)
    return platform.prepare(Top(board, gateware, mhz), NAME)

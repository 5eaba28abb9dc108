"""Families of chips: how Yosys synthesises for them, and what their cells are called."""

from __future__ import annotations

import re
from dataclasses import dataclass

from golden.errors import WeftError

RESOURCES = ("dsp", "lut", "carry", "ff", "lutram", "bram")
"""What is counted. A cell of ``lutram`` occupies as many look-up tables as ``lutram_luts`` says."""


@dataclass(frozen=True)
class Family:
    """One family.

    Parameters
    ----------
    name: as in ``--family``.  title: for people.
    commands: of Yosys, for a part ``{top}`` of a design, whose ports are no pads.
    block: a DSP block, as Yosys selects it by name.
    cells: pattern of the cell names of every resource (RESOURCES).
    lutram_luts: look-up tables that a cell of memory in look-up tables takes.
    registers: of a DSP block: parameter -> least value, when every register inside is used.
    weights: pattern -> how many of the resource such a cell counts for, where that is not 1.
    """

    name: str
    title: str
    commands: tuple[str, ...]
    block: str
    cells: dict[str, str]
    lutram_luts: int
    registers: dict[str, int]
    weights: dict[str, float]

    def resource(self, cell: str) -> str | None:
        """The resource that a cell belongs to, if it is counted."""
        return next((name for name, form in self.cells.items() if re.fullmatch(form, cell)), None)

    def weight(self, cell: str) -> float:
        """How many of its resource a cell counts for."""
        return next((w for form, w in self.weights.items() if re.fullmatch(form, cell)), 1)


ICE40 = (
    "synth_ice40 -device u -top {top} -run :coarse",
    "wreduce t:$mul",
    "techmap -map +/mul2dsp.v -map +/ice40/dsp_map.v -D DSP_A_MAXWIDTH=16 -D DSP_B_MAXWIDTH=16"
    " -D DSP_A_MINWIDTH=2 -D DSP_B_MINWIDTH=2 -D DSP_Y_MINWIDTH=11 -D DSP_NAME=$__MUL16X16",
    "chtype -set $mul t:$__soft_mul",
    "synth_ice40 -device u -top {top} -run coarse:",
)
"""Products become SB_MAC16 without the registers inside. ``synth_ice40 -dsp`` would use these, but
in Yosys 0.70 it crashes on a registered product with reset, and drops one with two registers."""

FAMILIES = {
    family.name: family
    for family in (
        Family(
            "xc7",
            "Xilinx 7 series (BRAM in RAMB36)",
            ("synth_xilinx -family xc7 -flatten -noiopad -noclkbuf -top {top}",),
            "DSP48E1",
            {
                "dsp": "DSP48E1",
                "lut": "LUT[1-6]",
                "carry": "CARRY4",
                "ff": "FD[RSCP]E(_1)?",
                "lutram": r"RAM\d+[MX]\w*|SRL16E|SRLC32E",
                "bram": "RAMB(18|36)E1",
            },
            4,
            {"AREG": 1, "BREG": 1, "MREG": 1, "PREG": 1},
            {"RAMB18E1": 0.5, "SRL16E|SRLC32E": 0.25},
        ),
        Family(
            "ecp5",
            "Lattice ECP5",
            ("synth_ecp5 -top {top}",),
            "MULT18X18D",
            {
                "dsp": "MULT18X18D",
                "lut": "LUT4",
                "carry": "CCU2C",
                "ff": "TRELLIS_FF",
                "lutram": "TRELLIS_DPR16X4",
                "bram": "DP16KD|PDPW16KD",
            },
            4,
            {},
            {},
        ),
        Family(
            "ice40",
            "Lattice iCE40 UltraPlus",
            ICE40,
            "SB_MAC16",
            {
                "dsp": "SB_MAC16",
                "lut": "SB_LUT4",
                "carry": "SB_CARRY",
                "ff": r"SB_DFF\w*",
                "lutram": "-",
                "bram": r"SB_RAM40_4K\w*",
            },
            0,
            {},
            {},
        ),
        Family(
            "gowin",
            "Gowin GW1N",
            ("synth_gowin -noiopads -top {top}",),
            "MULT*",
            {
                "dsp": r"MULT\d+X\d+",
                "lut": "LUT[1-4]",
                "carry": "ALU",
                "ff": r"DFF\w*",
                "lutram": r"RAM16S\w*",
                "bram": "(SDP|DP|SP|pROM)(X9)?B?",
            },
            4,
            {},
            {},
        ),
    )
}


def find_family(name: str) -> Family:
    """The family ``name``; a WeftError if there is none."""
    if name not in FAMILIES:
        raise WeftError(f"family is {name!r}; expected one of {', '.join(FAMILIES)}")
    return FAMILIES[name]

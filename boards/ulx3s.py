"""Radiona ULX3S, with a Lattice ECP5 of 12 to 85 thousand look-up tables."""

from amaranth_boards.ulx3s import (
    ULX3S_12F_Platform,
    ULX3S_25F_Platform,
    ULX3S_45F_Platform,
    ULX3S_85F_Platform,
)

from boards.board import FT231X, Board

COMMON = {
    "family": "ecp5",
    "clock_mhz": 45,  # what the default model closes: 64 multipliers lie far apart
    "leds": {"alive": ("led", 0), "busy": ("led", 1), "error": ("led", 2)},
    "bridge": FT231X,
    "loader": "ulx3s",
}
PACKAGE = ("--package", "CABGA381", "--speed", "6")

BOARDS = (
    Board(
        name="ulx3s",
        title="Radiona ULX3S-85F",
        platform=ULX3S_85F_Platform,
        device="LFE5U-85F-6BG381C",
        place=("--85k", *PACKAGE),
        available={"lut": 83640, "ff": 83640, "dsp": 156, "bram": 208},
        **COMMON,
    ),
    Board(
        name="ulx3s-45",
        title="Radiona ULX3S-45F",
        platform=ULX3S_45F_Platform,
        device="LFE5U-45F-6BG381C",
        place=("--45k", *PACKAGE),
        available={"lut": 43848, "ff": 43848, "dsp": 72, "bram": 108},
        **COMMON,
    ),
    Board(
        name="ulx3s-25",
        title="Radiona ULX3S-25F",
        platform=ULX3S_25F_Platform,
        device="LFE5U-25F-6BG381C",
        place=("--25k", *PACKAGE),
        available={"lut": 24288, "ff": 24288, "dsp": 28, "bram": 56},
        **COMMON,
    ),
    Board(
        name="ulx3s-12",
        title="Radiona ULX3S-12F",
        platform=ULX3S_12F_Platform,
        device="LFE5U-12F-6BG381C",
        place=("--12k", *PACKAGE),
        available={"lut": 12096, "ff": 12096, "dsp": 28, "bram": 32},
        **COMMON,
    ),
)

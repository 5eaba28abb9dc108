"""Digilent Arty A7, with an Artix-7 35T or 100T; the clock is the 100 MHz of the pin."""

from amaranth_boards.arty_a7 import ArtyA7_35Platform, ArtyA7_100Platform

from boards.board import FT2232H, Board

COMMON = {
    "family": "xc7",
    "clock_mhz": 100,
    "leds": {"alive": ("led", 0), "busy": ("led", 1), "error": ("led", 2)},
    "reset": "rst",
    "bridge": FT2232H,
    "memory": "arty",
}

BOARDS = (
    Board(
        name="arty",
        title="Digilent Arty A7-35T",
        platform=ArtyA7_35Platform,
        device="xc7a35tcsg324-1",
        place=("--chipdb", "chipdb-xc7a50t.bin", "--device", "xc7a35tcsg324-1"),
        loader="arty_a7_35t",
        available={"lut": 20800, "ff": 41600, "dsp": 90, "bram": 50},
        **COMMON,
    ),
    Board(
        name="arty-100",
        title="Digilent Arty A7-100T",
        platform=ArtyA7_100Platform,
        device="xc7a100tcsg324-1",
        place=("--chipdb", "chipdb-xc7a100t.bin", "--device", "xc7a100tcsg324-1"),
        loader="arty_a7_100t",
        available={"lut": 63400, "ff": 126800, "dsp": 240, "bram": 135},
        **COMMON,
    ),
)

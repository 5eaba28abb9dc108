"""Sipeed Tang Nano 9K, with a Gowin GW1NR-9; the clock is the 27 MHz of the pin."""

from amaranth_boards.tang_nano_9k import TangNano9kPlatform

from boards.board import FT2232H, Board

BOARDS = (
    Board(
        name="tangnano9k",
        title="Sipeed Tang Nano 9K",
        platform=TangNano9kPlatform,
        family="gowin",
        device="GW1NR-LV9QN88PC6/I5",
        place=("--device", "GW1NR-LV9QN88PC6/I5", "--vopt", "family=GW1N-9C"),
        clock_mhz=27,
        available={"lut": 8640, "ff": 6480, "dsp": 20, "bram": 26},
        leds={"alive": ("led", 0), "busy": ("led", 1), "error": ("led", 2)},
        bridge=FT2232H,
        loader="tangnano9k",
    ),
)

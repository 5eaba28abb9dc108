"""OrangeCrab r0.2 with a Lattice ECP5-25F or -85F; a UART adapter goes to pins 0 (rx), 1 (tx)."""

from amaranth.build import Attrs
from amaranth_boards.orangecrab_r0_2 import OrangeCrabR0_2_25FPlatform, OrangeCrabR0_2_85FPlatform
from amaranth_boards.resources import UARTResource

from boards.board import Board

PINS = Attrs(IO_TYPE="LVCMOS33")
LEDS = {"alive": "g", "busy": "b", "error": "r"}
COMMON = {
    "family": "ecp5",
    "loader": "orangeCrab",
    "clock_mhz": 48,
    "leds": {led: ("rgb_led", 0, colour) for led, colour in LEDS.items()},
    "resources": (UARTResource(0, rx="0", tx="1", conn=("io", 0), attrs=PINS),),
}
PACKAGE = ("--package", "CSFBGA285", "--speed", "8")

BOARDS = (
    Board(
        name="orangecrab",
        title="OrangeCrab r0.2 with ECP5-25F",
        platform=OrangeCrabR0_2_25FPlatform,
        device="LFE5U-25F-8MG285C",
        place=("--25k", *PACKAGE),
        available={"lut": 24288, "ff": 24288, "dsp": 28, "bram": 56},
        **COMMON,
    ),
    Board(
        name="orangecrab-85",
        title="OrangeCrab r0.2 with ECP5-85F",
        platform=OrangeCrabR0_2_85FPlatform,
        device="LFE5U-85F-8MG285C",
        place=("--85k", *PACKAGE),
        available={"lut": 83640, "ff": 83640, "dsp": 156, "bram": 208},
        **COMMON,
    ),
)

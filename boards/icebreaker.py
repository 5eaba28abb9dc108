"""1BitSquared iCEBreaker, with a Lattice iCE40 UP5K."""

from amaranth_boards.icebreaker import ICEBreakerPlatform

from boards.board import FT2232H, Board

BOARDS = (
    Board(
        name="icebreaker",
        title="1BitSquared iCEBreaker",
        platform=ICEBreakerPlatform,
        family="ice40",
        device="iCE40UP5K-SG48",
        place=("--up5k", "--package", "sg48"),
        clock_mhz=24,
        available={"lut": 5280, "ff": 5280, "dsp": 8, "bram": 30},
        leds={"alive": ("led_g", 0), "error": ("led_r", 0)},
        bridge=FT2232H,
        loader="ice40_generic",
    ),
)

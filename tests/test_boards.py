"""Boards as data, their clocks, and what becomes of the tools' answers."""

import pytest

from boards import timing
from boards.catalogue import BOARDS, find_board
from boards.clock import frequency
from boards.elaborate import elaborate
from boards.families import FAMILIES
from boards.flows import FLOWS
from boards.pll import choose, ecp5_settings
from golden.errors import OptionError
from tests.small_gateware import SmallGateware


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_names_what_its_platform_has(name):
    board = BOARDS[name]
    resources = {(each.name, each.number) for each in (*board.platform.resources, *board.resources)}
    assert {of[:2] for of in board.leds.values()} | {("uart", 0)} <= resources
    assert set(board.leds) <= {"alive", "busy", "error"}
    assert board.family in FAMILIES
    assert board.loader
    assert set(board.available) == {"lut", "ff", "dsp", "bram"}


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_makes_its_clock(name):
    board = BOARDS[name]
    assert frequency(board, board.clock_mhz) == pytest.approx(board.clock_mhz, rel=0.005)


@pytest.mark.parametrize("name", ["arty", "ulx3s", "orangecrab", "icebreaker", "tangnano9k"])
def test_elaboration_gives_pins_and_no_folder_of_this_machine(name):
    board, flow = BOARDS[name], FLOWS[BOARDS[name].family]
    made = elaborate(board, SmallGateware(), board.clock_mhz, flow.toolchain, flow.constraints)
    rtlil, limits, others = made
    assert not others
    assert "/small_gateware.py" in rtlil
    assert "/tests/small_gateware.py" not in rtlil
    assert "uart" in limits
    assert made == elaborate(
        board, SmallGateware(), board.clock_mhz, flow.toolchain, flow.constraints
    )


def test_unknown_board():
    with pytest.raises(OptionError, match="board is 'arti'; expected one of arty, arty-100, ulx3s"):
        find_board("arti")


@pytest.mark.parametrize(
    ("family", "crystal", "mhz", "dividers"),
    [("ecp5", 25, 100, (1, 4, 4)), ("ecp5", 48, 60, (4, 5, 7)), ("ice40", 12, 24, (1, 64, 32))],
)
def test_pll_settings(family, crystal, mhz, dividers):
    found = choose(family, crystal, mhz)
    assert (found.input, found.feedback, found.output) == dividers
    assert found.mhz == mhz


def test_pll_settings_keep_to_the_data_sheet():
    for setting in ecp5_settings(25):
        assert 400 <= 25 / setting.input * setting.feedback * setting.output <= 800


@pytest.mark.parametrize(
    ("name", "mhz", "problem"),
    [
        ("ulx3s", 900, "is 900; the PLL cannot make it of this board's 25 MHz"),
        ("arty", 90, "is 90; arty makes 100 MHz, or that halved any number of times"),
        ("tangnano9k", 54, "is 54; tangnano9k makes 27 MHz, or that halved"),
    ],
)
def test_a_clock_that_cannot_be_made(name, mhz, problem):
    with pytest.raises(OptionError, match=problem):
        frequency(BOARDS[name], mhz)


def test_a_clock_can_be_halved_where_no_pll_is_used():
    assert frequency(BOARDS["arty"], 25) == 25


def hop(net, delay, sources=()):
    return {"type": "routing", "net": net, "delay": delay, "sources": list(sources)}


def test_timing_names_what_binds():
    path = [
        {"type": "clk-to-q", "delay": 0.5},
        hop("unit.a", 1.0, ["hdl/unit.py:3", "elsewhere/fifo.py:1"]),
        {"type": "logic", "delay": 0.25},
        hop("$abc$1", 0.5),
        hop("unit.b_LUT4_Z_D", 2.0),
        {"type": "setup", "delay": 0.1, "to": {"cell": "unit.c_TRELLIS_FF_Q"}},
    ]
    report = {
        "fmax": {"slow": {"achieved": 50.0}, "fast": {"achieved": 90.0}},
        "critical_paths": [
            {"from": "posedge fast", "to": "posedge fast", "path": []},
            {"from": "posedge slow", "to": "posedge slow", "path": path},
        ],
    }
    found = timing.read(report)
    assert found.fmax_mhz == 50
    assert found.path() == "unit.a -> unit.b -> unit.c"
    assert found.hops[0] == timing.Hop("unit.a", 1.0, 0.5, ("hdl/unit.py:3",))

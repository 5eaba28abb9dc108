"""Small gateware becomes a bitstream on every board, the same one every time."""

import dataclasses
import re

import pytest

from boards import build, fasm, xc7
from boards.catalogue import BOARDS
from boards.tools import DATABASE
from golden.errors import WeftError
from tests.small_gateware import SmallGateware

pytestmark = pytest.mark.boards

ONE_OF_EACH = ("arty", "arty-100", "ulx3s", "ulx3s-12", "orangecrab", "icebreaker", "tangnano9k")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("boards")


def order(name, seed=42):
    board = BOARDS[name]
    return build.Order(board, "small", lambda mhz: SmallGateware(), board.clock_mhz, seed)


def bitstream(of, cache):
    placed = build.place(of, build.synthesise(of, cache), cache)
    return placed, build.pack(of, placed, cache)


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_bitstream(name, cache):
    placed, path = bitstream(order(name), cache)
    assert placed.timing.fmax_mhz >= BOARDS[name].clock_mhz
    assert path.stat().st_size > 10_000
    assert all(re.match(r"\d", version) for version in placed.tools.versions.values())


@pytest.mark.parametrize("name", ["arty", "ulx3s"])
def test_same_sources_and_seed_give_the_same_bytes(name, cache, tmp_path):
    again = bitstream(order(name), tmp_path)[1].read_bytes()
    assert again == bitstream(order(name), cache)[1].read_bytes()
    assert again != bitstream(order(name, seed=2), tmp_path)[1].read_bytes()


def test_frames_read_back_are_those_assembled(cache):
    placed, path = bitstream(order("arty"), cache)
    database, part = placed.tools.share / DATABASE / "artix7", "xc7a35tcsg324-1"
    assembler = fasm.Assembler(database, part)
    assembler.add((placed.folder / "top.fasm").read_text().splitlines())
    read = xc7.read_bits((path.parent / "top.bits").read_text())
    assert read == assembler.bits()
    assert len(read) > 1000


def test_timing_that_does_not_close(cache):
    hasty = dataclasses.replace(order("ulx3s"), mhz=400)
    placed = build.place(hasty, build.synthesise(hasty, cache), cache)
    with pytest.raises(WeftError, match=r"reaches 1\d\d\.\d MHz of 400 MHz; the slowest path goes"):
        build.pack(hasty, placed, cache)

"""The assembler of FASM, on a small database in the form of Project X-Ray's."""

import json

import pytest

from boards import xc7
from boards.fasm import Assembler, features, write_frames
from golden.errors import WeftError

PART = "xc7a35tcsg324-1"
DATABASE = {
    "segbits_clb.db": "CLB.LUT.INIT[00] 00_05\nCLB.LUT.INIT[01] 01_33\nCLB.MUX.A !00_05 01_02\n",
    "segbits_bram.block_ram.db": "BRAM.INIT[3] 00_04\n",
    "ppips_clb.db": "CLB.WIRE.ALWAYS always\n",
}
GRID = {
    "CLB_X1Y1": {"type": "CLB", "bits": {"CLB_IO_CLK": {
        "baseaddr": "0x00000100", "frames": 2, "offset": 4, "words": 2}}},
    "CLB_X1Y2": {"type": "OTHER", "bits": {"CLB_IO_CLK": {
        "baseaddr": "0x00000100", "frames": 2, "offset": 8, "words": 2,
        "alias": {"type": "CLB", "start_offset": 1, "sites": {}}}}},
    "BRAM_X1Y1": {"type": "BRAM", "bits": {"BLOCK_RAM": {
        "baseaddr": "0x00800000", "frames": 1, "offset": 0, "words": 10}}},
}  # fmt: skip


@pytest.fixture
def assembler(tmp_path):
    for name, text in DATABASE.items():
        (tmp_path / name).write_text(text)
    grid = tmp_path / "xc7a50t/tilegrid.json"  # the 35T is a 50T
    grid.parent.mkdir()
    grid.write_text(json.dumps(GRID))
    return Assembler(tmp_path, PART)


@pytest.mark.parametrize(
    ("lines", "bits"),
    [
        (["CLB_X1Y1.LUT.INIT[0]"], {(0x100, 4, 5)}),
        (["CLB_X1Y1.LUT.INIT[1:0] = 2'b11"], {(0x100, 4, 5), (0x101, 5, 1)}),
        (["CLB_X1Y1.LUT.INIT[1:0] = 2'h2"], {(0x101, 5, 1)}),
        (["CLB_X1Y1.LUT.INIT[63:0] = 64'd0"], set()),
        (["CLB_X1Y1.MUX.A"], {(0x101, 4, 2)}),
        (["CLB_X1Y1.MUX.A = 1'b0"], set()),
        (["BRAM_X1Y1.INIT[3]  # a comment"], {(0x800000, 0, 4)}),
        (["CLB_X1Y2.LUT.INIT[0]"], {(0x100, 7, 5)}),
        (["CLB_X1Y1.WIRE.ALWAYS", "", "{ .name = \"x\" }"], set()),
    ],
)  # fmt: skip
def test_bits_of_features(assembler, lines, bits):
    assembler.add(lines)
    assert assembler.bits() == bits


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (["CLB_X1Y1.LUT.INIT[2]"], r"knows no feature LUT.INIT\[2\] of CLB_X1Y1"),
        (["CLB_X1Y1.LUT.INIT[63:0] = 64'h5"], r"knows no feature LUT.INIT\[2\]"),
        (["CLB_X9Y9.LUT.INIT[0]"], "has no tile CLB_X9Y9"),
        (["CLB_X1Y1.LUT.INIT[0]", "CLB_X1Y1.MUX.A"], r"MUX.A\[0\] contradicts another"),
        (["this is not"], "this is no FASM: this is not"),
    ],
)
def test_what_cannot_be_assembled(assembler, lines, problem):
    with pytest.raises(WeftError, match=problem):
        assembler.add(lines)


def test_frames_hold_the_bits_and_nothing_else(assembler):
    assembler.add(["CLB_X1Y1.LUT.INIT[1:0] = 2'b11", "BRAM_X1Y1.INIT[3]"])
    frames = assembler.frames()
    assert list(frames) == [0x100, 0x101, 0x800000]
    found = {
        (address, word, bit)
        for address, words in frames.items()
        for word, value in enumerate(words)
        for bit in range(32)
        if value >> bit & 1
    }
    assert found == assembler.bits()
    first = write_frames(frames).splitlines()[0].split(",")
    assert first[0] == "0x00000100 0x00000000"
    assert first[4] == "0x00000020"
    assert len(first) == 101


def test_features_of_a_line():
    assert list(features("T.A.B[9:8] = 2'b10")) == [("T", "A.B", 9)]
    assert list(features("T.A.B[9]")) == [("T", "A.B", 9)]


def test_bits_read_back_must_be_those_assembled():
    bits = {(0x100, 4, 5), (0x800000, 0, 4)}
    text = "bit_00000100_004_05\nbit_00800000_000_04\n"
    xc7.check(bits, xc7.read_bits(text))
    with pytest.raises(WeftError, match="1 bits differ, the first is bit 4 of word 0 of frame"):
        xc7.check(bits, xc7.read_bits(text[:20]))


def test_a_bitstream_tells_no_time():
    fields = [(b"a", b"x\0"), (b"b", b"part\0"), (b"c", b"2031/02/03\0"), (b"d", b"12:34:56\0")]
    parts = [key + len(text).to_bytes(2, "big") + text for key, text in fields]
    raw = b"\0\2\1\2\0\1" + b"".join(parts) + b"e\0\0\0\1\xff"
    told = xc7.without_time(raw)
    assert b"1970/01/01" in told
    assert b"2031" not in told
    assert told == xc7.without_time(raw.replace(b"12:34:56", b"00:11:22"))
    assert told[-6:] == raw[-6:]

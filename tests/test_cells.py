"""sim/cells, and cells of Yosys beside them: what they compute, hold and refuse."""

import random
import re

import pytest

from golden.numbers import MANTISSA_BITS
from hdl.dsp import LATENCY, MULT18_REGISTERS, SB_MAC16_UNUSED
from tests.cells import simulate

SIGN = 1 << (MANTISSA_BITS - 1)
FACTORS = [(a, b) for a in (-SIGN, -1, 0, 1, SIGN - 1) for b in (-SIGN, -1, 0, 1, SIGN - 1)]
RNG = random.Random(3)
FACTORS += [(RNG.randrange(-SIGN, SIGN), RNG.randrange(-SIGN, SIGN)) for _ in range(50)]

PRODUCTS = {
    # cell: family, parameters, inputs, constant inputs, output, cycles that a product takes
    "MULT18X18D": (
        "ecp5", {}, {"A*": 18, "B*": 18, "SIGNEDA": 1, "SIGNEDB": 1, "SOURCEA": 1, "SOURCEB": 1},
        {"SIGNEDA": 1, "SIGNEDB": 1}, {"P*": 36}, 0, (),
    ),
    "MULT18X18D with registers": (
        "ecp5", {f"REG_{name}_CLK": '"CLK0"' for name in MULT18_REGISTERS},
        {"A*": 18, "B*": 18, "SIGNEDA": 1, "SIGNEDB": 1, "SOURCEA": 1, "SOURCEB": 1, "CE0": 1,
         "RST0": 1},
        {"SIGNEDA": 1, "SIGNEDB": 1, "CE0": 1}, {"P*": 36}, LATENCY - 1, ("CLK0",),
    ),
    "MULT18X18": (
        "gowin", {}, {"A": 18, "B": 18, "ASIGN": 1, "BSIGN": 1, "ASEL": 1, "BSEL": 1},
        {"ASIGN": 1, "BSIGN": 1}, {"DOUT": 36}, 0, (),
    ),
    "MULT36X36": (
        "gowin", {}, {"A": 36, "B": 36, "ASIGN": 1, "BSIGN": 1}, {"ASIGN": 1, "BSIGN": 1},
        {"DOUT": 72}, 0, (),
    ),
    "SB_MAC16": (
        "ice40",
        {"A_SIGNED": 1, "B_SIGNED": 1, "TOPOUTPUT_SELECT": "2'b11", "BOTOUTPUT_SELECT": "2'b11"},
        {"A": 16, "B": 16}, {}, {"O": 32}, 0, (),
    ),
    "SB_MAC16 with registers": (
        "ice40",
        {"A_SIGNED": 1, "B_SIGNED": 1, "TOPOUTPUT_SELECT": "2'b11", "BOTOUTPUT_SELECT": "2'b11",
         "A_REG": 1, "B_REG": 1, "TOP_8x8_MULT_REG": 1, "BOT_8x8_MULT_REG": 1,
         "PIPELINE_16x16_MULT_REG1": 1, "PIPELINE_16x16_MULT_REG2": 1},
        {"A": 16, "B": 16, "CE": 1, **SB_MAC16_UNUSED}, {"CE": 1}, {"O": 32}, LATENCY - 1, ("CLK",),
    ),
    "DSP48E1": (
        "xc7",
        {"AREG": 1, "BREG": 1, "MREG": 1, "PREG": 1, "ADREG": 0, "CREG": 0, "DREG": 0,
         "OPMODEREG": 0, "ALUMODEREG": 0, "INMODEREG": 0, "CARRYINREG": 0, "CARRYINSELREG": 0},
        {"A": 30, "B": 18, "C": 48, "D": 25, "OPMODE": 7, "ALUMODE": 4, "INMODE": 5, "CARRYIN": 1,
         "CARRYINSEL": 3, "CEA2": 1, "CEB2": 1, "CEM": 1, "CEP": 1, "RSTA": 1, "RSTB": 1,
         "RSTM": 1, "RSTP": 1},
        {"OPMODE": 0b0000101, "CEA2": 1, "CEB2": 1, "CEM": 1, "CEP": 1}, {"P": 48}, 2, ("CLK",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("cell", PRODUCTS)
def test_products(cell, tmp_path):
    family, parameters, inputs, constant, output, cycles, clocks = PRODUCTS[cell]
    a, b = list(inputs)[:2]
    rows = [{a: x, b: y, **constant} for x, y in FACTORS]
    rows += [rows[-1]] * cycles
    answers = simulate(tmp_path, family, cell.split()[0], parameters, inputs, output, rows, clocks)
    ((name, bits),) = output.items()
    mask = (1 << bits) - 1
    found = [int(answer[name], 2) for answer in answers[cycles:]]
    assert found == [x * y & mask for x, y in FACTORS]


def test_unsigned_products(tmp_path):
    family, _, inputs, _, output, *_ = PRODUCTS["MULT18X18D"]
    rows = [{"A*": 0x3FFFF, "B*": 0x3FFFF}, {"A*": 0x3FFFF, "B*": 0x3FFFF, "SIGNEDA": 1}]
    answers = simulate(tmp_path, family, "MULT18X18D", {}, inputs, output, rows)
    assert [int(each["P*"], 2) for each in answers] == [0x3FFFF**2, -0x3FFFF & (1 << 36) - 1]


class Port:
    """What a port of a block RAM is called: for the memory that numpy would keep beside it."""

    def __init__(self, width, address, data, write=None, out=None, low=0, enables=None):
        self.width, self.address, self.data, self.write = width, address, data, write
        self.out, self.low, self.enables = out, low, enables


def contents(seed, depth=2048):
    rng = random.Random(seed)
    return [rng.randrange(512) for _ in range(depth)]


def ecp5_init(stored):
    words = [stored[2 * k] | stored[2 * k + 1] << 9 for k in range(1024)]
    rows = [sum(word << 20 * k for k, word in enumerate(words[16 * n :][:16])) for n in range(64)]
    return {f"INITVAL_{n:02X}": f"320'h{row:x}" for n, row in enumerate(rows)}


def gowin_init(stored):
    rows = [sum(byte << 9 * k for k, byte in enumerate(stored[32 * n :][:32])) for n in range(64)]
    return {f"INIT_RAM_{n:02X}": f"288'h{row:x}" for n, row in enumerate(rows)}


def xc7_init(stored):
    data = sum((byte & 255) << 8 * k for k, byte in enumerate(stored))
    parity = sum((byte >> 8) << k for k, byte in enumerate(stored))
    parts = {"INIT_": data, "INITP_": parity}
    counts = {"INIT_": len(stored) // 32, "INITP_": len(stored) // 256}
    return {
        f"{name}{n:02X}": f"256'h{parts[name] >> 256 * n & (1 << 256) - 1:x}"
        for name, count in counts.items()
        for n in range(count)
    }


def group(value, width, spread):
    """A word as data bits and parity bits apart, if the family keeps them apart."""
    count = width // 9
    if not spread:
        return value, 0
    data = sum((value >> 9 * k & 255) << 8 * k for k in range(count))
    return data, sum((value >> 9 * k + 8 & 1) << k for k in range(count))


def word(stored, width, index):
    count = width // 9
    return sum(stored[count * index + k] << 9 * k for k in range(count))


def store(stored, width, index, value, enables):
    count = width // 9
    for k in range(count):
        if enables >> k & 1:
            stored[count * index + k] = value >> 9 * k & 511


RAMS = {
    # name: family, cell, bytes, parameters, inputs, outputs, clocks, width written, width read,
    #       row(write index, value, enables, read index), output of a read
    "DP16KD, 36 bits": (
        "ecp5", "DP16KD", 2048, {"DATA_WIDTH_A": 36, "DATA_WIDTH_B": 36},
        {"ADA*": 14, "DIA*": 18, "DIB*": 18, "WEA": 1, "CEA": 1, "ADB*": 14, "CEB": 1, "WEB": 1,
         "RSTA": 1, "RSTB": 1, "CSA*": 3, "CSB*": 3}, {"DOA*": 18, "DOB*": 18}, ("CLKA", "CLKB"),
        36, 36,
        lambda w, v, e, r: {"ADA*": w << 5 | e, "DIA*": v, "DIB*": v >> 18, "WEA": 1, "CEA": e > 0,
                            "ADB*": r << 5, "CEB": 1},
        lambda answer: answer["DOB*"] + answer["DOA*"],
    ),
    "DP16KD, 18 bits in, 9 bits out": (
        "ecp5", "DP16KD", 2048, {"DATA_WIDTH_A": 18, "DATA_WIDTH_B": 9},
        {"ADA*": 14, "DIA*": 18, "DIB*": 18, "WEA": 1, "CEA": 1, "ADB*": 14, "CEB": 1, "WEB": 1,
         "RSTA": 1, "RSTB": 1, "CSA*": 3, "CSB*": 3}, {"DOA*": 18, "DOB*": 18}, ("CLKA", "CLKB"),
        18, 9,
        lambda w, v, e, r: {"ADA*": w << 4 | e, "DIA*": v, "WEA": e > 0, "CEA": 1, "ADB*": r << 3,
                            "CEB": 1},
        lambda answer: answer["DOB*"][-9:],
    ),
    "RAMB18E1, SDP": (
        "xc7", "RAMB18E1", 2048,
        {"RAM_MODE": '"SDP"', "READ_WIDTH_A": 36, "WRITE_WIDTH_B": 36,
         "WRITE_MODE_A": '"READ_FIRST"', "WRITE_MODE_B": '"READ_FIRST"'},
        {"ADDRARDADDR": 14, "ADDRBWRADDR": 14, "DIADI": 16, "DIBDI": 16, "DIPADIP": 2,
         "DIPBDIP": 2, "WEBWE": 4, "WEA": 2, "ENARDEN": 1, "ENBWREN": 1, "RSTRAMARSTRAM": 1,
         "RSTRAMB": 1},
        {"DOADO": 16, "DOBDO": 16, "DOPADOP": 2, "DOPBDOP": 2}, ("CLKARDCLK", "CLKBWRCLK"), 36, 36,
        lambda w, v, e, r: {
            "ADDRBWRADDR": w << 5, "ADDRARDADDR": r << 5, "WEBWE": e, "ENARDEN": 1, "ENBWREN": 1,
            "DIADI": group(v, 36, True)[0], "DIBDI": group(v, 36, True)[0] >> 16,
            "DIPADIP": group(v, 36, True)[1], "DIPBDIP": group(v, 36, True)[1] >> 2,
        },
        lambda a: a["DOPBDOP"][0] + a["DOBDO"][:8] + a["DOPBDOP"][1] + a["DOBDO"][8:]
        + a["DOPADOP"][0] + a["DOADO"][:8] + a["DOPADOP"][1] + a["DOADO"][8:],
    ),
    "RAMB36E1, 18 bits": (
        "xc7", "RAMB36E1", 4096,
        {"READ_WIDTH_B": 18, "WRITE_WIDTH_A": 18, "WRITE_MODE_A": '"READ_FIRST"',
         "WRITE_MODE_B": '"READ_FIRST"'},
        {"ADDRARDADDR": 16, "ADDRBWRADDR": 16, "DIADI": 32, "DIPADIP": 4, "WEA": 4, "WEBWE": 8,
         "ENARDEN": 1, "ENBWREN": 1, "RSTRAMARSTRAM": 1, "RSTRAMB": 1},
        {"DOBDO": 32, "DOPBDOP": 4}, ("CLKARDCLK", "CLKBWRCLK"), 18, 18,
        lambda w, v, e, r: {
            "ADDRARDADDR": 1 << 15 | w << 4, "ADDRBWRADDR": 1 << 15 | r << 4, "WEA": e,
            "ENARDEN": 1, "ENBWREN": 1, "DIADI": group(v, 18, True)[0],
            "DIPADIP": group(v, 18, True)[1],
        },
        lambda a: a["DOPBDOP"][-2] + a["DOBDO"][16:24] + a["DOPBDOP"][-1] + a["DOBDO"][24:],
    ),
    "SDPX9B": (
        "gowin", "SDPX9B", 2048, {"BIT_WIDTH_0": 36, "BIT_WIDTH_1": 18, "RESET_MODE": '"ASYNC"'},
        {"ADA": 14, "ADB": 14, "DI": 36, "CEA": 1, "CEB": 1, "RESETB": 1, "BLKSELA": 3,
         "BLKSELB": 3}, {"DO": 36}, ("CLKA", "CLKB"), 36, 18,
        lambda w, v, e, r: {"ADA": w << 5 | e, "DI": v, "CEA": e > 0, "ADB": r << 4, "CEB": 1},
        lambda answer: answer["DO"][-18:],
    ),
    "DPX9B": (
        "gowin", "DPX9B", 2048, {"BIT_WIDTH_0": 9, "BIT_WIDTH_1": 18},
        {"ADA": 14, "ADB": 14, "DIA": 18, "DIB": 18, "WREA": 1, "WREB": 1, "CEA": 1, "CEB": 1,
         "RESETA": 1, "RESETB": 1, "BLKSELA": 3, "BLKSELB": 3},
        {"DOA": 18, "DOB": 18}, ("CLKA", "CLKB"), 9, 18,
        lambda w, v, e, r: {"ADA": w << 3, "DIA": v, "WREA": e, "CEA": 1, "ADB": r << 4, "CEB": 1},
        lambda answer: answer["DOB"],
    ),
}  # fmt: skip
INITS = {"ecp5": ecp5_init, "gowin": gowin_init, "xc7": xc7_init}


@pytest.mark.parametrize("name", RAMS)
def test_block_rams(name, tmp_path):
    """Contents at the start, and random writes of bytes, as a list of bytes keeps them."""
    family, cell, size, parameters, inputs, outputs, clocks, writes, reads, row, out = RAMS[name]
    stored, rng = contents(name, size), random.Random(name)
    parameters = parameters | INITS[family](stored)
    rows, expected = [], []
    for n in range(400):
        index = rng.randrange(9 * size // writes) if n % 3 else rng.randrange(4)
        value = rng.getrandbits(writes)
        enables = rng.getrandbits(writes // 9) if n > 100 else 0
        read = rng.randrange(9 * size // reads) if n % 2 else rng.randrange(4)
        clash = index * writes // reads == read or read * reads // writes == index
        expected.append(None if enables and clash else word(stored, reads, read))
        rows.append(row(index, value, enables, read))
        store(stored, writes, index, value, enables)
    answers = simulate(tmp_path, family, cell.split()[0], parameters, inputs, outputs, rows, clocks)
    found = [out(answer) for answer in answers]
    for n, (mine, other) in enumerate(zip(expected, found, strict=True)):
        assert mine is None or other == f"{mine:0{reads}b}", f"{name}, row {n}"
    assert len({value for value in expected if value is not None}) > 100


OWN = {
    # what a port shows of a word that it writes itself: cell, parameter, value -> rule
    "NO_CHANGE": lambda before, old, new: before,
    "WRITE_FIRST": lambda before, old, new: new,
    "READ_FIRST": lambda before, old, new: old,
}
SPX9 = {"AD": 14, "DI": 36, "WRE": 1, "CE": 1, "RESET": 1, "BLKSEL": 3}


@pytest.mark.parametrize(("mode", "rule"), list(enumerate(OWN.values())), ids=OWN)
def test_what_a_port_shows_of_its_own_words(mode, rule, tmp_path):
    stored, rng = contents(1), random.Random(mode)
    parameters = {"BIT_WIDTH": 9, "WRITE_MODE": mode} | gowin_init(stored)
    rows, expected, shown = [], [], 0
    for _ in range(200):
        index, value = rng.randrange(8), rng.randrange(512)
        write, on = rng.randrange(2), rng.random() < 0.8
        rows.append({"AD": index << 3, "DI": value, "WRE": write, "CE": on})
        if on:
            shown = rule(shown, stored[index], value) if write else stored[index]
            stored[index] = value if write else stored[index]
        expected.append(shown)
    answers = simulate(tmp_path, "gowin", "SPX9", parameters, SPX9, {"DO": 36}, rows, ("CLK",))
    assert [int(answer["DO"][-9:], 2) for answer in answers] == expected


def test_what_one_port_reads_and_the_other_writes_is_random(tmp_path):
    family, cell, size, parameters, inputs, outputs, clocks, *_, row, out = RAMS["SDPX9B"]
    stored = contents(2, size)
    parameters = parameters | gowin_init(stored)
    rows = [row(0, 0, 0b0011, 0)] * 8 + [row(0, 0, 0b1100, 0)] * 8
    answers = simulate(tmp_path, family, cell.split()[0], parameters, inputs, outputs, rows, clocks)
    found = [out(answer) for answer in answers]
    assert len(set(found[:8])) > 1  # disturbed
    assert set(found[8:]) == {"0" * 18}  # the other bytes are written


REFUSED = [
    ("ecp5", "DP16KD", {"REGMODE_A": '"OUTREG"'}, "DP16KD with output registers is not modelled"),
    ("ecp5", "DP16KD", {"DATA_WIDTH_A": 72}, "DP16KD with DATA_WIDTH = 72, 18 is not modelled"),
    ("ecp5", "MULT18X18D", {"REG_OUTPUT_CLK": '"CLK0"'}, "MULT18X18D with some registers"),
    ("ecp5", "TRELLIS_IO", {"DIR": '"BIDIR"'}, "TRELLIS_IO with DIR = BIDIR is not modelled"),
    ("ecp5", "EHXPLLL", {"FEEDBK_PATH": '"INT_OP"'}, "EHXPLLL with another feedback or phase"),
    ("ice40", "SB_PLL40_PAD", {"FEEDBACK_PATH": '"DELAY"'}, "SB_PLL40_PAD with another feedback"),
    ("ice40", "SB_IO", {"PIN_TYPE": "6'b000000"}, "SB_IO with PIN_TYPE = 000000 is not modelled"),
    ("xc7", "RAMB18E1", {"DOA_REG": 1}, "RAMB18E1 with output registers is not modelled"),
    ("xc7", "RAMB36E1", {"RAM_EXTENSION_A": '"LOWER"'}, "RAMB36E1 with cascade or error"),
    ("xc7", "RAMB36E1", {"IS_ENARDEN_INVERTED": 1}, "RAMB36E1 with an inverted input"),
    ("gowin", "SPX9", {"READ_MODE": 1}, "SPX9 with output registers is not modelled"),
    ("gowin", "DPX9B", {"WRITE_MODE0": 2}, "DPX9B with this WRITE_MODE is not modelled"),
    ("gowin", "MULT18X18", {"AREG": 1}, "MULT18X18 with registers is not modelled"),
]


@pytest.mark.parametrize(("family", "cell", "parameters", "said"), REFUSED)
def test_other_attributes_stop_the_simulation(family, cell, parameters, said, tmp_path):
    with pytest.raises(AssertionError, match=re.escape(said)):
        simulate(tmp_path, family, cell, parameters, {}, {}, [{}])

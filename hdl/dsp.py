"""The product of two factors in the DSP block of each family, with all the registers inside on.

Synthesis finds the blocks of most families by itself; where it leaves their registers outside, in
logic cells, the block is instantiated.
"""

from collections.abc import Callable

from amaranth.hdl import ClockSignal, Const, Instance, Module, Signal, Value, signed
from amaranth.vendor import LatticeECP5Platform, LatticeICE40Platform

from golden.numbers import MANTISSA_BITS

LATENCY = 3
"""Cycles from factors to product: operand, product and output registers."""

Body = Callable[[Module, int, Value, Value, Signal], None]


def body(platform) -> Body:
    """Makes multiplier ``lane``: ``output`` is a times b, of 16 bits, LATENCY cycles late."""
    if isinstance(platform, LatticeICE40Platform):
        return _sb_mac16
    if isinstance(platform, LatticeECP5Platform) and platform.family == "ecp5":
        return _mult18x18d
    return _portable


def _portable(m: Module, lane: int, a: Value, b: Value, output: Signal) -> None:
    """A product in registers, as synthesis packs it into DSP blocks of the 7 series and Gowin."""
    operand_a = Signal(signed(MANTISSA_BITS), name=f"a{lane}")
    operand_b = Signal(signed(MANTISSA_BITS), name=f"b{lane}")
    product = Signal(signed(2 * MANTISSA_BITS), name=f"m{lane}", reset_less=True)
    m.d.sync += [
        operand_a.eq(a),  # cycle 1
        operand_b.eq(b),
        product.eq(operand_a * operand_b),  # cycle 2
        output.eq(product),  # cycle 3
    ]


def _sb_mac16(m: Module, lane: int, a: Value, b: Value, output: Signal) -> None:
    """The same as a block of the iCE40 UltraPlus (Lattice FPGA-TN-02007)."""
    m.submodules[f"mac{lane}"] = Instance(
        "SB_MAC16",
        p_A_SIGNED=Const(1, 1),
        p_B_SIGNED=Const(1, 1),
        p_A_REG=Const(1, 1),  # cycle 1
        p_B_REG=Const(1, 1),
        p_TOP_8x8_MULT_REG=Const(1, 1),  # cycle 2: the four partial products
        p_BOT_8x8_MULT_REG=Const(1, 1),
        p_PIPELINE_16x16_MULT_REG1=Const(1, 1),
        p_PIPELINE_16x16_MULT_REG2=Const(1, 1),  # cycle 3: their sum
        p_TOPOUTPUT_SELECT=Const(3, 2),
        p_BOTOUTPUT_SELECT=Const(3, 2),
        **{f"i_{name}": Const(0, width) for name, width in SB_MAC16_UNUSED.items()},
        i_CLK=ClockSignal(),
        i_CE=Const(1, 1),
        i_A=a,
        i_B=b,
        o_O=output,
    )


SB_MAC16_UNUSED = {"C": 16, "D": 16} | dict.fromkeys(
    ("AHOLD", "BHOLD", "CHOLD", "DHOLD", "IRSTTOP", "IRSTBOT", "ORSTTOP", "ORSTBOT", "OLOADTOP",
     "OLOADBOT", "ADDSUBTOP", "ADDSUBBOT", "OHOLDTOP", "OHOLDBOT", "CI", "ACCUMCI", "SIGNEXTIN"), 1,
)  # fmt: skip
"""Inputs of the block that stay low, and their widths."""


def _mult18x18d(m: Module, lane: int, a: Value, b: Value, output: Signal) -> None:
    """The same as a block of the ECP5 (Lattice FPGA-TN-02205), which takes 18 bits."""
    factor_a = Signal(signed(MULT18_BITS), name=f"a{lane}")
    factor_b = Signal(signed(MULT18_BITS), name=f"b{lane}")
    product = Signal(2 * MULT18_BITS, name=f"m{lane}")
    m.d.comb += [factor_a.eq(a), factor_b.eq(b), output.eq(product)]
    ports = {f"i_A{k}": factor_a[k] for k in range(MULT18_BITS)}
    ports |= {f"i_B{k}": factor_b[k] for k in range(MULT18_BITS)}
    ports |= {f"o_P{k}": product[k] for k in range(2 * MULT18_BITS)}
    m.submodules[f"mac{lane}"] = Instance(
        "MULT18X18D",
        **{f"p_REG_{name}_CLK": "CLK0" for name in MULT18_REGISTERS},
        **{f"i_{name}": Const(0, 1) for name in MULT18_UNUSED},
        p_GSR="DISABLED",
        i_SIGNEDA=Const(1, 1),
        i_SIGNEDB=Const(1, 1),
        i_CLK0=ClockSignal(),
        i_CE0=Const(1, 1),
        **ports,
    )


MULT18_BITS = 18
MULT18_REGISTERS = ("INPUTA", "INPUTB", "PIPELINE", "OUTPUT")
MULT18_UNUSED = ("SOURCEA", "SOURCEB", "RST0", *(f"C{k}" for k in range(MULT18_BITS)))
"""Inputs of the block that stay low."""

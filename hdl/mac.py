"""The multiplier array: the only place in Weft where a product is formed.

A unit never owns a multiplier.  It presents operands on a :class:`Multiply` port and finds the
products there LATENCY cycles after the cycle in which ``valid`` and ``ready`` met.  An array serves
one unit or many: among many, the first that asks wins the cycle, the others see ``ready`` low.
"""

from collections.abc import Sequence

from amaranth.hdl import ClockSignal, Const, Instance, Module, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.vendor import LatticeICE40Platform

from golden.numbers import MANTISSA_BITS

LATENCY = 3
"""Cycles from operands accepted to the product: operand, product and output registers of a DSP."""


class Multiply(wiring.Signature):
    """``lanes`` products of two signed 16-bit factors.

    valid, ready: the operands are presented, accepted.
    a, b: factors.  p: products, LATENCY cycles later, for one cycle (it cannot be held back).
    """

    def __init__(self, lanes: int):
        self.lanes = lanes
        factors = data.ArrayLayout(signed(MANTISSA_BITS), lanes)
        products = data.ArrayLayout(signed(2 * MANTISSA_BITS), lanes)
        super().__init__(
            {
                "valid": Out(1),
                "ready": In(1),
                "a": Out(factors),
                "b": Out(factors),
                "p": In(products),
            }
        )


class MultiplierArray(wiring.Component):
    """Multipliers shared by ``users``, each with a number of lanes of its own.

    Throughput: every multiplier one product a cycle, for one user at a time; lane k of every user
    is multiplier k.  Earlier users have priority.  A loser sees ``ready`` low and keeps its
    operands.

    Members
    -------
    users: one flipped :class:`Multiply` port a user.
    hurry: the last user goes first, from the cycle after it asked in vain.
    """

    def __init__(self, users: Sequence[int]):
        self._lanes = tuple(users)
        ports = {f"user{k}": In(Multiply(lanes)) for k, lanes in enumerate(self._lanes)}
        super().__init__({**ports, "hurry": In(1)})
        self.users = [getattr(self, f"user{k}") for k in range(len(self._lanes))]

    def elaborate(self, platform):
        m = Module()
        *before, final = self.users
        taken, asked = Signal(), Const(0, 1)  # a register: the others' turns do not hang on it late
        for user in before:
            m.d.comb += user.ready.eq(~(taken | asked))
            asked = asked | user.valid
        m.d.comb += final.ready.eq(taken | ~asked)
        m.d.sync += taken.eq(self.hurry & final.valid & ~final.ready)
        for lane in range(max(self._lanes)):
            self._multiplier(m, lane, platform)
        return m

    def _multiplier(self, m: Module, lane: int, platform):
        users = [user for user, lanes in zip(self.users, self._lanes, strict=True) if lane < lanes]
        a, b = self._selected(users, lane, "a"), self._selected(users, lane, "b")
        body = _sb_mac16 if isinstance(platform, LatticeICE40Platform) else _portable
        output = Signal(signed(2 * MANTISSA_BITS), name=f"p{lane}", reset_less=True)
        body(m, lane, a, b, output)
        for user in users:
            m.d.comb += user.p[lane].eq(output)

    def _selected(self, users, lane: int, name: str):
        """The factor of the user that holds the cycle: an OR of gated factors."""
        if len(users) == 1:  # nobody looks at the product when another user holds the cycle
            return getattr(users[0], name)[lane]
        chosen = 0
        for user in users:
            grant = user.valid & user.ready
            chosen = chosen | (
                Value.cast(getattr(user, name)[lane]) & grant.replicate(MANTISSA_BITS)
            )
        return chosen.as_signed()


def _portable(m: Module, lane: int, a: Value, b: Value, output: Signal) -> None:
    """A product in registers, as synthesis packs it into the DSP blocks of most families."""
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
    """The same as a block of the iCE40 UltraPlus (Lattice FPGA-TN-02007), all its registers on.

    Synthesis leaves the registers outside, where they take 96 logic cells.
    """
    factor_a = Signal(signed(MANTISSA_BITS), name=f"a{lane}")
    factor_b = Signal(signed(MANTISSA_BITS), name=f"b{lane}")
    m.d.comb += [factor_a.eq(a), factor_b.eq(b)]
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
        i_A=factor_a,
        i_B=factor_b,
        o_O=output,
    )


SB_MAC16_UNUSED = {"C": 16, "D": 16} | dict.fromkeys(
    ("AHOLD", "BHOLD", "CHOLD", "DHOLD", "IRSTTOP", "IRSTBOT", "ORSTTOP", "ORSTBOT", "OLOADTOP",
     "OLOADBOT", "ADDSUBTOP", "ADDSUBBOT", "OHOLDTOP", "OHOLDBOT", "CI", "ACCUMCI", "SIGNEXTIN"), 1,
)  # fmt: skip
"""Inputs of the block that stay low, and their widths."""

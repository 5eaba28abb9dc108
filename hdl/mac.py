"""The multiplier array: all products of Weft are formed here, in DSP blocks (hdl/dsp.py).

A unit never owns a multiplier.  It presents operands on a :class:`Multiply` port and finds the
products there LATENCY cycles after the cycle in which ``valid`` and ``ready`` met.  An array serves
one unit or many: among many, the first that asks wins the cycle, the others see ``ready`` low.
"""

from collections.abc import Sequence

from amaranth.hdl import Const, Module, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.numbers import MANTISSA_BITS
from hdl import dsp

LATENCY = dsp.LATENCY
"""Cycles from operands accepted to the product."""


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
        body = dsp.body(platform)
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
        return chosen[:MANTISSA_BITS].as_signed()

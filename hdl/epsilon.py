"""The epsilon of a norm in units of its sum of squares: ``golden.stages.norm.aligned_epsilon``."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.stream import delay

LATENCY = 3
"""Cycles from ``mantissa`` and ``shift`` to ``epsilon``."""


class AlignEpsilon(wiring.Component):
    """``mantissa << shift``, without the bits below 1, held to ``bits`` bits.

    Latency LATENCY; throughput one a cycle.

    Parameters
    ----------
    mantissa_bits: of the mantissa, unsigned.  shift: shape of the shift; a negative one is to the
    right.  bits: of the answer.

    Members
    -------
    mantissa, shift: epsilon as a number and its power of two.  epsilon: the answer, unsigned.
    """

    def __init__(self, mantissa_bits: int, shift, bits: int):
        super().__init__({"mantissa": In(mantissa_bits), "shift": In(shift), "epsilon": Out(bits)})

    def elaborate(self, platform):
        m = Module()
        below, bits = len(self.mantissa), len(self.epsilon)
        far = below + bits
        # Cycle 1: places above the one where everything is lost.
        up = self.shift + below
        up_r = Signal(up.shape())
        m.d.sync += up_r.eq(up)
        # Cycle 2: held to the places that there are.
        amount = Signal(range(far + 1))
        m.d.sync += amount.eq(Mux(up_r < 0, 0, Mux(up_r > far, far, up_r)))
        # Cycle 3: shifted; whatever is too large becomes the largest.
        wide = Signal(far + below)
        m.d.comb += wide.eq(delay(m, self.mantissa, 2, "mantissa") << amount)
        m.d.sync += self.epsilon.eq(wide[below:] | wide[far:].any().replicate(bits))
        return m

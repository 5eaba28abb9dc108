"""A UART: bytes over two wires, 8 data bits, no parity, one stop bit, least significant bit first.

The receiver samples each bit three times around its middle and takes the majority.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from golden.errors import WeftError

FRAME_BITS = 10
"""Bits on the wire for a byte: start, 8 of data, stop."""

TOLERANCE = 0.02
"""Greatest part by which the baud rate may be missed; as much is left for the other side."""

LEAST_CYCLES = 8
"""Cycles of a bit at the least, so that three samples fit around its middle."""


def bit_cycles(clock_hz: float, baud: float) -> int:
    """Clock cycles of a bit; WeftError if the clock cannot make the baud rate."""
    cycles = max(round(clock_hz / baud), 1)
    error = abs(cycles * baud / clock_hz - 1)
    if cycles < LEAST_CYCLES:
        raise WeftError(
            f"{baud:,.0f} baud are too fast for a clock of {clock_hz:,.0f} Hz; "
            f"choose at most {clock_hz / LEAST_CYCLES:,.0f}"
        )
    if error > TOLERANCE:
        raise WeftError(
            f"a clock of {clock_hz:,.0f} Hz misses {baud:,.0f} baud by {error:.1%}; "
            f"choose {clock_hz / cycles:,.0f}"
        )
    return cycles


class Receiver(wiring.Component):
    """Bytes from a wire.

    Latency: a byte comes in the middle of its stop bit.  It must be taken at once: a wire cannot
    wait.  A start bit that is gone at its middle was a glitch.  A byte without stop bit is dropped
    with a framing error, and the next may begin when the wire was high again: a break is one error.
    Tested: 8 to 104 cycles a bit, a sender that is 2 % too fast or too slow.

    Parameters
    ----------
    cycles: of a bit, at least LEAST_CYCLES.

    Members
    -------
    rx: the wire, not synchronised to the clock.
    o: bytes.
    framing_error: a byte had no stop bit (one cycle).
    """

    def __init__(self, cycles: int):
        if cycles < LEAST_CYCLES:
            raise ValueError(f"{cycles} cycles a bit are too few; expected at least {LEAST_CYCLES}")
        self._cycles = cycles
        super().__init__(
            {
                "rx": In(1, init=1),
                "o": Out(stream.Signature(8, always_ready=True)),
                "framing_error": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        middle, apart = self._cycles // 2, self._cycles // 8
        rx, before, active = Signal(init=1), Signal(init=1), Signal()
        m.submodules.synchronizer = FFSynchronizer(self.rx, rx, init=1)
        cycle = Signal(range(self._cycles))
        samples = Signal(2, reset_less=True)
        # Ones, into which start bit and data are shifted: with the start bit at the end, all is in.
        bits = Signal(9, reset_less=True)
        majority = (samples[0] & samples[1]) | (rx & samples.any())
        m.d.comb += self.o.p.eq(bits[1:])
        m.d.sync += [before.eq(rx), cycle.eq(Mux(cycle == self._cycles - 1, 0, cycle + 1))]
        with m.If(~active):
            m.d.sync += [active.eq(before & ~rx), cycle.eq(1), bits.eq(~0)]
        with m.Elif((cycle == middle - apart) | (cycle == middle)):
            m.d.sync += samples.eq(Mux(cycle == middle, samples | rx << 1, rx))
        with m.Elif(cycle == middle + apart):
            m.d.sync += bits.eq(bits[1:] | majority << 8)
            with m.If(~bits[0]):
                m.d.comb += [self.o.valid.eq(majority), self.framing_error.eq(~majority)]
                m.d.sync += active.eq(0)
            with m.Elif(bits.all() & majority):
                m.d.sync += active.eq(0)
        return m


class Transmitter(wiring.Component):
    """Bytes to a wire.

    Latency: the start bit begins a cycle after a byte was taken.  Throughput: a byte every
    ``FRAME_BITS * cycles + 1`` cycles; ``i`` waits meanwhile.

    Parameters
    ----------
    cycles: of a bit.

    Members
    -------
    i: bytes.  tx: the wire.
    """

    def __init__(self, cycles: int):
        self._cycles = cycles
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        cycle = Signal(range(self._cycles))
        busy = Signal()
        # What is still to be sent; the stop bit is its highest one.
        bits = Signal(9, reset_less=True)
        m.d.comb += self.i.ready.eq(~busy)
        with m.If(~busy):
            m.d.sync += cycle.eq(0)
            with m.If(self.i.valid):
                m.d.sync += [busy.eq(1), bits.eq(self.i.p | 1 << 8), self.tx.eq(0)]
        with m.Elif(cycle == self._cycles - 1):
            m.d.sync += [cycle.eq(0), bits.eq(bits >> 1), self.tx.eq(bits[0])]
            with m.If(~bits.any()):
                m.d.sync += [busy.eq(0), self.tx.eq(1)]
        with m.Else():
            m.d.sync += cycle.eq(cycle + 1)
        return m

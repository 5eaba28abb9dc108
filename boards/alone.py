"""A core with an external memory on a board that lacks one: what is placed to time it alone.

The port of the memory ends in registers, and these in a chain: bits of a UART pin go in, and what
the core asks for comes out at a light.  Nothing of the core is dropped, and no path leaves it.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class Alone(wiring.Component):
    """Gateware of a board (boards.top.Top), of a hdl.soc.Soc that has a ``memory``.

    Members
    -------
    rx, tx, alive, busy, error: those of the Soc; a bit of the chain meets ``error``.
    """

    def __init__(self, soc):
        self._soc = soc
        super().__init__({"rx": In(1), "tx": Out(1), **dict.fromkeys(LIGHTS, Out(1))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.soc = soc = self._soc
        port = soc.memory
        asked = Cat(port.command.valid, Value.cast(port.command.p), port.wdata.valid, port.wdata.p)
        held, chain = Signal(len(asked)), Signal(len(asked))
        answer = Signal(len(port.rdata) + 3)
        m.d.sync += [
            held.eq(asked),
            chain.eq(held ^ (chain << 1)),
            answer.eq(Cat(self.rx, answer)),
        ]
        m.d.comb += [
            soc.rx.eq(self.rx),
            self.tx.eq(soc.tx),
            self.alive.eq(soc.alive),
            self.busy.eq(soc.busy),
            self.error.eq(soc.error ^ chain[-1]),
            Cat(port.command.ready, port.wdata.ready, port.rvalid, port.rdata).eq(answer),
        ]
        return m


LIGHTS = ("alive", "busy", "error")

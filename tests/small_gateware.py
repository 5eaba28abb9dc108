"""Gateware with everything that a board's flow must handle, and small: products, a memory, pins."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

DEPTH = 512


class SmallGateware(wiring.Component):
    """Adds up products of a memory's words and what comes in, and shows bits of the sum."""

    def __init__(self, products: int = 4):
        self._products = products
        leds = {name: Out(1) for name in ("alive", "busy", "error")}
        super().__init__({"rx": In(1), "tx": Out(1), **leds})

    def elaborate(self, platform):
        m = Module()
        words = [(k * 40503) % 65536 - 32768 for k in range(DEPTH)]
        m.submodules.words = words = memory.Memory(shape=signed(16), depth=DEPTH, init=words)
        read = words.read_port()
        bits, partial, total = Signal(16 * self._products), Signal(signed(36)), Signal(40)
        m.d.sync += [bits.eq((bits << 1) | self.rx), read.addr.eq(read.addr + 1)]
        products = []
        for k in range(self._products):
            a, b = (Signal(signed(16), name=f"{name}{k}") for name in "ab")
            p, q = (Signal(signed(32), name=f"{name}{k}") for name in "pq")
            m.d.sync += [a.eq(read.data), b.eq(bits[16 * k :][:16]), p.eq(a * b), q.eq(p)]
            products.append(q)
        m.d.sync += [
            partial.eq(sum(products)),
            total.eq(total + partial),
            self.tx.eq(total[-1]),
            self.alive.eq(total[7]),
            self.busy.eq(total[17]),
            self.error.eq(total[27]),
        ]
        return m

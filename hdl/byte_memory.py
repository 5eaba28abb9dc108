"""A small memory of bytes that costs nothing but its block RAM."""

from collections.abc import Iterable

from amaranth.hdl import Module
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out


class ByteMemory(wiring.Component):
    """A port to write, and ports to read with a cycle of latency.

    What is read at the address that is written in the same cycle is undefined: block RAMs differ,
    and logic around them would make one answer of it.

    Parameters
    ----------
    address_bits: of the memory.  readers: how many ports read.  init: first bytes; the rest is 0.
    name: of the memory; simulations load one that is called as hdl.memory.verilog_name says.

    Members
    -------
    address, data, write: the port to write.
    reads: addresses.  answers: the bytes there, a cycle later.
    """

    def __init__(self, address_bits: int, readers: int = 1, init: Iterable[int] = (),
                 name: str = "memory"):  # fmt: skip
        self._name = name
        # Yosys looks at the attribute when it makes a synchronous port of a register behind memory.
        self._memory = memory.Memory(
            shape=8, depth=1 << address_bits, init=init, attrs={"no_rw_check": 1}
        )
        super().__init__(
            {
                "address": In(address_bits),
                "data": In(8),
                "write": In(1),
                "reads": In(address_bits).array(readers),
                "answers": Out(8).array(readers),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules[self._name] = words = self._memory
        port = words.write_port()
        m.d.comb += [port.addr.eq(self.address), port.data.eq(self.data), port.en.eq(self.write)]
        for address, answer in zip(self.reads, self.answers, strict=True):
            read = words.read_port(domain="comb")
            m.d.comb += read.addr.eq(address)
            m.d.sync += answer.eq(read.data)
        return m

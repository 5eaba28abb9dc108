"""A memory of one port, in the kind of memory of which a chip has most."""

from amaranth.hdl import ClockSignal, Const, Instance, Module, Signal, signed
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.vendor import LatticeICE40Platform

SPRAM_WIDTH, SPRAM_BITS = 16, 14
"""Width of a large memory of the iCE40 UltraPlus, and of its address."""


class SinglePort(wiring.Component):
    """``depth`` signed words of ``width`` bits; each is read only after it was written.

    Latency 1 cycle; a word is read or written in every cycle.

    Members
    -------
    addr: of the word.  write, data: write ``data`` there, else read it.
    o: what was read; of no meaning after a write.
    """

    def __init__(self, width: int, depth: int):
        self._width, self._depth = width, depth
        super().__init__(
            {
                "addr": In(range(depth)),
                "write": In(1),
                "data": In(signed(width)),
                "o": Out(signed(width)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        fits = len(self.addr) <= SPRAM_BITS
        if isinstance(platform, LatticeICE40Platform) and fits:
            self._sb_spram256ka(m)
        else:
            self._portable(m)
        return m

    def _portable(self, m: Module) -> None:
        m.submodules.words = words = memory.Memory(
            shape=signed(self._width), depth=self._depth, init=[]
        )
        write, read = words.write_port(), words.read_port()
        m.d.comb += [
            write.addr.eq(self.addr),
            write.data.eq(self.data),
            write.en.eq(self.write),
            read.addr.eq(self.addr),
            read.en.eq(~self.write),
            self.o.eq(read.data),
        ]

    def _sb_spram256ka(self, m: Module) -> None:
        """Blocks of the iCE40 UltraPlus side by side (Lattice FPGA-TN-02022)."""
        place = Signal(SPRAM_BITS)
        m.d.comb += place.eq(self.addr)
        for k in range(-(-self._width // SPRAM_WIDTH)):
            end = min((k + 1) * SPRAM_WIDTH, self._width)
            given, read = Signal(SPRAM_WIDTH, name=f"i{k}"), Signal(SPRAM_WIDTH, name=f"o{k}")
            m.submodules[f"words{k}"] = Instance(
                "SB_SPRAM256KA",
                i_CLOCK=ClockSignal(),
                i_CHIPSELECT=Const(1, 1),
                i_STANDBY=Const(0, 1),
                i_SLEEP=Const(0, 1),
                i_POWEROFF=Const(1, 1),  # active low
                i_ADDRESS=place,
                i_DATAIN=given,
                i_MASKWREN=Const(0xF, 4),
                i_WREN=self.write,
                o_DATAOUT=read,
            )
            m.d.comb += [
                given.eq(self.data[k * SPRAM_WIDTH : end]),
                self.o.as_unsigned()[k * SPRAM_WIDTH : end].eq(read),
            ]

"""Memories whose contents come later: every weight, table and exponent reaches the gateware here.

Elaboration depends on widths and depths only.  In simulation a memory's words are loaded at run
time from ``<name>.hex``; for a board, or for Amaranth's own simulator, they are part of the
elaboration.
"""

from collections.abc import Mapping, Sequence

from amaranth.hdl import Array, Const, MemoryData, Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.vendor import XilinxPlatform

PREFIX = "weft_"
"""Every loadable memory is called PREFIX + its name with dots as double underscores."""

NARROW_DEPTH = 1 << 11
"""Words of 9 bits in half a block RAM of the 7 series; more make it a whole one."""

BLOCK_BITS = 1 << 14
"""A synchronous memory of this size or more is asked to be block RAM, however wide and shallow."""


def verilog_name(name: str) -> str:
    """Name of a memory in Verilog: ``linear.weights`` becomes ``weft_linear__weights``."""
    return PREFIX + name.replace(".", "__")


class Rom(wiring.Component):
    """Read-only memory of ``depth`` words of ``width`` bits.

    Latency 1 cycle when ``synchronous`` (the data stay while ``en`` is low), else 0.

    Members
    -------
    addr, en: which word, and whether to read it.  data: the word.
    """

    def __init__(self, name, width, depth, words: Sequence[int], synchronous: bool, wires: bool):
        self._name, self._words, self._depth = name, words, depth
        self._synchronous, self._wires = synchronous, wires
        super().__init__({"addr": In(range(depth)), "en": In(1, init=1), "data": Out(width)})

    def elaborate(self, platform):
        m = Module()
        if self._wires:
            return self._elaborate_wires(m)
        if isinstance(platform, XilinxPlatform) and self._would_be_narrow():
            return self._elaborate_pairs(m)
        port = self._memory(m, len(self.data), self._depth, self._words)
        m.d.comb += [port.addr.eq(self.addr), self.data.eq(port.data)]
        return m

    def _memory(self, m: Module, width: int, depth: int, words: Sequence[int]):
        """The read port of a memory that holds the words."""
        contents = MemoryData(shape=width, depth=depth, init=words)
        big = self._synchronous and depth * width >= BLOCK_BITS
        rom = memory.Memory(contents, attrs={"ram_style": "block"} if big else {})
        m.submodules[verilog_name(self._name)] = rom  # the memory takes its submodule's name
        port = rom.read_port(domain="sync" if self._synchronous else "comb")
        if self._synchronous:
            m.d.comb += port.en.eq(self.en)
        return port

    def _would_be_narrow(self) -> bool:
        """Whether synthesis makes it of RAMB36 of 1 or 9 bits (boards/limits.py)."""
        return self._synchronous and len(self.data) <= 9 and self._depth > NARROW_DEPTH

    def _elaborate_pairs(self, m: Module):
        """Two words at each place, one of which is chosen."""
        width, words = len(self.data), [*self._words, 0]
        pairs = [low | high << width for low, high in zip(words[::2], words[1::2], strict=False)]
        port = self._memory(m, 2 * width, -(-self._depth // 2), pairs)
        odd = Signal()
        with m.If(self.en):
            m.d.sync += odd.eq(self.addr[0])
        m.d.comb += [port.addr.eq(self.addr[1:]), self.data.eq(port.data.word_select(odd, width))]
        return m

    def _elaborate_wires(self, m: Module):
        words = [*self._words, *[0] * (self._depth - len(self._words))]  # as a memory would be
        words = Array(Const(word, len(self.data)) for word in words)
        if self._synchronous:
            with m.If(self.en):
                m.d.sync += self.data.eq(words[self.addr])
        else:
            m.d.comb += self.data.eq(words[self.addr])
        return m


class Ram(wiring.Component):
    """Memory of ``depth`` words of ``width`` bits that has contents at first.

    Latency 1 cycle; a word that is written is read as it was before.

    Members
    -------
    addr, data: which word is read; the word, a cycle later.
    write, waddr, wdata: whether a word is written, which, and what.
    """

    def __init__(self, name: str, width: int, depth: int, words: Sequence[int]):
        self._name, self._words, self._depth = name, words, depth
        super().__init__(
            {
                "addr": In(range(depth)),
                "data": Out(width),
                "write": In(1),
                "waddr": In(range(depth)),
                "wdata": In(width),
            }
        )

    def elaborate(self, platform):
        m = Module()
        contents = MemoryData(shape=len(self.data), depth=self._depth, init=self._words)
        m.submodules[verilog_name(self._name)] = ram = memory.Memory(contents)
        read, write = ram.read_port(), ram.write_port()
        m.d.comb += [
            read.addr.eq(self.addr),
            self.data.eq(read.data),
            write.addr.eq(self.waddr),
            write.data.eq(self.wdata),
            write.en.eq(self.write),
        ]
        return m


class Memories:
    """Makes the loadable memories of a core and remembers their shapes.

    Parameters
    ----------
    image: words by memory name (golden.image), or None to load them at run time.
    wires: build the memories as constants in logic; needs ``image``.
    """

    def __init__(self, image: Mapping[str, Sequence[int]] | None = None, wires: bool = False):
        self._image, self._wires = image, wires
        self.shapes: dict[str, tuple[int, int]] = {}
        if wires and image is None:
            raise ValueError("constants in logic need the memory image at elaboration")

    def rom(self, name: str, width: int, depth: int, synchronous: bool = True) -> Rom:
        """A memory ``name`` [depth] of ``width`` bits; names are unique in a core."""
        return Rom(name, width, depth, self._words(name, width, depth), synchronous, self._wires)

    def ram(self, name: str, width: int, depth: int) -> Ram:
        """The same, and it can be written."""
        return Ram(name, width, depth, self._words(name, width, depth))

    def _words(self, name: str, width: int, depth: int) -> Sequence[int]:
        """What a new memory holds, as far as it is known."""
        if name in self.shapes:
            raise ValueError(f"two memories are called {name}")
        self.shapes[name] = (width, depth)
        words = [] if self._image is None else self._image[name]
        if len(words) > depth:
            raise ValueError(f"memory {name}: {len(words)} words do not fit {depth}")
        return words

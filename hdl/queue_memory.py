"""Where a queue keeps its beats: in look-up tables, or in block RAM when it is deep and large.

Both answer in the same cycle, so a queue does not tell by its timing which it has.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import memory

DEEP = 64
"""Places that a look-up table of the 7 series has: a shallower queue is small in them."""

LARGE = 8192
"""Bits from which a block RAM is worth it: half a one, or about 200 look-up tables."""


def in_blocks(width: int, depth: int) -> bool:
    """Whether so many places of so many bits are kept in block RAM."""
    return depth > DEEP and width * depth >= LARGE


def after(place: Value, size: int) -> Value:
    """The place behind ``place``, in a ring of ``size``."""
    return Mux(place == size - 1, 0, place + 1)


def distributed(
    m: Module, parts: list[Value], depth: int, put: Value, get: Value, alone: Value, turns: Value
) -> Value:
    """The oldest beat: its first part from the memory, the second from a register.

    That register holds what the memory will have at the next place, or what arrives when the oldest
    is ``alone``; it ``turns`` when there is none or when the oldest leaves.
    """
    place, following = Signal(range(depth)), Signal(range(depth))
    filled = Signal(range(depth))
    m.d.comb += following.eq(after(place, depth))
    with m.If(put):
        m.d.sync += filled.eq(after(filled, depth))
    with m.If(get):
        m.d.sync += place.eq(following)
    found = []
    for part, at, ahead in zip(parts, (place, following), (False, True), strict=False):
        name = "head" if ahead else "storage"
        m.submodules[name] = kept = memory.Memory(shape=len(part), depth=depth, init=[])
        write, read = kept.write_port(), kept.read_port(domain="comb")
        m.d.comb += [write.en.eq(put), write.data.eq(part), write.addr.eq(filled)]
        m.d.comb += read.addr.eq(at)
        if ahead:
            head = Signal(len(part))
            with m.If(turns):
                m.d.sync += head.eq(Mux(alone, part, read.data))
            found.append(head)
        else:
            found.append(read.data)
    return Cat(found)


def block(
    m: Module, parts: list[Value], depth: int, put: Value, get: Value, alone: Value, turns: Value
) -> Value:
    """The same out of a memory whose answer takes a cycle: the oldest beat is in a register.

    The memory is always asked for the beat behind the oldest.  One that is written while it is
    asked for comes out of a register beside the memory.
    """
    arriving = Cat(parts)
    m.submodules.storage = kept = memory.Memory(shape=len(arriving), depth=depth, init=[])
    write, read = kept.write_port(), kept.read_port()
    following, beyond = Signal(range(depth), init=1), Signal(range(depth), init=2 % depth)
    asked = Signal(range(depth))
    head, late, passed = Signal(len(arriving)), Signal(len(arriving)), Signal()
    m.d.comb += [
        asked.eq(Mux(get, beyond, following)),
        read.addr.eq(asked),
        write.en.eq(put),
        write.data.eq(arriving),
    ]
    m.d.sync += [following.eq(asked), beyond.eq(after(asked, depth))]
    meets = Mux(get, write.addr == beyond, write.addr == following)
    m.d.sync += [late.eq(arriving), passed.eq(put & meets)]
    with m.If(put):
        m.d.sync += write.addr.eq(after(write.addr, depth))
    with m.If(turns):
        m.d.sync += head.eq(Mux(alone, arriving, Mux(passed, late, read.data)))
    return head

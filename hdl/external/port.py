"""The port of an external memory: that of LiteDRAM's native port, without byte masks."""

from amaranth.hdl import unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.plan import Plan
from golden.schedule import Schedule
from hdl.external.layout import Layout


def command_layout(address_bits: int) -> data.StructLayout:
    """A command for one beat: its address in beats, and whether it is written."""
    return data.StructLayout({"address": unsigned(address_bits), "write": unsigned(1)})


class MemoryPort(wiring.Signature):
    """As the reader and writer of a memory sees it.

    Members
    -------
    command: stream of :func:`command_layout`.
    wdata: stream of beats, one for every write command, in order; they may come before it.
    rdata, rvalid: a beat for every read command, in order.  It cannot wait: the reader asks only
    for what it has room for.  A read that is asked for after a write of the same beat sees it.
    """

    def __init__(self, address_bits: int, width: int):
        super().__init__(
            {
                "command": Out(stream.Signature(command_layout(address_bits))),
                "wdata": Out(stream.Signature(width)),
                "rdata": In(width),
                "rvalid": In(1),
            }
        )


def memory_port(layout: Layout) -> MemoryPort:
    """The port of a memory of that layout."""
    return MemoryPort((layout.end - 1).bit_length(), layout.port)


def memory_members(plan: Plan, schedule: Schedule) -> dict:
    """The members of a core: ``memory``, if its schedule has one outside."""
    if not schedule.port:
        return {}
    return {"memory": Out(memory_port(Layout(plan, schedule.port)))}

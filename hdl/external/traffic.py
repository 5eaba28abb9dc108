"""All that goes through the port of the external memory: reads ahead, and records of the cache."""

from __future__ import annotations

from amaranth.hdl import Module, Mux
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.external.fetch import Fetch
from hdl.external.itinerary import Itinerary, token_layout
from hdl.external.layout import Layout
from hdl.external.port import memory_port
from hdl.external.program import readers
from hdl.external.store import Store
from hdl.stream import Queue


class Traffic(wiring.Component):
    """What a core reads from and writes to its memory, for one token after the other.

    Writes go before reads; keys and values are read when those of the token itself are written.  A
    command goes out a cycle after it is chosen, and stays until it is taken.

    Members
    -------
    port: hdl.external.port.MemoryPort; what goes out there hangs on registers alone.
    token: stream of tokens that begin (hdl.external.itinerary.token_layout).
    embed, norm, linear, keys, values, bias: streams of beats for their readers.
    store: stream of beats: see Store.
    """

    def __init__(self, layout: Layout, token_bits: int, position_bits: int):
        self._layout = layout
        self._bits = token_bits, position_bits
        beat = stream.Signature(layout.port)
        super().__init__(
            {
                "port": Out(memory_port(layout)),
                "token": In(stream.Signature(token_layout(*self._bits))),
                "store": In(beat),
                **{reader.name.lower(): Out(beat) for reader in readers(layout)},
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.itinerary = itinerary = Itinerary(self._layout, *self._bits)
        m.submodules.fetch = fetch = Fetch(self._layout)
        m.submodules.writer = writer = Store(self._layout)
        wiring.connect(m, wiring.flipped(self.token), itinerary.token)
        wiring.connect(m, itinerary.o, fetch.segments)
        wiring.connect(m, wiring.flipped(self.store), writer.i)
        for reader in readers(self._layout):
            name = reader.name.lower()
            wiring.connect(m, getattr(fetch, name), wiring.flipped(getattr(self, name)))
        m.submodules.commands = commands = Queue(self.port.command.p.shape(), 2)
        wiring.connect(m, commands.o, wiring.flipped(self.port.command))
        command, writes = commands.i, writer.addresses.valid
        m.d.comb += [
            writer.begin.eq(itinerary.begin),
            writer.key_offset.eq(itinerary.key_offset),
            writer.value_offset.eq(itinerary.value_offset),
            itinerary.stored.eq(writer.stored),
            command.valid.eq(writes | fetch.addresses.valid),
            command.p.write.eq(writes),
            command.p.address.eq(Mux(writes, writer.addresses.p, fetch.addresses.p)),
            writer.addresses.ready.eq(command.ready),
            fetch.addresses.ready.eq(command.ready & ~writes),
            fetch.rdata.eq(self.port.rdata),
            fetch.rvalid.eq(self.port.rvalid),
        ]
        wiring.connect(m, writer.wdata, wiring.flipped(self.port.wdata))
        return m

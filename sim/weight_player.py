"""The external memory of a simulation: it answers a core's requests for streamed weights."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.memory import Memories
from hdl.weight_ports import WeightPort
from hdl.weights import RomSource, request_layout


class WeightPlayer(wiring.Component):
    """Words of the memory ``port.memory``, from the base of a request on, a word a cycle.

    Latency hdl.weights.LATENCY.  A word is held back in the cycles in which ``pause`` is high, but
    a word once offered stays.

    Members
    -------
    requests, words: the other side of a core's port.  pause: see above.
    """

    def __init__(self, port: WeightPort, memories: Memories):
        self._source = RomSource(port.memory, port.width, port.depth, port.most, memories)
        request = request_layout(port.depth, port.most)
        super().__init__(
            {
                "requests": In(stream.Signature(request)),
                "words": Out(stream.Signature(port.width)),
                "pause": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.source = source = self._source
        offered = Signal()
        wiring.connect(m, wiring.flipped(self.requests), source.i)
        m.d.comb += [
            self.words.valid.eq(source.o.valid & (offered | ~self.pause)),
            self.words.p.eq(source.o.p.data),
            source.o.ready.eq(self.words.valid & self.words.ready),
        ]
        m.d.sync += offered.eq(self.words.valid & ~self.words.ready)
        return m


def play_weights(m: Module, core, memories: Memories, pause) -> None:
    """Attach a player to each weight port of a core, if it has some."""
    for port in getattr(core, "weight_ports", ()):
        player = WeightPlayer(port, memories)
        m.submodules[f"weights_{port.unit}"] = player
        requests, words = port.streams(core)
        wiring.connect(m, requests, player.requests)
        wiring.connect(m, player.words, words)
        m.d.comb += player.pause.eq(pause)

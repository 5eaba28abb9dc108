"""A core whose weights, keys and values live in an external memory."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import wiring

from golden.stage import Bias
from hdl.core import Core
from hdl.external.biases import Biases
from hdl.external.gains import Gains
from hdl.external.layout import Layout
from hdl.external.traffic import Traffic
from hdl.stream import Fork


class ExternalCore(Core):
    """A core on the schedule ``external``; ``memory`` is the port of its memory."""

    def elaborate(self, platform):
        layout = Layout(self.plan, self.schedule.port)
        token, position = len(self.tokens.p.token), max(self.tags.position, 1)
        self._traffic = traffic = Traffic(layout, token, position)
        m = super().elaborate(platform)
        m.submodules.traffic = traffic
        wiring.connect(m, traffic.port, wiring.flipped(self.memory))
        self._join_memory(m)
        return m

    def _enter(self, m: Module, accept, embed) -> None:
        """A token begins: its embedding, and its walk through the memory."""
        m.submodules.accept_fork = fork = Fork(accept.p.shape(), 2)
        wiring.connect(m, accept, fork.i)
        wiring.connect(m, fork.o[0], embed.i)
        token, begins = self._traffic.token, fork.o[1]
        m.d.comb += [
            token.valid.eq(begins.valid),
            begins.ready.eq(token.ready),
            token.p.token.eq(begins.p.token),
            token.p.position.eq(begins.p.tag.position),
            token.p.sample.eq(begins.p.tag.sample),
        ]

    def _join_memory(self, m: Module) -> None:
        """The readers of the memory, and its writer."""
        traffic = self._traffic
        norm, attention = self._component("norm"), self._component("attention")
        lanes = next(u.lanes for u in self.schedule.units if u.kind == "norm")
        m.submodules.gains = gains = Gains(
            self.plan.prologue.stages[0].output_size, lanes, self.schedule.port
        )
        wiring.connect(m, traffic.norm, gains.i)
        wiring.connect(m, gains.o, norm.gains)
        if any(unit.kind == "bias" for unit in self.schedule.units):
            self._join_biases(m)
        wiring.connect(m, traffic.embed, self._component("embed").rows)
        wiring.connect(m, traffic.linear, self._component("linear").weights)
        wiring.connect(m, traffic.keys, attention.keys)
        wiring.connect(m, traffic.values, attention.values)
        wiring.connect(m, attention.store, traffic.store)

    def _join_biases(self, m: Module) -> None:
        """The reader of biases, with room for a whole vector.

        Layers that have biases answer in one format, and so in the order of their matrices, which
        is that of their biases.
        """
        unit = self._component("bias")
        most = max(s.output_size for s in self.plan.template if isinstance(s, Bias))
        lanes = next(u.lanes for u in self.schedule.units if u.kind == "bias")
        m.submodules.biases = biases = Biases(most, lanes, self.schedule.port)
        wiring.connect(m, self._traffic.bias, biases.i)
        wiring.connect(m, biases.o, unit.biases)
        m.d.comb += biases.closes.eq(unit.closes)

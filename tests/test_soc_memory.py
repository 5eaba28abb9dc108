"""hdl/soc.py with an external memory: an image over the wires, shared with the core."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from boards.host import memory as host
from boards.host.memory import Loaded, load
from golden.generate import Request
from golden.quantize import Options, quantize
from hdl.external import image_file
from hdl.external.image_file import opened
from hdl.external.layout import Layout
from hdl.external.port import memory_port
from tests.host_core import HostCore, expected
from tests.llama import BASE, random_llama
from tests.played_memory import PlayedMemory
from tests.test_soc import BAUD, DIGEST, Wires

PORT, PIECE = 64, 128
CONFIG = replace(BASE, n_layer=1, n_head=2, n_kv_head=1, d_model=8, d_ff=6, n_ctx=8)
CHECKPOINT = random_llama(CONFIG)
LAYOUT = Layout(quantize(CHECKPOINT, Options(scales="row")), PORT)


class MemoryCore(wiring.Component):
    """A core that reads beats of its memory while it has work, and does nothing with them."""

    plan, schedule = LAYOUT.plan, SimpleNamespace(streams=1, port=PORT)

    def __init__(self):
        self._core = HostCore(n_vocab=CONFIG.n_vocab, n_ctx=CONFIG.n_ctx)
        self.tags = self._core.tags
        super().__init__(dict(self._core.signature.members) | {"memory": Out(memory_port(LAYOUT))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.core = core = self._core
        m.d.comb += [
            core.abort.eq(self.abort),
            self.slot.eq(core.slot),
            self.idle.eq(core.idle),
        ]
        wiring.connect(m, wiring.flipped(self.requests), core.requests)
        wiring.connect(m, core.tokens, wiring.flipped(self.tokens))
        command = self.memory.command
        with m.If(~command.valid | command.ready):
            m.d.sync += command.valid.eq(~self.idle)
        with m.If(command.valid & command.ready):
            m.d.sync += command.p.address.eq((command.p.address + 1)[:3])
        return m


@pytest.mark.slow
def test_a_memory_is_loaded_and_shared(tmp_path, monkeypatch):
    """All of it lies there but a piece: a simulation of the wires takes its time."""
    monkeypatch.setattr(host, "PIECE", PIECE)
    core = MemoryCore()
    wires = Wires(core=core)
    memory = PlayedMemory(wires.dut.memory, LAYOUT.end, PORT, busy=0.3)
    wires.sim.add_testbench(memory.run, background=True)
    path = tmp_path / "some.weft"
    image_file.write(path, LAYOUT, CHECKPOINT.digest)
    image = opened(path)
    # The device of these wires says another digest.
    image = replace(image, header=replace(image.header, plan=DIGEST.hex() + "00" * 24))
    link, size = wires.link(token_timeout=1), image.header.data_bytes
    data = image.read(0, size)
    memory.fill(data[:PIECE] + bytes(PIECE) + data[2 * PIECE :])
    assert load(link, image, BAUD) == Loaded(PIECE, size - PIECE)
    assert memory.bytes()[:size] == data
    assert not any(memory.bytes()[size:])
    request = Request(prompt=(1, 2), count=3, seed=5, noise_scale=1000)
    reads = len(memory.reads)
    tokens = [(t.token, t.position, t.last) for t in link.generate(request)]
    assert tokens == expected(request, CONFIG.n_vocab, CONFIG.n_ctx)
    assert len(memory.reads) > reads  # the core's

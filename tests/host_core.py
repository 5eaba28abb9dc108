"""A core for tests of the host link: the real generator around an answer that costs little."""

from types import SimpleNamespace

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring

from golden.generate import Request
from hdl.generator import Generator
from hdl.stream import Queue, Tags

N_VOCAB, N_CTX = 27, 16


def join_host(m: Module, device) -> None:
    """``device.host`` with ``device.core``, and with the bytes of ``device``."""
    m.submodules.core, m.submodules.host = core, host = device.core, device.host
    wiring.connect(m, wiring.flipped(device.i), host.i)
    wiring.connect(m, host.o, wiring.flipped(device.o))
    wiring.connect(m, host.requests, core.requests)
    wiring.connect(m, core.tokens, host.tokens)
    m.d.comb += [host.slot.eq(core.slot), core.abort.eq(host.abort)]


class HostCore(wiring.Component):
    """Answers a token ``latency`` cycles after it was accepted, one after the other.

    What is sampled follows from all settings of a request: :func:`expected`.
    """

    def __init__(self, streams=1, latency=5, n_vocab=N_VOCAB, n_ctx=N_CTX):
        self.plan = SimpleNamespace(n_vocab=n_vocab, n_ctx=n_ctx)
        self.schedule = SimpleNamespace(streams=streams)
        self.tags = Tags(stream=(streams - 1).bit_length(), position=4, layer=0)
        self._latency = latency
        self._generator = Generator(streams, self.tags, n_vocab, n_ctx)
        ports = self._generator.signature.members
        names = ("requests", "tokens", "abort", "slot", "idle")
        super().__init__({name: ports[name] for name in names})

    def elaborate(self, platform):
        m = Module()
        m.submodules.generator = generator = self._generator
        accept, job, done = generator.accept, generator.noise_jobs, generator.done
        wiring.connect(m, wiring.flipped(self.requests), generator.requests)
        wiring.connect(m, generator.tokens, wiring.flipped(self.tokens))
        m.submodules.jobs = jobs = Queue(job.p.shape(), 4)
        wiring.connect(m, job, jobs.i)
        wait, busy = Signal(range(self._latency + 1)), Signal()
        held = Signal(accept.p.shape())
        noise = jobs.o.p
        value = held.token * 7 + noise.position * 5 + noise.sequence * 3 + noise.seed
        value += noise.noise_scale * 11
        m.d.comb += [
            generator.abort.eq(self.abort),
            self.slot.eq(generator.slot),
            self.idle.eq(generator.idle),
            accept.ready.eq(~busy),
            done.valid.eq(busy & (wait == self._latency) & (jobs.o.valid | ~held.tag.sample)),
            done.p.token.eq(Mux(held.tag.sample, value % self.plan.n_vocab, 0)),
            done.p.tag.eq(held.tag),
            jobs.o.ready.eq(done.valid & done.ready & held.tag.sample),
        ]
        with m.If(~busy):
            m.d.sync += [held.eq(accept.p), busy.eq(accept.valid), wait.eq(0)]
        with m.Elif(wait != self._latency):
            m.d.sync += wait.eq(wait + 1)
        with m.If(done.valid & done.ready):
            m.d.sync += busy.eq(0)
        return m


def expected(request: Request, n_vocab=N_VOCAB, n_ctx=N_CTX):
    """(token, position, last) of everything that a request samples."""
    token, position, answers = request.prompt[-1], len(request.prompt) - 1, []
    while not answers or not answers[-1][2]:
        token = (
            token * 7 + position * 5 + request.sequence * 3 + request.seed
            + request.noise_scale * 11
        ) % n_vocab  # fmt: skip
        full = position + 1 >= n_ctx
        last = len(answers) + 1 >= request.count or token == request.stop or full
        answers.append((token, position, last))
        position += 1
    return answers

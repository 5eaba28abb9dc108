"""The autoregressive loop: ``golden/generate.py`` for several sequences at a time.

Prompt tokens go in one by one, then every sampled token goes back in at the next position, until
``count`` tokens, the stop token, or the end of the context.  Each sequence lives in a slot, the
``stream`` of its tags.  A slot has at most one token in the core.
"""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl import noise
from hdl.stream import Queue, Tags
from hdl.units.sample import answer_layout, token_bits

COUNT_BITS = 32
WORD = 32

FEEDBACK = 1
"""Cycles from an answer of the core to the next token at ``accept``, when no other waits there."""

TOKEN_LATENCY = 1
"""Cycles from the answer of the core to ``tokens``."""


def position_bits(tags: Tags, n_ctx: int | None) -> int:
    """Width of a position: that of the tag, or a whole word when the sequence is endless."""
    return WORD if n_ctx is None else tags.position


def request_layout(n_vocab: int, start_bits: int = 0) -> data.StructLayout:
    """One token of a prompt; what is behind ``last`` counts in the first beat only.

    ``start`` (if it has bits) is the position of the first token: keys and values of those before
    it are there already.
    """
    token = unsigned(token_bits(n_vocab))
    start = {"start": unsigned(start_bits)} if start_bits else {}
    return data.StructLayout(
        {
            "token": token,
            "first": unsigned(1),
            "last": unsigned(1),
            "count": unsigned(COUNT_BITS),
            "seed": unsigned(WORD),
            "sequence": unsigned(WORD),
            "noise_scale": unsigned(noise.SCALE_BITS),
            "stop": token,
            "has_stop": unsigned(1),
            **start,
        }
    )


def join_requests(m: Module, source, sink) -> None:
    """Connect the requests of a host to those of a core, which may know ``start``: it is 0."""
    fields = source.p.shape().members
    m.d.comb += [sink.p[name].eq(source.p[name]) for name in fields]
    m.d.comb += [sink.valid.eq(source.valid), source.ready.eq(sink.ready)]


def token_layout(n_vocab: int, tags: Tags, n_ctx: int | None) -> data.StructLayout:
    """A sampled token; ``position`` is that of the token it was sampled after."""
    return data.StructLayout(
        {
            "token": unsigned(token_bits(n_vocab)),
            "sequence": unsigned(WORD),
            "stream": unsigned(tags.stream),
            "position": unsigned(position_bits(tags, n_ctx)),
            "last": unsigned(1),
            "cycles": unsigned(COUNT_BITS),
        }
    )


class Slot:
    """The registers of one sequence."""

    def __init__(self, k: int, token: int, position: int):
        def register(name: str, width: int = 1) -> Signal:
            return Signal(width, name=f"slot{k}_{name}")

        self.used = register("used")  # a sequence lives here
        self.inside = register("inside")  # one of its tokens is in the core
        self.position = register("position", position)  # of that token, or of the last one
        self.left = register("left", COUNT_BITS)  # tokens still to be sampled
        self.final = register("final")  # the next sampled token is the last by count
        self.since = register("since", COUNT_BITS)  # when its token was accepted
        self.seed = register("seed", WORD)
        self.sequence = register("sequence", WORD)
        self.noise_scale = register("noise_scale", noise.SCALE_BITS)
        self.stop = register("stop", token)
        self.has_stop = register("has_stop")


class Generator(wiring.Component):
    """Feeds the core and takes its answers; the semantics are ``golden.generate.generate``.

    Latency: FEEDBACK cycles from an answer to the next token of its sequence at ``accept`` (sampled
    or of the prompt), TOKEN_LATENCY to ``tokens``.  Back-pressure: a held ``tokens`` or
    ``noise_jobs`` holds ``done`` and ``requests``; a held ``accept`` fills a queue with room for a
    token of every slot.  A sampled token goes before a prompt token.

    A request takes the lowest free slot, or waits; its further beats wait for the core to finish
    the token before.  The host's business (golden.generate.check_request): ``first`` and ``last``
    enclose a request, tokens are below n_vocab, a prompt ends within n_ctx, noise_scale is below
    2**15, and ``tokens`` is read while requests are written.  A count of 0 counts as 1.
    Tested: 1 to 4 streams, core latencies of 1 to 20 cycles, streams that overtake each other.

    Parameters
    ----------
    streams: slots.  tags: widths of the tags.
    n_vocab, n_ctx: as in the plan (n_ctx None: endless, and the tag's position wraps around).
    starts: a request says at which position it begins, instead of at 0.

    Members
    -------
    requests: stream of ``request_layout``.
    accept: stream of struct (token, tag), to the embedding; tag.sample asks for a sample.
    noise_jobs: stream of ``hdl.noise.job_layout``, one for every accepted token with tag.sample,
        in the order of acceptance; the core answers a token after it has taken the job.
    done: stream of struct (token, tag): the core's answer to every accepted token, in any order of
        streams; ``token`` counts when tag.sample.
    tokens: stream of ``token_layout``; ``cycles`` from the acceptance of the token to its answer,
        without those in which an answer waits because ``tokens`` was not taken.
    abort: while it is high, the next sampled token of every sequence is its last; a prompt still
        takes its beats to the one with ``last``, which may come early.
    slot: that the first beat of a request takes; its stream, once a slot is free.
    idle: no slot is in use.

    Raises
    ------
    ValueError: streams or n_ctx do not fit the tags.
    """

    def __init__(
        self, streams: int, tags: Tags, n_vocab: int, n_ctx: int | None, starts: bool = False
    ):
        if streams < 1 or streams > 1 << tags.stream:
            raise ValueError(f"{streams} streams do not fit a tag of {tags.stream} bits")
        if n_ctx is not None and not 1 <= n_ctx <= 1 << tags.position:
            raise ValueError(f"{n_ctx} positions do not fit a tag of {tags.position} bits")
        self._streams, self._tags, self._n_ctx = streams, tags, n_ctx
        self._position_bits = position_bits(tags, n_ctx)
        self._token_bits = token_bits(n_vocab)
        start_bits = self._position_bits if starts else 0
        super().__init__(
            {
                "requests": In(stream.Signature(request_layout(n_vocab, start_bits))),
                "accept": Out(stream.Signature(answer_layout(n_vocab, tags))),
                "noise_jobs": Out(stream.Signature(noise.job_layout(self._position_bits))),
                "done": In(stream.Signature(answer_layout(n_vocab, tags))),
                "tokens": Out(stream.Signature(token_layout(n_vocab, tags, n_ctx))),
                "abort": In(1),
                "slot": Out(tags.stream),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        slots = [Slot(k, self._token_bits, self._position_bits) for k in range(self._streams)]
        entering = self.accept.p.shape()
        m.submodules.entry = entry = Queue(entering, self._streams)
        m.submodules.jobs = jobs = Queue(max(self._tags.stream, 1), max(self._streams, 2))
        m.submodules.results = results = Queue(self.tokens.p.shape(), 2)
        room, waits = Signal(), Signal()
        m.d.comb += [
            waits.eq(self.done.valid & ~results.i.ready),
            room.eq(jobs.i.ready & results.i.ready),
            self.idle.eq(~Cat(slot.used for slot in slots).any()),
        ]
        now = Signal(COUNT_BITS)
        m.d.sync += now.eq(now + ~waits)
        back = self._answers(m, slots, results, room, now)
        self._prompts(m, slots, entry, jobs, room, back)
        with m.If(self.accept.valid & self.accept.ready):
            for k, slot in enumerate(slots):
                with m.If(self.accept.p.tag.stream == k):
                    m.d.sync += slot.since.eq(now)
        wiring.connect(m, entry.o, wiring.flipped(self.accept))
        waiting = _Selected(slots, jobs.o.p)
        m.d.comb += [
            self.noise_jobs.valid.eq(jobs.o.valid),
            jobs.o.ready.eq(self.noise_jobs.ready),
            *(field.eq(getattr(waiting, name)) for name, field in _fields(self.noise_jobs.p)),
        ]
        wiring.connect(m, results.o, wiring.flipped(self.tokens))
        return m

    def _answers(self, m: Module, slots, results: Queue, room: Value, now: Value) -> Signal:
        """Hands sampled tokens out; the answer is high when this one goes back in."""
        done = self.done
        sampled, last, back = Signal(), Signal(), Signal()
        slot = _Selected(slots, done.p.tag.stream)
        full = 0 if self._n_ctx is None else slot.position >= self._n_ctx - 1
        m.d.comb += [
            done.ready.eq(room),
            sampled.eq(done.valid & done.ready & done.p.tag.sample),
            last.eq(self.abort | slot.final | (slot.has_stop & (done.p.token == slot.stop)) | full),
            back.eq(sampled & ~last),
            results.i.valid.eq(sampled),
            results.i.p.token.eq(done.p.token),
            results.i.p.sequence.eq(slot.sequence),
            results.i.p.stream.eq(done.p.tag.stream),
            results.i.p.position.eq(slot.position),
            results.i.p.last.eq(last),
            results.i.p.cycles.eq(now - slot.since),
        ]
        for k, slot in enumerate(slots):
            with m.If(done.valid & done.ready & (done.p.tag.stream == k)):
                m.d.sync += slot.inside.eq(0)
                with m.If(sampled):
                    m.d.sync += [slot.left.eq(slot.left - 1), slot.final.eq(slot.left <= 2)]
                    m.d.sync += slot.used.eq(~last)
        return back

    def _prompts(self, m: Module, slots, entry: Queue, jobs: Queue, room: Value, back: Value):
        """What enters the core: the sampled token if there is one, else a token of the prompt."""
        asked, done = self.requests, self.done
        feeding, which = (Signal(self._tags.stream) for _ in range(2))
        for k in reversed(range(self._streams)):
            with m.If(~slots[k].used):
                m.d.comb += self.slot.eq(k)
        fed = _Selected(slots, feeding)
        answered = done.valid & done.ready & (done.p.tag.stream == feeding)
        open_ = Mux(asked.p.first, ~Cat(slot.used for slot in slots).all(), ~fed.inside | answered)
        position = Signal(self._position_bits)
        m.d.comb += [
            asked.ready.eq(open_ & room & ~back),
            which.eq(Mux(back, done.p.tag.stream, Mux(asked.p.first, self.slot, feeding))),
        ]
        slot = _Selected(slots, which)
        first = asked.p.first & ~back
        start = asked.p.start if "start" in asked.p.shape().members else 0
        m.d.comb += [
            position.eq(Mux(first, start, slot.position + 1)),
            entry.i.valid.eq(back | (asked.valid & asked.ready)),
            entry.i.p.token.eq(Mux(back, done.p.token, asked.p.token)),
            entry.i.p.tag.stream.eq(which),
            entry.i.p.tag.position.eq(position),
            entry.i.p.tag.sample.eq(back | asked.p.last),
            jobs.i.valid.eq(entry.i.valid & entry.i.p.tag.sample),
            jobs.i.p.eq(which),
        ]
        with m.If(entry.i.valid & first):
            m.d.sync += feeding.eq(self.slot)
        for k, slot in enumerate(slots):
            with m.If(entry.i.valid & (which == k)):
                m.d.sync += [slot.inside.eq(1), slot.position.eq(position)]
                with m.If(first):
                    m.d.sync += self._settings(slot)

    def _settings(self, slot: Slot) -> list:
        """Take over the settings of a request's first beat."""
        asked = self.requests.p
        names = ("seed", "sequence", "noise_scale", "stop", "has_stop")
        return [getattr(slot, name).eq(getattr(asked, name)) for name in names] + [
            slot.used.eq(1),
            slot.left.eq(asked.count),
            slot.final.eq(asked.count <= 1),
        ]


def _fields(view: data.View):
    return [(name, view[name]) for name in view.shape().members]


class _Selected:
    """The slot with a run-time number, to be read."""

    def __init__(self, slots: list[Slot], which: Value):
        self._slots, self._which = slots, which

    def __getattr__(self, name: str) -> Value:
        values = [getattr(slot, name) for slot in self._slots]
        return values[0] if len(values) == 1 else Array(values)[self._which]

"""hdl/generator.py against golden.generate, around a core that is played by the testbench."""

import gc
import random
from dataclasses import replace
from types import SimpleNamespace

import pytest
from amaranth.hdl import Module
from amaranth.lib import stream
from amaranth.sim import Simulator

from golden import generate
from golden.generate import Request
from hdl.generator import FEEDBACK, TOKEN_LATENCY, Generator, join_requests, request_layout
from hdl.stream import Tags
from tests.bench import Streams

N_VOCAB = 27


def answer(token, position, sequence, seed):
    """What the played core samples: everything that identifies the token counts."""
    return (token * 7 + position * 5 + sequence * 3 + seed + 1) % N_VOCAB


def golden(request, n_ctx, monkeypatch):
    """The steps of golden.generate with the played core in the place of the model."""
    monkeypatch.setattr(
        generate,
        "run_token",
        lambda plan, c, wanted: answer(c.token, c.position, c.sequence, c.seed) if wanted else None,
    )
    plan = SimpleNamespace(n_vocab=N_VOCAB, n_ctx=n_ctx)
    request = replace(request, count=max(request.count, 1))  # the hardware takes a 0 for a 1
    return list(generate.generate(plan, request))


def request_beats(request, starts=False):
    """The beats of a request; what counts in the first beat only is nonsense in the others."""
    settings = {
        "count": request.count,
        "seed": request.seed,
        "sequence": request.sequence,
        "noise_scale": request.noise_scale,
        "stop": request.stop or 0,
        "has_stop": int(request.stop is not None),
    }
    if starts:
        settings["start"] = request.start
    nonsense = dict.fromkeys(settings, 1)
    prompt = request.prompt[request.start :]
    end = len(prompt) - 1
    return [
        {"token": token, "first": int(k == 0), "last": int(k == end)}
        | (nonsense if k else settings)
        for k, token in enumerate(prompt)
    ]


class Core:
    """A core with a latency of its own for every token; streams may overtake each other."""

    def __init__(self, dut, idle, seed, latency):
        self.dut, self.idle, self.latency = dut, idle, latency
        self.rng = random.Random(seed)
        self.accepted = []  # (cycle, stream, position, token, sample)
        self.jobs = []
        self.answered = []  # cycles

    async def run(self, ctx):
        dut, rng, cycle, waiting, offered, wanted = self.dut, self.rng, 0, [], None, 0
        accept, jobs, done = dut.accept, dut.noise_jobs, dut.done
        while True:
            ctx.set(accept.ready, rng.random() >= self.idle)
            ctx.set(jobs.ready, rng.random() >= self.idle)
            due = [w for w in waiting if w[0] <= cycle and (w[2] is None or w[2] < len(self.jobs))]
            if offered is None and due:
                offered = rng.choice(due)
                waiting.remove(offered)
                ctx.set(done.p, {"token": self._token(*offered[1:]), "tag": offered[1]["tag"]})
                ctx.set(done.valid, 1)
            *_, taken, entry, made, job, gone = await ctx.tick().sample(
                accept.valid & accept.ready, accept.p, jobs.valid & jobs.ready, jobs.p, done.ready
            )
            if offered is not None and gone:
                offered = None
                self.answered.append(cycle)
                ctx.set(done.valid, 0)
            if made:
                self.jobs.append({name: int(job[name]) for name in job.shape().members})
            if taken:
                tag = {name: int(entry.tag[name]) for name in entry.tag.shape().members}
                number = wanted if tag["sample"] else None
                wanted += tag["sample"]
                delay = rng.randint(*self.latency)
                waiting.append((cycle + delay, {"token": int(entry.token), "tag": tag}, number))
                self.accepted.append(
                    (cycle, tag["stream"], tag["position"], int(entry.token), tag["sample"])
                )
                streams = [w[1]["tag"]["stream"] for w in waiting]
                streams += [offered[1]["tag"]["stream"]] if offered else []
                assert len(set(streams)) == len(streams), "two tokens of a slot in the core"
            cycle += 1

    def _token(self, entry, number):
        if number is None:
            return self.rng.randrange(N_VOCAB)  # means nothing
        job = self.jobs[number]
        width = len(self.dut.accept.p.tag.position)
        assert job["position"] % (1 << width) == entry["tag"]["position"]
        return answer(entry["token"], job["position"], job["sequence"], job["seed"])


def run(requests, streams=1, n_ctx=16, idle=0.0, latency=(1, 1), seed=1, tokens=None, starts=False):
    tags = Tags(stream=(streams - 1).bit_length(), position=4, layer=0)
    dut = Generator(streams, tags, N_VOCAB, n_ctx, starts)
    bench = Streams(dut, idle=idle, seed=seed)
    core = Core(dut, idle, seed, latency)
    beats = [beat for each in requests for beat in request_beats(each, starts)]
    fed = bench.source("requests", dut.requests, beats)
    cycles: list[int] = []
    seen = bench.sink("tokens", dut.tokens, tokens, cycles)
    bench.sim.add_testbench(core.run, background=True)
    idles = []

    async def idle_at_the_end(ctx):
        idles.append(ctx.get(dut.idle))
        while len(seen) < tokens:
            await ctx.tick()
        idles.append(ctx.get(dut.idle))

    bench.sim.add_testbench(idle_at_the_end)
    bench.run()
    assert idles == [1, 1]
    return seen, core, fed, cycles


def check(requests, monkeypatch, n_ctx=16, **options):
    """Run the requests and compare every token of every sequence with golden."""
    steps = {r.sequence: golden(r, n_ctx, monkeypatch) for r in requests}
    wanted = {
        name: [(s.sampled, s.position, s.last) for s in ss if s.sampled is not None]
        for name, ss in steps.items()
    }
    total = sum(map(len, wanted.values()))
    seen, core, fed, cycles = run(requests, n_ctx=n_ctx, tokens=total, **options)
    got = {r.sequence: [] for r in requests}
    for p in seen:
        got[int(p.sequence)].append((int(p.token), int(p.position), bool(p.last)))
    assert got == wanted
    entered = sorted((token, position % 16) for _, _, position, token, _ in core.accepted)
    assert entered == sorted((s.token, s.position % 16) for ss in steps.values() for s in ss)
    scales = {r.sequence: (r.seed, r.noise_scale) for r in requests}
    assert all((j["seed"], j["noise_scale"]) == scales[j["sequence"]] for j in core.jobs)
    assert len(core.jobs) == total
    return seen, core, fed, cycles


def some_requests(count, seed):
    rng = random.Random(seed)
    return [
        Request(
            prompt=tuple(rng.randrange(N_VOCAB) for _ in range(rng.randint(1, 6))),
            count=rng.choice((0, 1, 2, 5, 100)),
            sequence=0xFFFFFF00 + k,
            seed=rng.getrandbits(32),
            noise_scale=rng.getrandbits(15),
            stop=rng.choice((None, rng.randrange(N_VOCAB))),
        )
        for k in range(count)
    ]


@pytest.mark.parametrize("streams", [1, 2, 3, 4])
@pytest.mark.parametrize(("idle", "latency"), [(0.0, (1, 1)), (0.0, (1, 20)), (0.5, (1, 9))])
def test_matches_golden(streams, idle, latency, monkeypatch):
    requests = some_requests(12, streams)
    check(requests, monkeypatch, streams=streams, idle=idle, latency=latency)


def test_count_stop_and_context(monkeypatch):
    base = Request(prompt=(3, 1, 4), count=3, sequence=1, seed=2)
    second = golden(base, 16, monkeypatch)[3].sampled
    for request, n_ctx, length in [
        (base, 16, 3),
        (replace(base, count=0), 16, 1),
        (replace(base, count=100), 16, 14),
        (replace(base, stop=second), 16, 2),
        (replace(base, count=100, prompt=(5,) * 16), 16, 1),
        (replace(base, count=100, prompt=(5,)), 1, 1),
        (replace(base, count=40), None, 40),
    ]:
        seen, *_ = check([request], monkeypatch, n_ctx=n_ctx)
        assert len(seen) == length
        assert [int(p.last) for p in seen] == [0] * (length - 1) + [1]


@pytest.mark.parametrize("n_ctx", [16, None])
@pytest.mark.parametrize("streams", [1, 2])
def test_a_start_in_the_middle(streams, n_ctx, monkeypatch):
    requests = [
        Request((1, 2, 3, 4, 5), 3, sequence=1, start=2),
        Request((1, 2), 2, sequence=2),
        Request((7,) * 15, 20, sequence=3, start=14, seed=5),
    ]
    seen, *_ = check(requests, monkeypatch, n_ctx, streams=streams, starts=True)
    first = {int(p.sequence): int(p.position) for p in reversed(seen)}
    assert first == {1: 4, 2: 1, 3: 14}


def test_requests_of_a_host_begin_at_0():
    host, core = (stream.Signature(request_layout(N_VOCAB, bits)).create() for bits in (0, 4))
    m = Module()
    join_requests(m, host, core)
    sim = Simulator(m)
    sent = dict.fromkeys(request_layout(N_VOCAB).members, 1)

    async def look(ctx):
        ctx.set(host.p, sent)
        ctx.set(host.valid, 1)
        ctx.set(core.ready, 1)
        assert ctx.get(core.valid)
        assert ctx.get(host.ready)
        assert {name: ctx.get(core.p[name]) for name in sent} == sent
        assert ctx.get(core.p.start) == 0

    sim.add_testbench(look)
    sim.run()


def test_latency(monkeypatch):
    """The loop adds a cycle: the next token is accepted in the cycle after the answer."""
    seen, core, _, cycles = check(
        [Request(prompt=(3, 1, 4), count=8, sequence=1)], monkeypatch, latency=(5, 5)
    )
    accepted = [entry[0] for entry in core.accepted]
    assert accepted[0] == FEEDBACK
    assert [b - a for a, b in zip(core.answered, accepted[1:], strict=False)] == [FEEDBACK] * 9
    assert FEEDBACK == 1
    assert [b - a for a, b in zip(core.answered[2:], cycles, strict=True)] == [TOKEN_LATENCY] * 8
    assert [int(p.cycles) for p in seen] == [5] * 8


def test_lowest_free_slot_and_waiting(monkeypatch):
    requests = [Request(prompt=(k,), count=2 + k, sequence=k) for k in range(4)]
    seen, core, fed, _ = check(requests, monkeypatch, streams=2, latency=(6, 6))
    slots = {int(p.sequence): int(p.stream) for p in seen}
    assert slots == {0: 0, 1: 1, 2: 0, 3: 1}
    ends = {int(p.sequence): k for k, p in enumerate(seen) if p.last}
    assert fed[:2] == [0, 1]
    # The slot is free one cycle after the answer, but that cycle belongs to the other's token.
    assert fed[2] == core.answered[ends[0]] + 2
    assert fed[3] == core.answered[ends[1]] + 2


def test_the_next_request_enters_a_cycle_after_the_last_answer(monkeypatch):
    requests = [Request(prompt=(k, k), count=2, sequence=k) for k in range(2)]
    _, core, fed, _ = check(requests, monkeypatch, latency=(4, 4))
    assert core.answered[:3] == [5, 10, 15]
    assert fed == [0, 5, 16, 21]


def test_tokens_that_are_not_read_hold_the_loop():
    tags = Tags(stream=1, position=4, layer=0)
    dut = Generator(2, tags, N_VOCAB, None)
    bench = Streams(dut)
    core = Core(dut, 0.0, 1, (1, 1))
    requests = [Request(prompt=(1,), count=50, sequence=k) for k in range(2)]
    bench.source("requests", dut.requests, [b for r in requests for b in request_beats(r)])
    bench.sink("tokens", dut.tokens, 1)
    bench.sim.add_testbench(core.run, background=True)

    async def wait(ctx):
        await ctx.tick().repeat(200)

    bench.sim.add_testbench(wait)
    bench.run()
    assert len(core.answered) == 3  # one was read, two wait in the queue


@pytest.mark.parametrize("streams", [1, 2])
def test_cycles_do_not_count_how_long_tokens_are_not_read(streams):
    """A reader a hundred times slower than the core, behind a slow link: the same cycles."""
    tags = Tags(stream=1, position=4, layer=0)
    dut = Generator(streams, tags, N_VOCAB, 16)
    bench = Streams(dut)
    core = Core(dut, 0.0, 1, (7, 7))
    requests = [Request(prompt=(1, 2), count=12, sequence=k) for k in range(streams)]
    bench.source("requests", dut.requests, [b for r in requests for b in request_beats(r)])
    bench.sim.add_testbench(core.run, background=True)
    seen = []

    async def read(ctx):
        while len(seen) < 12 * streams:
            ctx.set(dut.tokens.ready, 1)
            *_, valid, token = await ctx.tick().sample(dut.tokens.valid, dut.tokens.p)
            ctx.set(dut.tokens.ready, 0)
            if valid:
                seen.append(int(token.cycles))
                await ctx.tick().repeat(700)

    bench.sim.add_testbench(read)
    bench.run()
    assert core.answered[-1] > 12 * 700 - 3 * 700  # the core waited indeed
    assert max(seen) <= 7 * streams
    if streams == 1:
        assert seen == [7] * 12


def test_abort(monkeypatch):
    """Every sequence ends with its next sampled token; the requests behind are as ever."""
    tags = Tags(stream=1, position=4, layer=0)
    dut = Generator(2, tags, N_VOCAB, 16)
    bench = Streams(dut)
    core = Core(dut, 0.0, 1, (5, 5))
    requests = [Request(prompt=(k,) * 3, count=100, sequence=k) for k in range(3)]
    bench.source("requests", dut.requests, [b for r in requests for b in request_beats(r)])
    wanted = [golden(r, 16, monkeypatch) for r in requests]
    wanted = [[s.sampled for s in steps if s.sampled is not None] for steps in wanted]
    seen = bench.sink("tokens", dut.tokens, 4 + len(wanted[2]))
    bench.sim.add_testbench(core.run, background=True)

    async def abort(ctx):
        while len(seen) < 2:
            await ctx.tick()
        ctx.set(dut.abort, 1)
        while sum(p.last for p in seen) < 2:
            await ctx.tick()
        ctx.set(dut.abort, 0)

    bench.sim.add_testbench(abort)
    bench.run()
    got = [[int(p.token) for p in seen if p.sequence == k] for k in range(3)]
    assert got == [wanted[0][:3], wanted[1][:1], wanted[2]]
    assert [bool(p.last) for p in seen].count(True) == 3


def test_a_wrong_core_is_seen(monkeypatch):
    request = Request(prompt=(3, 1, 4), count=5, sequence=1)
    wanted = [s.sampled for s in golden(request, 16, monkeypatch) if s.sampled is not None]
    monkeypatch.setitem(globals(), "answer", lambda *_: 9)
    seen, *_ = run([request], tokens=5)
    assert [int(p.token) for p in seen] == [9] * 5 != wanted


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_what_is_refused():
    for streams, n_ctx in [(0, 16), (3, 16), (1, 17), (1, 0)]:
        with pytest.raises(ValueError, match="do not fit"):
            Generator(streams, Tags(stream=1, position=4, layer=0), N_VOCAB, n_ctx)
    gc.collect()  # inside of the filter: what was refused was never elaborated

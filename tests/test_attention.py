"""hdl/units/attention.py against golden.stages.attention: answers, scores and weights."""

from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Elaboratable, Module, Signal
from amaranth.lib import wiring

from golden.layout import head_order, heads_per_beat
from golden.numbers import Block, Fixed, Vector
from golden.stage import Attention as Stage
from golden.stages import Context
from golden.stages.attention import execute
from hdl.attention_image import check as check_unit
from hdl.mac import MultiplierArray
from hdl.memory import Memories
from hdl.stream import Tags, beats
from hdl.units.attention import Attention, cycles, image
from tests.bench import Streams, assign, collected, vector_beats

TAGS = Tags(stream=1, position=32, layer=1, job=0)
FIXED = (Fixed(16, 11), Fixed(16, 11), Fixed(16, 11), Fixed(16, 11))
BLOCK = (Block(16),) * 4
DIFFERS = r" at |answer of"


def stage(n_head=4, d_head=4, slots=16, formats=FIXED) -> Stage:
    return Stage("attention", ("q", "k", "v"), "o", n_head, d_head, slots, *formats)


class Harness(Elaboratable):
    """The unit, its multipliers, and a user that takes them before it, ``greed`` of 16 cycles."""

    def __init__(self, dut: Attention, greed: int = 0):
        self.dut, self.greed = dut, greed

    def elaborate(self, platform):
        m = Module()
        lanes = len(self.dut.mul.p)
        m.submodules.dut = self.dut
        m.submodules.array = array = MultiplierArray([1, lanes])
        wiring.connect(m, self.dut.mul, array.users[1])
        noise = Signal(16, init=0xACE1)
        m.d.sync += noise.eq((noise << 1) | (noise[15] ^ noise[13] ^ noise[12] ^ noise[10]))
        m.d.comb += array.users[0].valid.eq(noise[:4] < self.greed)
        m.d.comb += [array.users[0].a[0].eq(noise.as_signed()), array.users[0].b[0].eq(-3)]
        return m


def vectors(rng, job: Stage, bits=15):
    """Random q, k and v of a token, in the formats of the stage."""
    size = job.n_head * job.d_head
    return tuple(
        Vector(
            rng.integers(-(1 << bits), 1 << bits, size),
            form.exponent if isinstance(form, Fixed) else int(rng.integers(-18, -8)),
        )
        for form in (job.query, job.key, job.value)
    )


def tokens(job, positions=6, streams=1, layers=1, seed=1, bits=13):
    """Every stream and layer in turn, position by position."""
    rng = np.random.default_rng(seed)
    return [
        ({"stream": s, "position": p, "layer": layer, "sample": p & 1}, vectors(rng, job, bits))
        for p in range(positions)
        for s in range(streams)
        for layer in range(layers)
    ]


def run(job, work, lanes=16, idle=0.0, seed=1, greed=0, streams=1, layers=1, by_layer=None,
        corrupt=None, alone=False, tags=TAGS):  # fmt: skip
    """Send ``work`` [(tag, (q, k, v))]: the answers, the taps, and when things happened."""
    words = image("attention", by_layer or [[job] * layers], lanes)
    if corrupt:
        corrupt(words)
    memories = Memories(words)
    jobs = [stages[0] for stages in by_layer or [[job]]]
    dut = Attention("attention", jobs, layers, streams, lanes, tags, memories, taps=True)
    bench = Streams(Harness(dut, greed), idle, seed)
    order = head_order(job.n_head, job.d_head, lanes)
    sent, accepted = {}, []
    for n, name in enumerate("qkv"):
        payloads = []
        for tag, token in work:
            placed = Vector(np.append(token[n].mantissa, 0)[order], token[n].exponent)
            payloads += vector_beats(placed, lanes, tag)
        sent[name] = payloads
        if not alone:
            bench.source(name, getattr(dut, name), payloads)
    if alone:
        _send_alone(bench, dut, sent, accepted)
    when: list[int] = []
    count = beats(len(order), lanes)
    seen = bench.sink("o", dut.o, len(work) * count, when)
    taps = {"scores": {}, "weights": {}}

    async def watch(ctx, name):
        tap = getattr(dut, f"{name}_tap")
        tag = tap.tag
        fields = (tag.stream, tag.position, tag.layer, tap.slot, tap.group)
        async for *_, valid, stream, position, layer, slot, group, values in ctx.tick().sample(
            tap.valid, *fields, tap.data
        ):
            if valid:
                key = (stream, position, layer, slot, group)
                taps[name].setdefault(key, []).append([int(x) for x in values])

    async def watch_scores(ctx):
        await watch(ctx, "scores")

    async def watch_weights(ctx):
        await watch(ctx, "weights")

    flags = {"saturated": 0}

    async def look(ctx):
        beats_in, inside = [s.valid & s.ready for s in (dut.q, dut.k, dut.v)], 0
        left = dut.o.valid & dut.o.ready & dut.o.p.last
        async for *_, saturated, busy, leaves, a, b, c in ctx.tick().sample(
            dut.saturated, dut.busy, left, *beats_in
        ):
            flags["saturated"] += saturated
            assert busy == (inside > 0)
            inside += a + b + c - 3 * count * leaves

    for process in (watch_scores, watch_weights, look):
        bench.sim.add_process(process)
    bench.run(100_000)
    answers = []
    for vector in collected(seen, len(order), job.format):
        logical = np.zeros(job.output_size, dtype=np.int64)
        logical[order[order >= 0]] = vector.mantissa[order >= 0]
        assert not vector.mantissa[order < 0].any(), "what fills a head is not zero"
        answers.append(Vector(logical, vector.exponent))
    return answers, seen, taps, accepted, when, flags


def _send_alone(bench, dut, sent, accepted):
    """Token by token into the empty unit, q, k and v at once; ``accepted`` lists the last beats."""

    async def send(ctx):
        bench._left["alone"] = 1
        cycle = 0
        for together in zip(sent["q"], sent["k"], sent["v"], strict=True):
            for port, payload in zip((dut.q, dut.k, dut.v), together, strict=True):
                assign(ctx, port.p, payload)
                ctx.set(port.valid, 1)
                assert ctx.get(port.ready)
            await ctx.tick()
            cycle += 1
            for port in (dut.q, dut.k, dut.v):
                ctx.set(port.valid, 0)
            if together[0]["last"]:
                accepted.append(cycle - 1)
                while ctx.get(dut.busy):
                    await ctx.tick()
                    cycle += 1
        bench._left["alone"] = 0

    bench.sim.add_testbench(send)


def golden(job, work, by_layer=None):
    """Answers and taps of the specification: (Vector, scores, weights, saturated) a token."""
    caches: dict = {}
    wanted = []
    for tag, token in work:
        cache = caches.setdefault(tag["stream"], {})
        if tag["position"] == 0:
            cache.pop((tag["layer"], job.name), None)
        context = Context(0, tag["position"], tag["stream"], layer=tag["layer"], cache=cache)
        what = by_layer[0][tag["layer"]] if by_layer else job
        answer = execute(what, context, *token)
        scores = context.taps[tag["layer"], f"{job.name}.scores"].mantissa
        weights = context.taps[tag["layer"], f"{job.name}.weights"].mantissa
        wanted.append((answer, scores, weights, bool(context.saturated)))
    return wanted


def compare(job, work, got, wanted, lanes):
    """Every score, weight and element; the first difference is named."""
    answers, seen, taps, *_ = got
    per = heads_per_beat(job.d_head, lanes)
    for name, which in (("scores", 1), ("weights", 2)):
        left = {key: list(values) for key, values in taps[name].items()}
        for (tag, _), want in zip(work, wanted, strict=True):
            for slot, row in enumerate(want[which]):
                for group in range(-(-job.n_head // per)):
                    where = (tag["stream"], tag["position"], tag["layer"], slot, group)
                    heads = row[group * per : (group + 1) * per].tolist()
                    assert left[where].pop(0)[: len(heads)] == heads, f"{name} at {where}"
        assert not any(left.values()), f"{name} that nobody asked for: {left}"
    lasts = [p for p in seen if p.last]
    for (tag, _), answer, last, want in zip(work, answers, lasts, wanted, strict=True):
        assert answer.mantissa.tolist() == want[0].mantissa.tolist(), f"answer of {tag}"
        if isinstance(job.format, Block):
            assert answer.exponent == want[0].exponent, f"exponent of {tag}"
        assert {f: int(getattr(last.tag, f)) for f in tag} == tag


def check(job, work, lanes=16, by_layer=None, **options):
    got = run(job, work, lanes, by_layer=by_layer, **options)
    wanted = golden(job, work, by_layer)
    compare(job, work, got, wanted, lanes)
    return got, wanted


@pytest.mark.parametrize("formats", [FIXED, BLOCK], ids=["fixed", "block"])
@pytest.mark.parametrize("lanes", [1, 4, 8, 16])
def test_lanes(lanes, formats):
    job = stage(formats=formats)
    check(job, tokens(job, 5, seed=lanes), lanes)


@pytest.mark.parametrize("formats", [FIXED, BLOCK], ids=["fixed", "block"])
@pytest.mark.parametrize(
    ("n_head", "d_head", "slots", "lanes", "positions"),
    [
        (4, 6, 16, 16, 3),
        (4, 6, 3, 4, 5),
        (2, 12, 5, 16, 6),
        (4, 12, 4, 4, 5),
        (4, 8, 4, 8, 6),
        (1, 4, 16, 8, 3),
        (1, 1, 1, 1, 4),
        (3, 4, 3, 16, 4),
        (3, 5, 16, 8, 3),
    ],
)
def test_shapes_and_windows(n_head, d_head, slots, lanes, positions, formats):
    job = stage(n_head, d_head, slots, formats)
    work = tokens(job, positions, seed=slots, bits=12)
    check(job, work + tokens(job, 2, seed=99), lanes, idle=0.2)


@pytest.mark.parametrize("formats", [FIXED, BLOCK], ids=["fixed", "block"])
@pytest.mark.parametrize(("lanes", "slots", "greed", "idle"), [(16, 16, 8, 0.3), (8, 3, 12, 0.0)])
def test_streams_layers_and_a_shared_array(lanes, slots, greed, idle, formats):
    job = stage(slots=slots, formats=formats)
    work = tokens(job, 4 if slots == 3 else 2, streams=2, layers=2, seed=7)
    check(job, work, lanes, greed=greed, idle=idle, streams=2, layers=2)


def test_layers_of_other_exponents():
    job = stage()
    other = replace(job, query=Fixed(16, 9), key=Fixed(16, 8), format=Fixed(16, 12))
    work = tokens(job, 4, layers=2)
    work = [
        (tag, tuple(Vector(x.mantissa, form.exponent) for x, form in zip(
            token, (what.query, what.key, what.value), strict=True)))
        for tag, token in work
        for what in ((job, other)[tag["layer"]],)
    ]  # fmt: skip
    check(job, work, layers=2, by_layer=[[job, other]])


@pytest.mark.parametrize(
    "formats",
    [
        (*FIXED[:2], Block(16), Fixed(16, 10)),
        (*BLOCK[:2], Fixed(16, 12), Block(16)),
        (Fixed(8, 6), Fixed(8, 6), Fixed(8, 5), Fixed(8, 5)),
    ],
    ids=str,
)
def test_mixed_formats(formats):
    job = stage(formats=formats)
    check(job, tokens(job, 4, bits=7 if formats[0] == Fixed(8, 6) else 13))


def _adversarial(job):
    size = job.n_head * job.d_head
    exponents = [
        form.exponent if isinstance(form, Fixed) else -6 for form in (job.query, job.key, job.value)
    ]
    rows = [
        (0, 1000, 7),
        (32767, 32767, 32767),
        (-32768, -32768, -32768),
        (-32768, 32767, -32768),
        (1, 0, 32767),
        (1000, 1000, -32768),
        (1000, 1001, 1),
        (0, -32768, -1),
    ]
    return [
        ({"stream": 0, "position": p, "layer": 0, "sample": 0},
         tuple(Vector(np.full(size, x), e) for x, e in zip(row, exponents, strict=True)))
        for p, row in enumerate(rows)
    ]  # fmt: skip


@pytest.mark.parametrize("formats", [FIXED, BLOCK], ids=["fixed", "block"])
def test_extreme_values(formats):
    job = stage(formats=formats)
    if formats == FIXED:
        job = replace(job, query=Fixed(16, 8), key=Fixed(16, 8))
    work = _adversarial(job)
    got, wanted = check(job, work)
    assert got[-1]["saturated"]
    assert any(saturated for *_, saturated in wanted)
    assert any((weights == 0).any() for _, _, weights, _ in wanted)


@pytest.mark.parametrize(
    "exponents", [(-3, 5, 60), (10, 10, -60), (-60, -60, 0), (-128, -128, 113)]
)
def test_block_exponents_far_apart(exponents):
    job = stage(2, slots=5, formats=BLOCK)
    rng = np.random.default_rng(3)
    work = []
    for tag, token in tokens(job, 7, bits=15):
        offsets = rng.integers(0, 15, 3)
        token = tuple(
            Vector(x.mantissa, max(-128, int(e - o)))
            for x, e, o in zip(token, exponents, offsets, strict=True)
        )
        work.append((tag, token))
    check(job, work, 8)


def test_nothing_saturates_quietly():
    job = stage()
    got, wanted = check(job, tokens(job, 6, bits=10))
    assert not got[-1]["saturated"]
    assert not any(saturated for *_, saturated in wanted)


@pytest.mark.parametrize("formats", [FIXED, BLOCK], ids=["fixed", "block"])
@pytest.mark.parametrize(
    ("n_head", "d_head", "lanes"), [(4, 4, 16), (3, 5, 8), (1, 12, 4), (1, 1, 1), (4, 16, 16)]
)
def test_latency(n_head, d_head, lanes, formats):
    job = stage(n_head, d_head, 4, formats)
    if isinstance(job.format, Block):
        job = replace(job, format=Fixed(16, 11))
    work = tokens(job, 6)
    got, _ = check(job, work, lanes, alone=True)
    accepted, when = got[3:5]
    count = len(when) // len(work)
    latencies = [first - last for first, last in zip(when[::count], accepted, strict=True)]
    assert latencies == [cycles(job, lanes, position) for position in range(6)]


def test_latency_of_the_default():
    assert [cycles(stage(), 16, p) for p in (0, 15)] == [2 + 28, 32 + 28]


def _flip_exp2(words):
    words["attention.exp2_0"] = [word ^ 1 << 12 for word in words["attention.exp2_0"]]


def _flip_reciprocal(words):
    words["attention.reciprocal"] = [word ^ 1 << 14 for word in words["attention.reciprocal"]]


def _flip_shift(words):
    words["attention.parameters"] = [word ^ 1 for word in words["attention.parameters"]]


@pytest.mark.parametrize("corrupt", [_flip_exp2, _flip_reciprocal, _flip_shift])
def test_a_wrong_word_is_seen(corrupt):
    job = stage(2)
    work = tokens(job, 3)
    got, wanted = run(job, work, 4, corrupt=corrupt), golden(job, work)
    with pytest.raises(AssertionError, match=DIFFERS):
        compare(job, work, got, wanted, 4)


def test_one_wrong_element_in_a_cache_is_seen():
    job = stage(2)
    work = tokens(job, 3)
    got = run(job, work, 4)
    compare(job, work, got, golden(job, work), 4)
    for which in (1, 2):  # the hardware had another key or value at position 0
        work[0][1][which].mantissa[5] ^= 1 << 11
        with pytest.raises(AssertionError, match=DIFFERS):
            compare(job, work, got, golden(job, work), 4)
        work[0][1][which].mantissa[5] ^= 1 << 11


def test_one_wrong_score_or_weight_is_seen():
    job = stage(2)
    work = tokens(job, 3)
    got, wanted = run(job, work, 4), golden(job, work)
    for name in ("scores", "weights"):
        row = got[2][name][0, 2, 0, 1, 1][0]
        row[0] ^= 1
        with pytest.raises(AssertionError, match=f"{name} at"):
            compare(job, work, got, wanted, 4)
        row[0] ^= 1


def test_two_jobs_with_caches_of_their_own():
    one = stage(2)
    two = replace(one, name="other", query=Fixed(16, 9), value=Fixed(16, 12), format=Fixed(16, 10))
    work, by_job = [], {0: one, 1: two}
    rng = np.random.default_rng(11)
    for p in range(4):
        for job, what in by_job.items():
            tag = {"stream": 0, "position": p, "layer": 0, "sample": 0, "job": job}
            work.append((tag, vectors(rng, what, 13)))
    answers, seen, *_ = run(one, work, 4, by_layer=[[one], [two]], tags=replace(TAGS, job=1))
    lasts = [p for p in seen if p.last]
    for job, what in by_job.items():
        mine = [n for n, (tag, _) in enumerate(work) if tag["job"] == job]
        wanted = golden(what, [work[n] for n in mine])
        for n, want in zip(mine, wanted, strict=True):
            assert int(lasts[n].tag.job) == job
            assert answers[n].mantissa.tolist() == want[0].mantissa.tolist(), work[n][0]


def test_bad_arguments():
    job = stage()

    def unit(*jobs, streams=1, layers=1):
        check_unit("a", jobs, layers, streams, TAGS)

    unit(job, streams=2, layers=2)
    with pytest.raises(ValueError, match="no job"):
        unit()
    with pytest.raises(ValueError, match="d_head"):
        unit(job, stage(d_head=8))
    with pytest.raises(ValueError, match="2 jobs"):
        unit(job, job)
    with pytest.raises(ValueError, match="both be Fixed or both Block"):
        unit(replace(job, key=Block(16)))
    with pytest.raises(ValueError, match="wider than a factor"):
        unit(replace(job, value=Fixed(18, 3)))
    with pytest.raises(ValueError, match="3 layers"):
        unit(job, layers=3)
    with pytest.raises(ValueError, match="3 streams"):
        unit(job, streams=3)
    with pytest.raises(ValueError, match="would shift left"):
        image("a", [[replace(job, query=Fixed(16, 1), key=Fixed(16, 1))]], 16)
    with pytest.raises(ValueError, match="would shift left"):
        image("a", [[replace(job, value=Fixed(16, 0), format=Fixed(16, 15))]], 16)

"""hdl/units/sample.py and hdl/noise.py against golden, and golden against exact softmax."""

import gc

import numpy as np
import pytest
from amaranth.hdl import Elaboratable, Module
from amaranth.lib import wiring

from golden import noise as golden_noise
from golden.noise import noise_scale
from golden.numbers import Block, Fixed, Vector, round_half_even
from golden.stage import Sample as Stage
from golden.stages import Context
from golden.stages.sample import GUARD, execute, scaled_noise
from hdl.mac import MultiplierArray, Multiply
from hdl.memory import Memories
from hdl.noise import Noise, default_size
from hdl.stream import Tags, beats
from hdl.units.sample import Sample, image, latency, noise_name
from tests.bench import Streams, vector_beats

FORM = Fixed(16, 11)
TAGS = Tags(stream=2, position=12, layer=0)


def stage(n_vocab, form=FORM):
    return Stage("sample", ("logits",), "token", n_vocab, form)


def context(position, scale, seed=5, sequence=3):
    return Context(0, position, sequence, seed, scale)


def golden(n_vocab, logits, contexts):
    return [
        int(execute(stage(n_vocab), c, Vector(x, FORM.exponent)).mantissa[0])
        for x, c in zip(logits, contexts, strict=True)
    ]


def logit_beats(logits, contexts, lanes):
    return [
        b
        for x, c in zip(logits, contexts, strict=True)
        for b in vector_beats(
            Vector(np.asarray(x), FORM.exponent),
            lanes,
            {"position": c.position % 4096, "stream": c.position % 4, "sample": 1},
        )
    ]


def run(n_vocab, lanes, logits, contexts, idle=0.0, seed=1, junk=False):
    """The unit alone, with golden's noise: (tokens, cycles of logits, cycles of tokens)."""
    dut = Sample("sample", [stage(n_vocab)], 1, lanes, TAGS, Memories())
    bench = Streams(dut, idle=idle, seed=seed)
    payloads = logit_beats(logits, contexts, lanes)
    added = [
        b
        for c in contexts
        for b in vector_beats(Vector(scaled_noise(stage(n_vocab), c), 0), lanes, {})
    ]
    past = n_vocab % lanes
    if junk and past:  # what fills the last beat must not matter
        for b in payloads:
            if b["last"]:
                b["data"][past:] = [32767] * (lanes - past)
    accepted = bench.source("i", dut.i, payloads)
    bench.source("noise", dut.noise, added)
    cycles: list[int] = []
    seen = bench.sink("o", dut.o, len(logits), cycles)
    bench.run()
    assert [int(p.tag.position) for p in seen] == [c.position % 4096 for c in contexts]
    assert [int(p.tag.stream) for p in seen] == [c.position % 4 for c in contexts]
    return [int(p.token) for p in seen], accepted, cycles


class Sampler(Elaboratable):
    """Noise and Sample as in a core, the multipliers shared with a user that goes first."""

    def __init__(self, n_vocab, lanes, depth, words):
        memories = Memories(words)
        self.noise = Noise(noise_name("sample"), n_vocab, lanes, 12, depth, memories)
        self.sample = Sample("sample", [stage(n_vocab)], 1, lanes, TAGS, memories)
        self.user = Multiply(lanes).create()
        self.array = MultiplierArray([lanes, default_size(lanes).bank.multipliers])

    def elaborate(self, platform):
        m = Module()
        m.submodules.noise, m.submodules.sample = self.noise, self.sample
        m.submodules.array = self.array
        wiring.connect(m, self.user, self.array.user0)
        wiring.connect(m, self.noise.mul, self.array.user1)
        wiring.connect(m, self.noise.o, self.sample.noise)
        return m


def run_sampler(n_vocab, lanes, logits, contexts, words=None, idle=0.0, free=4, depth=None):
    """Tokens of the whole sampler; the other user leaves every ``free``-th cycle."""
    words = words or image("sample", [[stage(n_vocab)]], lanes)
    dut = Sampler(n_vocab, lanes, depth or n_vocab, words)
    bench = Streams(dut, idle=idle, seed=2)
    names = ("position", "seed", "sequence", "noise_scale")
    jobs = [{name: getattr(c, name) for name in names} for c in contexts]
    bench.source("jobs", dut.noise.jobs, jobs)
    bench.source("logits", dut.sample.i, logit_beats(logits, contexts, lanes))
    seen = bench.sink("tokens", dut.sample.o, len(logits))

    async def user(ctx):
        cycle = 0
        while True:
            ctx.set(dut.user.valid, cycle % free != 0)
            await ctx.tick()
            cycle += 1

    bench.sim.add_testbench(user, background=True)
    bench.run()
    return [int(p.token) for p in seen]


@pytest.mark.parametrize("lanes", [1, 2, 4, 8])
@pytest.mark.parametrize(("n_vocab", "idle"), [(27, 0.3), (32, 0.0), (33, 0.3), (3, 0.3), (1, 0.0)])
def test_matches_golden(n_vocab, lanes, idle):
    rng = np.random.default_rng(n_vocab)
    scales = [noise_scale(t) for t in (0, 1 / 64, 0.5, 1, 8)] * 2
    contexts = [context(k, scale) for k, scale in enumerate(scales)]
    logits = [rng.integers(-3000, 3000, n_vocab) for _ in contexts]
    tokens, *_ = run(n_vocab, lanes, logits, contexts, idle=idle, junk=True)
    assert tokens == golden(n_vocab, logits, contexts)


@pytest.mark.parametrize("lanes", [1, 8])
def test_a_thousand_words(lanes):
    rng = np.random.default_rng(7)
    contexts = [context(0, 0), context(1, noise_scale(1.0))]
    logits = [rng.integers(-32768, 32768, 1000) for _ in contexts]
    tokens, *_ = run(1000, lanes, logits, contexts)
    assert tokens == golden(1000, logits, contexts)


@pytest.mark.parametrize("lanes", [1, 2, 4, 8])
def test_ties_and_extremes(lanes):
    """Two equal maxima at every pair of places; then vectors without a difference."""
    n_vocab = 11
    logits = []
    for a in range(n_vocab):
        for b in range(a + 1, n_vocab):
            x = np.full(n_vocab, -5)
            x[[a, b]] = 17
            logits.append(x)
    logits += [np.full(n_vocab, value) for value in (0, 1, -1, 32767, -32768)]
    for k in range(n_vocab):
        x = np.full(n_vocab, -32768)
        x[k] = 32767
        logits += [x, -1 - x]
    contexts = [context(k, 0) for k in range(len(logits))]
    tokens, *_ = run(n_vocab, lanes, logits, contexts, junk=True)
    assert tokens == [int(np.argmax(x)) for x in logits] == golden(n_vocab, logits, contexts)


@pytest.mark.parametrize(("lanes", "cycles_wanted"), [(1, 1), (2, 2), (4, 2), (8, 3), (16, 3)])
def test_latency_and_throughput(lanes, cycles_wanted):
    contexts = [context(k, 0) for k in range(3)]
    logits = [np.arange(64) for _ in contexts]
    tokens, accepted, cycles = run(64, lanes, logits, contexts)
    count = beats(64, lanes)
    assert tokens == [63] * 3
    assert latency(lanes) == cycles_wanted
    last = accepted[count - 1 :: count]
    assert [b - a for a, b in zip(last, cycles, strict=True)] == [latency(lanes)] * 3
    assert set(np.diff(accepted)) == {1}


@pytest.mark.parametrize("lanes", [1, 4])
def test_sampler_with_a_greedy_user(lanes):
    rng = np.random.default_rng(lanes)
    scales = [noise_scale(t) for t in (1, 0, 0.5, 8, 1 / 64, 0, 1)]
    contexts = [context(k, scale) for k, scale in enumerate(scales)]
    logits = [rng.integers(-3000, 3000, 27) for _ in contexts]
    tokens = run_sampler(27, lanes, logits, contexts, idle=0.3, free=7, depth=2)
    assert tokens == golden(27, logits, contexts)


def test_many_draws():
    logits = np.random.default_rng(3).integers(-2000, 2000, 27)
    contexts = [context(k, noise_scale(1.0), seed=11) for k in range(100)]
    tokens = run_sampler(27, 4, [logits] * 100, contexts, free=2)
    assert tokens == golden(27, [logits] * 100, contexts)
    assert len(set(tokens)) > 10


def test_a_corrupted_table_is_seen():
    words = {name: list(values) for name, values in image("sample", [[stage(27)]], 2).items()}
    words["sample.noise.gumbel0"][:] = [word ^ 1 << 22 for word in words["sample.noise.gumbel0"]]
    contexts = [context(k, noise_scale(1.0)) for k in range(12)]
    logits = [np.zeros(27, dtype=np.int64)] * 12
    tokens = run_sampler(27, 2, logits, contexts, words=words)
    assert tokens != golden(27, logits, contexts)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_what_is_refused():
    for jobs, lanes, why in [
        ([], 2, "no job"),
        ([stage(27)] * 2, 2, "one job"),
        ([stage(27, Block(16))], 2, "Fixed"),
        ([stage(27)], 3, "power of two"),
    ]:
        with pytest.raises(ValueError, match=why):
            Sample("sample", jobs, 1, lanes, TAGS, Memories())
    gc.collect()  # inside of the filter: what was refused was never elaborated


def draws(logits, temperature, count, seed=1, chunk=1000):
    """Golden's samples at the positions below ``count``, many positions at a time."""
    pairs = np.arange((len(logits) + 1) // 2, dtype=np.uint32)
    fraction = golden_noise.TEMPERATURE_FRACTION + golden_noise.tables.GUMBEL_FRACTION
    shift = fraction - GUARD - FORM.fraction
    tokens = []
    for start in range(0, count, chunk):
        positions = np.arange(start, min(start + chunk, count), dtype=np.uint32)
        counter = np.stack(np.broadcast_arrays(positions[:, None], pairs), axis=-1)
        words = golden_noise.threefry2x32(np.array([seed, 0], dtype=np.uint32), counter)
        words = words.reshape(len(positions), -1)[:, : len(logits)]
        product = golden_noise.gumbel_noise(words) * noise_scale(temperature)
        tokens += list(np.argmax((logits << GUARD) + round_half_even(product, shift), axis=1))
    return np.array(tokens)


def softmax(logits, temperature):
    x = np.ldexp(logits.astype(np.float64), FORM.exponent) / temperature
    e = np.exp(x - x.max())
    return e / e.sum()


def excess(counts, probabilities):
    """Standard deviations by which chi-square exceeds its mean (Wilson and Hilferty, 1931)."""
    expected = probabilities * counts.sum()
    chi, df = np.sum((counts - expected) ** 2 / expected), len(counts) - 1
    return ((chi / df) ** (1 / 3) - 1 + 2 / (9 * df)) / np.sqrt(2 / (9 * df))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 8.0])
def test_distribution_of_27_words(temperature):
    logits = np.random.default_rng(1).integers(-2500, 2500, 27)
    tokens = draws(logits, temperature, 50_000, chunk=10_000)
    contexts = [context(k, noise_scale(temperature), seed=1, sequence=0) for k in range(20)]
    assert tokens[:20].tolist() == golden(27, [logits] * 20, contexts)
    counts = np.bincount(tokens, minlength=27)
    assert abs(excess(counts, softmax(logits, temperature))) < 3.5
    assert excess(counts, softmax(logits, temperature * 2)) > 6  # the test can tell


def test_distribution_of_49152_words():
    """Words pooled by rank into 16 bins of about the same probability."""
    logits = np.random.default_rng(2).normal(0, 3000, 49152).astype(np.int64)
    logits = np.clip(logits, -32768, 32767)
    tokens = draws(logits, 1.0, 1000, chunk=20)
    p = softmax(logits, 1.0)
    order = np.argsort(p)
    bins = np.empty(len(p), dtype=np.int64)
    bins[order] = np.minimum(np.cumsum(p[order]) * 16, 15).astype(np.int64)
    pooled = np.bincount(bins[tokens], minlength=16)
    assert abs(excess(pooled, np.bincount(bins, weights=p, minlength=16))) < 3.5
    wrong = softmax(logits, 1.3)
    assert excess(pooled, np.bincount(bins, weights=wrong, minlength=16)) > 6

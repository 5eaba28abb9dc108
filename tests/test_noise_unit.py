"""hdl/noise.py against golden.stages.sample.scaled_noise."""

import gc
import random

import numpy as np
import pytest
from amaranth.hdl import Elaboratable, Module
from amaranth.lib import wiring

from golden.noise import noise_scale
from golden.numbers import Fixed
from golden.stage import Sample
from golden.stages import Context
from golden.stages.sample import scaled_noise
from hdl.gumbel import Bank
from hdl.mac import MultiplierArray, Multiply
from hdl.memory import Memories
from hdl.noise import GREEDY_LATENCY, NOISE, Noise, Size, default_size, image
from hdl.stream import beats
from tests.bench import Streams, collected

FORM = Fixed(16, 11)


class Shared(Elaboratable):
    """A Noise behind a user that may take every cycle of its multipliers."""

    def __init__(self, noise: Noise):
        self.noise = noise
        self.user = Multiply(noise.mul.signature.lanes).create()
        self.array = MultiplierArray([noise.mul.signature.lanes] * 2)

    def elaborate(self, platform):
        m = Module()
        m.submodules.noise, m.submodules.array = self.noise, self.array
        wiring.connect(m, self.user, self.array.user0)
        wiring.connect(m, self.noise.mul, self.array.user1)
        return m


def stage(n_vocab, form=FORM):
    return Sample("sample", ("logits",), "token", n_vocab, form)


def job(position=0, seed=1, sequence=0, scale=2839):
    return {"position": position, "seed": seed, "sequence": sequence, "noise_scale": scale}


def golden(n_vocab, jobs, form=FORM):
    return [
        scaled_noise(
            stage(n_vocab, form),
            Context(0, j["position"], j["sequence"], j["seed"], j["noise_scale"]),
        ).tolist()
        for j in jobs
    ]


def run(
    n_vocab, lanes, jobs, form=FORM, idle=0.0, seed=1, size=None, depth=None, busy=0.0, words=None
):
    """(noise by job, beats, cycles of jobs taken, cycles of beats, products granted)."""
    words = words or image("noise", stage(n_vocab, form), lanes)
    count = beats(n_vocab, lanes)
    noise = Noise("noise", n_vocab, lanes, 32, depth or n_vocab + 16, Memories(words), size)
    dut = Shared(noise)
    bench = Streams(dut, idle=idle, seed=seed)
    taken = bench.source("jobs", noise.jobs, jobs)
    cycles: list[int] = []
    seen = bench.sink("o", noise.o, count * len(jobs), cycles)
    granted = []

    async def user(ctx):
        rng = random.Random(seed)
        async for *_, used in ctx.tick().sample(noise.mul.valid & noise.mul.ready):
            granted.append(used)
            ctx.set(dut.user.valid, rng.random() < busy)

    bench.sim.add_testbench(user, background=True)
    bench.run()
    got = [vector.mantissa.tolist() for vector in collected(seen, n_vocab, NOISE)]
    return got, seen, taken, cycles, sum(granted)


@pytest.mark.parametrize("lanes", [1, 2, 4, 8])
@pytest.mark.parametrize("n_vocab", [1, 27, 32, 45])
def test_matches_golden(n_vocab, lanes):
    jobs = [job(3, 7, 9), job(4, 7, 9, scale=0), job(2**32 - 1, 2**32 - 1, 2**32 - 1, scale=32767)]
    got, seen, *_ = run(n_vocab, lanes, jobs, idle=0.2)
    assert got == golden(n_vocab, jobs)
    assert [int(p.last) for p in seen] == ([0] * (beats(n_vocab, lanes) - 1) + [1]) * len(jobs)
    padding = [int(x) for p in seen if p.last for x in p.data][: lanes * len(jobs)]
    past = n_vocab % lanes
    assert not past or not any(padding[past:lanes])


@pytest.mark.parametrize("fraction", [18, 17, 12, 9, 0, -20])
def test_formats(fraction):
    jobs = [job(k, scale=scale) for k, scale in enumerate((1, 44, 2839, 22713, 32767))]
    got, *_ = run(27, 4, jobs, Fixed(16, fraction))
    assert got == golden(27, jobs, Fixed(16, fraction))


SIZES = [
    (1, Size(Bank(1, 1, 1), 10)),
    (1, Size(Bank(1, 4, 8), 10)),
    (2, Size(Bank(2, 2, 4), 2, 10)),
    (4, Size(Bank(2, 4, 4), 2, 10)),
    (4, Size(Bank(2, 8, 8), 2, 10)),
    (8, Size(Bank(2, 8, 16), 2, 10)),
    (4, Size(Bank(2, 8, 16), 2, 2)),
]


def by_name(value):
    bank = getattr(value, "bank", None)
    return bank and f"{bank.beat}x{bank.beats}on{bank.multipliers}-{value.rounds}x{value.stages}"


@pytest.mark.parametrize(("lanes", "size"), SIZES, ids=by_name)
@pytest.mark.parametrize("busy", [0.5, 0.97])
def test_starved(lanes, size, busy):
    jobs = [job(k, scale=noise_scale(1.0) * (k % 3 != 1)) for k in range(5)]
    got, *_ = run(27, lanes, jobs, busy=busy, idle=0.5, depth=1, size=size)
    assert got == golden(27, jobs)


@pytest.mark.parametrize(("lanes", "size"), SIZES, ids=by_name)
def test_latency_and_throughput(lanes, size):
    _, _, _, cycles, _ = run(64, lanes, [job()], size=size)
    narrow = size.bank.beat
    gathered = max(lanes // narrow - 1, 0) * size.interval  # the rest of the first beat at ``o``
    queued = lanes > narrow
    assert size.latency <= cycles[0] - queued <= size.latency + gathered
    assert cycles[-1] <= size.cycles(64) + queued
    assert cycles[-1] - cycles[0] >= (64 - 2 * size.bank.width) / narrow * size.interval / 2


def test_latency_of_the_smallest():
    *_, cycles, granted = run(32, 2, [job()])
    assert cycles[0] == default_size(2).latency == 11 + 9 + 2
    assert set(np.diff(cycles)) == {10}
    assert granted == 2 * 16


def test_a_product_for_both_uses():
    """With twice the multipliers a busy array interpolates one group while it scales another."""
    size = Size(Bank(2, 8, 16), 2, 10)
    *_, granted = run(64, 4, [job()], size=size, busy=0.9)
    assert granted <= 8 + 4
    assert run(64, 4, [job()], size=Size(Bank(2, 8, 8), 2, 10))[-1] == 2 * 8


def test_greedy_needs_nothing():
    _, _, taken, cycles, granted = run(32, 4, [job(scale=0)] * 2, busy=1.0)
    assert cycles[0] == GREEDY_LATENCY + 2 == 4
    assert np.diff(cycles).tolist() == [2] * 15
    assert taken == [15, 31]
    assert granted == 0


def test_many_draws_match():
    jobs = [job(k, seed=k // 10, sequence=k % 10, scale=noise_scale(1.0)) for k in range(20)]
    got, *_ = run(27, 8, jobs, size=Size(Bank(2, 4, 8), 10, 2))
    assert got == golden(27, jobs)


def test_a_corrupted_table_word_is_seen():
    jobs = [job(k) for k in range(20)]
    words = {name: list(values) for name, values in image("noise", stage(27), 2).items()}
    used = 16  # side 0, octave 1: one of sixteen values of u below 1/2
    for k in range(16):
        words["noise.gumbel1"][used + k] ^= 1 << 19
    got, *_ = run(27, 2, jobs, words=words)
    want = golden(27, jobs)
    wrong = {i for a, b in zip(got, want, strict=True) for i in range(27) if a[i] != b[i]}
    assert wrong
    assert all(i % 2 for i in wrong)  # only the lane of the corrupted table


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_what_is_refused():
    with pytest.raises(ValueError, match="power of two"):
        Noise("noise", 27, 3, 8, 4, Memories())
    with pytest.raises(ValueError, match="depth"):
        Noise("noise", 27, 2, 8, 0, Memories())
    with pytest.raises(ValueError, match="beats of 2 ids do not suit 1 lanes"):
        Noise("noise", 27, 1, 8, 4, Memories(), default_size(4))
    with pytest.raises(ValueError, match="1, 2 or 4 beats"):
        Bank(2, 6, 6)
    with pytest.raises(ValueError, match="twice as many"):
        Bank(2, 4, 6)
    with pytest.raises(ValueError, match="noise shift of -1"):
        image("noise", stage(27, Fixed(16, 19)), 2)
    gc.collect()  # inside of the filter: what was refused was never elaborated

"""hdl/requantise.py against golden.numbers.requantise."""

import numpy as np
import pytest

from golden.numbers import Block, Fixed, Vector, requantise
from hdl.requantise import Requantise, latency
from hdl.stream import Tags, beats
from tests.bench import Streams, collected, vector_beats

TAGS = Tags(stream=1, position=4, layer=0)


def run(form, wides, lanes, width, left=False, idle=0.0, seed=1, scales=None):
    size = len(wides[0].mantissa)
    dut = Requantise(lanes, width, form, TAGS, depth=64, left=left)
    bench = Streams(dut, idle=idle, seed=seed)
    payloads = []
    for n, wide in enumerate(wides):
        vector = vector_beats(wide, lanes, {"position": n % 16, "stream": n & 1})
        payloads.extend(b | {"scale": scales[n]} for b in vector)
    accepted = bench.source("i", dut.i, payloads)
    cycles: list[int] = []
    seen = bench.sink("o", dut.o, len(wides) * beats(size, lanes), cycles)
    bench.run()
    return collected(seen, size, form), seen, accepted, cycles


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("idle", [0.0, 0.4])
@pytest.mark.parametrize("form", [Fixed(16, 9), Block(16)])
def test_matches_golden(form, lanes, idle):
    rng = np.random.default_rng(5)
    wides = [
        Vector(rng.integers(-(2**bits), 2**bits, 7), int(rng.integers(-20, 3)))
        for bits in (3, 10, 15, 16, 17, 24, 33)
    ]
    wides.append(Vector(np.array([32767 * 2 + 1, 0, 1, -65536, 3, 5, -7]), -12))
    wides.append(Vector(np.zeros(7, dtype=np.int64), -5))
    wides[0] = Vector(wides[0].mantissa, -9)  # a shift of zero
    wides = [w if w.exponent <= -9 or form == Block(16) else Vector(w.mantissa, -11) for w in wides]
    scales = [w.exponent if form == Block(16) else form.exponent - w.exponent for w in wides]
    got, seen, *_ = run(form, wides, lanes, 36, idle=idle, scales=scales)
    for wide, vector in zip(wides, got, strict=True):
        want = requantise(wide.mantissa, wide.exponent, form)
        assert vector.exponent == want.exponent
        assert vector.mantissa.tolist() == want.mantissa.tolist()
    assert [int(p.tag.position) for p in seen if p.last] == list(range(len(wides)))


def test_left_shift():
    wides = [Vector(np.array([1, -1, 30000, -32768]), e) for e in (0, -3, -12, -25, -31)]
    form = Fixed(32, 20)
    scales = [form.exponent - w.exponent for w in wides]
    got, *_ = run(form, wides, 2, 16, left=True, scales=scales)
    for wide, vector in zip(wides, got, strict=True):
        assert vector.mantissa.tolist() == requantise(*wide, form).mantissa.tolist()


@pytest.mark.parametrize("form", [Fixed(16, 9), Block(16)])
def test_latency(form):
    wides = [Vector(np.arange(4) * 1000, -12)]
    scale = 3 if isinstance(form, Fixed) else -12
    _, _, accepted, cycles = run(form, wides, 4, 30, scales=[scale])
    assert cycles[0] - accepted[0] == latency(form) == (3 if isinstance(form, Block) else 2)


def test_a_changed_element_is_seen():
    wides = [Vector(np.array([100, 200, 300, 400]), -12)]
    got, *_ = run(Fixed(16, 9), wides, 4, 30, scales=[3])
    wides[0].mantissa[2] += 16
    assert got[0].mantissa.tolist() != requantise(*wides[0], Fixed(16, 9)).mantissa.tolist()

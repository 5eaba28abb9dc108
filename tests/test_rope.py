"""hdl/units/rope.py and hdl/rotation.py against golden/stages/rope.py."""

from dataclasses import replace

import numpy as np
import pytest

from golden.layout import head_order
from golden.numbers import Block, Vector
from golden.stage import Rope
from golden.stages import Context
from golden.stages.rope import execute, rotation
from hdl import rotation as rotations
from hdl.memory import Memories
from hdl.stream import beats
from hdl.units import rope
from hdl.weights import Order
from tests.units import TAGS, check, drive, refused

BFP = Block(16)


def turns(d_head, theta=10000.0):
    slopes = theta ** (-np.arange(0, d_head, 2) / d_head)
    return np.rint(slopes / (2 * np.pi) * 2**32).astype(np.int64)


def stage(n_head, d_head, name="rope", theta=10000.0):
    return Rope(name, ("x",), "y", n_head, d_head, turns(d_head, theta), BFP, BFP)


def order_of(s, lanes):
    """Heads padded as attention of so many lanes reads them."""
    return Order(tuple(int(p) for p in head_order(s.n_head, s.d_head, lanes)), ())


def build(jobs, lanes, padded=None, corrupt=None):
    order = order_of(jobs[0][0], padded or lanes)
    orders = [order] * len(jobs)
    image = rope.image("r", jobs, lanes, orders)
    for memory, address, flip in corrupt or ():
        image[memory][address] ^= flip
    layers = max(len(stages) for stages in jobs)
    templates = [stages[0] for stages in jobs]
    return rope.Rope("r", templates, layers, lanes, TAGS, Memories(image), orders), order


def vectors(size, count, seed=3):
    rng = np.random.default_rng(seed)
    rows = [np.full(size, -32768), np.full(size, 32767), np.zeros(size, np.int64)]
    rows += [rng.integers(-(2**b), 2**b, size) for b in rng.integers(1, 16, count)]
    return [Vector(row.astype(np.int64), int(rng.integers(-30, 4))) for row in rows[:count]]


def scattered(x, order):
    """A vector in the order of places."""
    rows = np.array(order.rows)
    return Vector(np.where(rows < 0, 0, x.mantissa[np.maximum(rows, 0)]), x.exponent)


def run(s, lanes, count=5, padded=None, corrupt=None, positions=None, **options):
    unit, order = build([[s]], lanes, padded, corrupt)
    xs = vectors(s.output_size, count)
    positions = positions or [n // 2 % 16 for n in range(count)]
    tags = [{"stream": n & 1, "position": p} for n, p in enumerate(positions)]
    size = len(order.rows)
    sent = [scattered(x, order) for x in xs]
    got, seen, accepted, cycles, notes = drive(unit, {"i": sent}, tags, lanes, size, BFP, **options)
    answers = [execute(s, Context(0, p), x) for p, x in zip(positions, xs, strict=True)]
    check(got, [scattered(y, order) for y in answers], seen, tags)
    assert not notes["saturated"]
    return accepted["i"], cycles


@pytest.mark.parametrize(
    ("n_head", "d_head", "lanes"),
    [(4, 4, 2), (3, 6, 2), (3, 6, 8), (1, 2, 2), (1, 2, 16), (2, 12, 4), (2, 12, 16), (5, 2, 8),
     (3, 10, 4)],
)  # fmt: skip
def test_matches_golden(n_head, d_head, lanes):
    run(stage(n_head, d_head), lanes)


@pytest.mark.parametrize("padded", [1, 2, 8])
def test_the_order_of_an_attention_of_other_lanes(padded):
    run(stage(3, 6), 4, padded=padded)


@pytest.mark.parametrize("greed", [0.3, 0.9])
@pytest.mark.parametrize("lanes", [2, 8])
def test_stalls_and_a_contended_array(lanes, greed):
    run(stage(3, 4), lanes, idle=0.4, greed=greed, seed=lanes)


def test_a_context_of_one():
    s, order = stage(2, 4), order_of(stage(2, 4), 4)
    tags = replace(TAGS, position=0)
    image = rope.image("r", [[s]], 4, [order])
    unit = rope.Rope("r", [s], 1, 4, tags, Memories(image), [order])
    (x,) = vectors(s.output_size, 1)
    got, *_ = drive(unit, {"i": [scattered(x, order)]}, [{}], 4, len(order.rows), BFP)
    want = scattered(execute(s, Context(0, 0), x), order)
    assert got[0].mantissa.tolist() == want.mantissa.tolist()


def test_every_position():
    run(stage(2, 4), 4, count=16, positions=list(range(16)))


def test_latency_and_a_new_position():
    s, position = stage(2, 4), 11
    accepted, cycles = run(s, 8, count=2, positions=[position, position])
    pairs = 4  # two heads a beat, two pairs each
    first = rotations.cycles(pairs, position)
    assert cycles[0] - accepted[0] == first + rope.latency(s)
    assert cycles[1] - max(accepted[1], cycles[0]) <= rope.latency(s)


def test_throughput_is_a_beat_a_cycle():
    s = stage(4, 8)
    accepted, _ = run(s, 4, count=8, positions=[3] * 8)
    count = beats(s.output_size, 4)
    assert accepted[-1] - accepted[-count] == count - 1


@pytest.mark.parametrize(("memory", "address", "flip"), [
    ("r.turns", 1, 1 << 29), ("r.sine", 0, 1 << 24),
])  # fmt: skip
def test_a_wrong_bit_is_seen(memory, address, flip):
    with pytest.raises(AssertionError):
        run(stage(2, 8), 8, count=16, positions=list(range(16)),
            corrupt=[(memory, address, flip)])  # fmt: skip


def test_angles_are_those_of_float64():
    s = stage(1, 64, theta=100_000.0)
    for position in (0, 1, 100, 8191):
        angle = position * 100_000.0 ** (-np.arange(0, 64, 2) / 64)
        cos, sin = rotation(s, position)
        assert np.abs(cos / 2**15 - np.cos(angle)).max() < 5e-5
        assert np.abs(sin / 2**15 - np.sin(angle)).max() < 5e-5


def test_refusals():
    s = stage(2, 4)
    refused(
        "hold no pair",
        lambda: rope.Rope("r", [s], 1, 1, TAGS, Memories({}), [order_of(s, 1)]),
    )
    other = [[s], [stage(2, 4, "other", theta=50.0)]]
    with pytest.raises(ValueError, match="other turns otherwise than rope"):
        build(other, 4)
    jobs = [s, stage(2, 4)]
    orders = [order_of(s, 4), order_of(s, 8)]
    orders[1] = Order(orders[1].rows[::-1], ())
    refused(
        "different orders",
        lambda: rope.Rope("r", jobs, 1, 4, TAGS, Memories({}), orders),
    )

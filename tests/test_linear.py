# amaranth: UnusedElaboratable=no
"""hdl/units/linear.py against golden/stages/linear.py."""

from itertools import pairwise

import numpy as np
import pytest

from golden.numbers import Block, Fixed, Vector
from golden.stage import Exponent, Linear
from golden.stages import Context
from golden.stages.linear import execute
from hdl import adder, mac, requantise
from hdl.memory import Memories
from hdl.stream import Tags
from hdl.units import linear
from hdl.weights import Order, weight_words
from tests.bench import Streams, assign, collected, vector_beats
from tests.test_weights import feed
from tests.units import TAGS, OnArray, check, rival, watch

Q10, Q11, BFP = Fixed(16, 10), Fixed(16, 11), Block(16)


def stage(outputs, inputs, source=Q10, form=Q11, bits=8, seed=1, exponent=-7):
    rng = np.random.default_rng([seed, outputs, inputs])
    weights = rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), (outputs, inputs))
    return Linear(f"s{seed}", ("x",), "y", weights, bits, Exponent(exponent), source, form)


def vectors(s, count, seed=3):
    """Zero, the largest, then vectors of every magnitude."""
    rng, size = np.random.default_rng(seed), s.weights.shape[1]
    rows = [np.zeros(size, np.int64), np.full(size, -32768)]
    while len(rows) < count:
        top = 2 ** rng.integers(1, 16)
        rows.append(rng.integers(-top, top, size))
    static = isinstance(s.source, Fixed)
    exponents = [s.source.exponent if static else int(rng.integers(-24, -2)) for _ in rows]
    return [Vector(row, exponent) for row, exponent in zip(rows, exponents, strict=True)][:count]


class Bench:
    """A unit of ``jobs`` [job][layer] on its array; :meth:`run` sends (job, layer, vector)."""

    def __init__(self, jobs, lanes, rows, kind="rom", orders=None, tags=TAGS, flip=None, **options):
        self.jobs, self.rows, self.orders = jobs, rows, orders
        image = linear.image("l", jobs, lanes, rows, orders)
        for memory, address, bit in flip or ():
            image[memory][address] ^= 1 << bit
        layers = [len(stages) for stages in jobs]
        templates = [stages[0] for stages in jobs]
        memories = Memories(image, wires=kind == "wires")
        self.unit = linear.Linear("l", templates, layers, lanes, rows, tags, memories, kind, orders)
        self.image, self.shapes, self.lanes, self.kind = image, memories.shapes, lanes, kind
        self.idle, self.greed = options.get("idle", 0.0), options.get("greed", 0.0)
        self.seed = options.get("seed", 1)

    def want(self, job, layer, vector):
        """The golden answer, filled with zeros to whole beats; and whether it saturated."""
        s, context = self.jobs[job][layer], Context(0, 0)
        y = execute(s, context, vector)
        order = self.orders[job] if self.orders else Order.natural(s.weights.shape)
        places = np.array(order.rows)
        filled = np.zeros(-(-len(places) // self.rows) * self.rows, dtype=np.int64)
        filled[: len(places)] = np.where(places < 0, 0, y.mantissa[places])
        return Vector(filled, y.exponent), bool(context.saturated)

    def physical(self, job, vector):
        """The vector as its order lays it out; what lies between is not zero."""
        order = self.orders[job] if self.orders else None
        if order is None:
            return vector
        places = np.array(order.columns)
        return Vector(np.where(places < 0, 77, vector.mantissa[places]), vector.exponent)

    def run(self, work, start=0):
        unit = self.unit
        dut = OnArray(unit)
        bench = Streams(dut, self.idle, self.seed)
        if self.greed:
            rival(bench, dut.array, self.greed, self.seed)
        notes = watch(bench, unit)
        self.issued = []
        bench.sim.add_testbench(self._watch_issues, background=True)
        tags = [
            {"stream": n & 1, "position": n % 16, "job": job, "layer": layer}
            for n, (job, layer, _) in enumerate(work)
        ]
        payloads, words = [], []
        for (job, layer, vector), tag in zip(work, tags, strict=True):
            payloads += vector_beats(self.physical(job, vector), self.lanes, tag)
            s = self.jobs[job][layer]
            order = self.orders[job] if self.orders else None
            words += weight_words(s.weights, s.weight_bits, self.lanes, self.rows, order)
        if self.kind == "stream":
            feed(bench, unit.weights, words, self.idle)
            bench.sim.add_testbench(self._take_requests, background=True)
        answers = [self.want(*item) for item in work]
        if start:
            self.accepted = late(bench, unit.i, payloads, start)
        else:
            self.accepted = bench.source("i", unit.i, payloads)
        self.cycles: list[int] = []
        total = sum(len(want.mantissa) for want, _ in answers) // self.rows
        seen = bench.sink("o", unit.o, total, self.cycles)
        bench.run()
        got = collected(seen, None, self.jobs[0][0].format)
        check(got, [want for want, _ in answers], seen, tags)
        assert notes["saturated"] == any(saturated for _, saturated in answers)

    async def _take_requests(self, ctx):
        ctx.set(self.unit.requests.ready, 1)

    async def _watch_issues(self, ctx):
        mul, cycle = self.unit.mul, 0
        async for *_, valid, ready in ctx.tick().sample(mul.valid, mul.ready):
            if valid and ready:
                self.issued.append(cycle)
            cycle += 1


def late(bench, port, payloads, start):
    """A source that never idles and begins at cycle ``start``."""
    accepted = []

    async def run(ctx):
        await ctx.tick().repeat(start)
        for payload in payloads:
            assign(ctx, port.p, payload)
            ctx.set(port.valid, 1)
            ready, cycle = False, start - 1 if not accepted else accepted[-1]
            while not ready:
                *_, ready = await ctx.tick().sample(port.ready)
                cycle += 1
            accepted.append(cycle)
        ctx.set(port.valid, 0)

    bench.sim.add_testbench(run)
    return accepted


def single(s, lanes, rows, count=5, **options):
    bench = Bench([[s]], lanes, rows, **options)
    bench.run([(0, 0, x) for x in vectors(s, count)])
    return bench


def is_gapless(cycles):
    return all(b == a + 1 for a, b in pairwise(cycles))


Q6 = Fixed(12, 6)
FORMATS = [(Q10, Q11), (Q10, BFP), (BFP, BFP), (BFP, Q11), (Q10, Fixed(24, 14)), (Q6, Q6)]


@pytest.mark.parametrize(("source", "form"), FORMATS, ids=str)
@pytest.mark.parametrize(("outputs", "inputs", "lanes", "rows"), [(16, 16, 4, 4), (27, 18, 4, 8)])
def test_matches_golden(outputs, inputs, lanes, rows, source, form):
    s = stage(outputs, inputs, source, form)
    xs = [Vector(np.clip(v.mantissa, -2047, 2047), v.exponent) if source.width == 12 else v
          for v in vectors(s, 6)]  # fmt: skip
    Bench([[s]], lanes, rows).run([(0, 0, x) for x in xs])


@pytest.mark.parametrize(
    ("outputs", "inputs", "lanes", "rows"),
    [(16, 64, 16, 1), (64, 16, 1, 16), (27, 16, 8, 2), (24, 48, 16, 4), (5, 7, 2, 1), (7, 5, 1, 2),
     (1, 1, 1, 1), (3, 3, 4, 4), (16, 16, 16, 4), (16, 1, 1, 4)],
)  # fmt: skip
def test_shapes_with_stalls_and_a_contended_array(outputs, inputs, lanes, rows):
    source, form = (BFP, BFP) if outputs % 3 else (Q10, BFP) if inputs % 2 else (Q10, Q10)
    s = stage(outputs, inputs, source, form, exponent=-8)
    single(s, lanes, rows, count=6, idle=0.3, greed=0.4, seed=outputs)


@pytest.mark.parametrize("bits", [4, 11, 16])
def test_widths_of_weights(bits):
    single(stage(6, 9, BFP, BFP, bits), 4, 2)


JOBS = [[stage(o, i, source, form, seed=10 * j + k) for k in range(layers)]
        for source, form in [(Q10, Q11)]
        for j, (o, i, layers) in enumerate([(16, 16, 3), (12, 20, 3), (27, 8, 1)])]  # fmt: skip
WORK = [(0, 0), (1, 2), (2, 0), (0, 2), (0, 1), (1, 0), (1, 1), (2, 0), (0, 0)]
SHARED = Tags(stream=1, position=4, layer=2, job=2)


def shared_work():
    return [(j, k, vectors(JOBS[j][k], 9)[n]) for n, (j, k) in enumerate(WORK)]


@pytest.mark.parametrize("kind", ["rom", "wires", "stream"])
@pytest.mark.parametrize(("idle", "greed"), [(0.0, 0.0), (0.2, 0.6)])
def test_jobs_and_layers_share_a_unit(kind, idle, greed):
    bench = Bench(JOBS, 4, 4, kind, tags=SHARED, idle=idle, greed=greed, seed=5)
    bench.run(shared_work())
    counts = [16, 15, 14]
    if kind != "stream":
        assert bench.shapes["l.weights"] == (128, 3 * counts[0] + 3 * counts[1] + counts[2])
    assert bench.shapes["l.parameters"][1] == 12
    if not idle and not greed:
        assert is_gapless(bench.issued)
        assert len(bench.issued) == sum(counts[j] for j, _ in WORK)


@pytest.mark.parametrize("form", [Q11, BFP], ids=str)
@pytest.mark.parametrize(
    ("outputs", "inputs", "lanes", "rows"),
    [(16, 16, 4, 4), (8, 8, 8, 8), (8, 4, 4, 2), (2, 16, 4, 2), (12, 2, 2, 1)],
)
def test_one_issue_a_cycle(outputs, inputs, lanes, rows, form):
    s = stage(outputs, inputs, Q10, form)
    bench = single(s, lanes, rows, count=16)
    assert is_gapless(bench.issued)
    groups, count = outputs // rows, -(-inputs // lanes)
    assert len(bench.issued) == 16 * groups * count
    if groups == 1:
        assert is_gapless(bench.accepted)


@pytest.mark.parametrize("form", [Q11, BFP], ids=str)
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    ("outputs", "inputs", "lanes", "rows"),
    [(16, 16, 4, 4), (4, 4, 4, 4), (8, 4, 4, 2), (6, 3, 1, 2)],
)
def test_latency(outputs, inputs, lanes, rows, known, form):
    s = stage(outputs, inputs, Q10, form)
    layers = [s] if known else [s, s]
    bench = Bench([layers], lanes, rows)
    bench.run([(0, 0, vectors(s, 1)[0])], start=3)
    groups, count = outputs // rows, inputs // lanes
    first = linear.latency(groups, count, lanes, form, known, count > 1)
    assert bench.cycles[0] - bench.accepted[0] == first
    assert bench.issued[0] - bench.accepted[0] == (0 if known else 1)
    assert bench.cycles[-1] - bench.cycles[0] == (groups - 1) * (1 if form == BFP else count)
    assert bench.unit.cycles(0) == first + bench.cycles[-1] - bench.cycles[0]


def test_latency_in_numbers():
    """16 inputs at once: issue, multiply, add, requantise."""
    assert mac.LATENCY + adder.latency(16, False) + requantise.latency(Q11) == 7
    assert linear.latency(1, 1, 16, Q11, known=True, several=False) == 7
    assert linear.latency(4, 4, 4, Q11, known=False, several=True) == 4 + 3 + 2 + 2
    assert linear.latency(4, 4, 4, BFP, known=False, several=True) == 16 + 3 + 2 + 3


def test_orders_pad_heads():
    """Two heads of 3, each padded to 4, out of one matrix and into the next."""
    heads = (0, 1, 2, -1, 3, 4, 5, -1)
    jobs = [[stage(6, 5, Q10, Q10, seed=1)], [stage(5, 6, Q10, Q10, seed=2)]]
    orders = [Order(heads, tuple(range(5))), Order(tuple(range(5)), heads)]
    bench = Bench(jobs, 4, 2, orders=orders)
    bench.run([(j, 0, x) for j in (0, 1, 1, 0) for x in vectors(jobs[j][0], 3)])


def test_the_next_vector_is_accepted_while_one_is_computed():
    s = stage(16, 8)
    bench = single(s, 4, 1, count=3)
    assert bench.accepted[:4] == [0, 1, 2, 3]
    assert bench.accepted[4] > 30


@pytest.mark.parametrize("kind", ["rom", "wires"])
def test_a_corrupted_word_is_caught(kind):
    s = stage(8, 8)
    bench = Bench([[s]], 4, 2, kind, flip=[("l.weights", 3, 13)])
    with pytest.raises(AssertionError, match="vector 2"):
        bench.run([(0, 0, vectors(s, 2)[0])] * 2 + [(0, 0, Vector(np.full(8, 100), -10))])


def test_a_corrupted_scale_is_caught():
    s = stage(8, 8)
    bench = Bench([[s]], 4, 2, flip=[("l.parameters", 0, 9)])
    with pytest.raises(AssertionError, match="vector 1"):
        bench.run([(0, 0, x) for x in vectors(s, 2)])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lanes": 3}, "3 lanes and 2 rows; expected powers of two"),
        ({"rows": 0}, "4 lanes and 0 rows"),
        ({"jobs": []}, "has no job"),
        ({"jobs": [stage(4, 4), stage(4, 4, BFP)]}, "source of s1 is block16"),
        ({"jobs": [stage(4, 4), stage(4, 4, bits=4)]}, "weight_bits of s1 is 4"),
        ({"jobs": [stage(4, 4, Fixed(24, 10))]}, "source of s1 are wider than a factor"),
        ({"source": "tape"}, "expected one of rom, wires, stream"),
    ],
)
def test_what_cannot_be_built(changes, message):
    given = {"jobs": [stage(4, 4)], "layers": 1, "lanes": 4, "rows": 2, "tags": TAGS} | changes
    with pytest.raises(ValueError, match=message):
        linear.Linear("l", memories=Memories(), **given)


@pytest.mark.parametrize("form", [Q11, BFP], ids=str)
@pytest.mark.parametrize(("outputs", "rows"), [(4, 4), (8, 1)])
def test_a_slow_reader_loses_nothing(outputs, rows, form):
    s = stage(outputs, 4, Q10, form)
    bench = Bench([[s]], 4, rows, idle=0.85)
    bench.run([(0, 0, x) for x in vectors(s, 32 * rows // outputs + 8)], start=1)


def test_a_left_shift_of_static_formats_is_refused():
    with pytest.raises(ValueError, match=r"Q-2\.18 is finer than its sums"):
        linear.image("l", [[stage(4, 4, form=Fixed(16, 18))]], 4, 2)

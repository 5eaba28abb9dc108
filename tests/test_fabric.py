"""What joins units: order, whole vectors, priority; with seeded idle and back-pressure."""

import pytest
from amaranth.hdl import Elaboratable, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.numbers import Block, Fixed
from hdl.fabric import Dispatch, LayerExit, Merge, Route, forward
from hdl.stream import Tags, beat
from hdl.units.sample import answer_layout
from tests.bench import Streams

WIDE = Tags(stream=2, position=4, layer=2, job=2)
BARE = Tags(stream=2, position=4, layer=2)
STALLS = [(0.0, 1), (0.3, 2), (0.6, 3), (0.6, 4)]
stalls = pytest.mark.parametrize(("idle", "seed"), STALLS)


def vector(number, length, tag=None, start=0):
    """Beats whose data tell where they come from."""
    return [
        {
            "data": [number, k],
            "exponent": k % 3 - 1,
            "tag": tag or {"stream": number % 4, "position": number % 16},
            "first": int(k == 0),
            "last": int(k == length - 1),
        }
        for k in range(length)
    ]


def seen_vectors(beats):
    """(source, length) of every vector; beats of different vectors must not mix."""
    found, inside = [], None
    for p in beats:
        source, k = (int(x) for x in p.data)
        assert p.first == (inside is None)
        if inside is None:
            inside = source, 0
        assert (source, k) == inside
        inside = source, k + 1
        if p.last:
            found.append((source, k + 1))
            inside = None
    assert inside is None
    return found


class Clocked(Elaboratable):
    """Gives a testbench the clock that a component without registers does not have."""

    def __init__(self, dut):
        self._dut = dut

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = self._dut
        m.d.sync += Signal().eq(1)
        return m


class Copy(wiring.Component):
    def __init__(self, shape_i, shape_o, **changes):
        super().__init__({"i": In(stream.Signature(shape_i)), "o": Out(stream.Signature(shape_o))})
        self._changes = changes

    def elaborate(self, platform):
        m = Module()
        forward(m, self.i, self.o, **self._changes)
        return m


def run_copy(dut, beats):
    bench = Streams(Clocked(dut), idle=0.4, seed=1)
    bench.source("i", dut.i, beats)
    seen = bench.sink("o", dut.o, len(beats))
    bench.run()
    return seen


def test_forward_replaces_fields_of_the_tag():
    form = Block(16)
    dut = Copy(beat(2, form, BARE), beat(2, form, WIDE), layer=3, job=2)
    tag = {"stream": 1, "position": 9, "layer": 1, "sample": 1}
    for p, k in zip(run_copy(dut, vector(5, 3, tag)), range(3), strict=True):
        assert [int(x) for x in p.data] == [5, k]
        assert (p.exponent, p.first, p.last) == (k - 1, k == 0, k == 2)
        found = {name: int(getattr(p.tag, name)) for name in WIDE.layout().members}
        assert found == tag | {"layer": 3, "job": 2}


def test_forward_to_fewer_fields():
    # The head has no layers, and a static format no exponent.
    dut = Copy(beat(2, Block(16), WIDE), beat(2, Fixed(16, 0), Tags(2, 4, 0)))
    seen = run_copy(dut, vector(6, 2, {"stream": 3, "position": 2, "layer": 3, "job": 1}))
    assert [int(p.tag.stream) for p in seen] == [3, 3]


# Dispatch and route ------------------------------------------------------------------------------


def run_dispatch(forms, jobs, vectors, idle, seed):
    """``vectors``: lists of beats by (job, port); the answer is what leaves every port."""
    dut = Dispatch({port: (2, Fixed(16, 0)) for port in forms}, jobs, WIDE)
    bench = Streams(Clocked(dut), idle=idle, seed=seed)
    for (j, port), beats in vectors.items():
        bench.source(f"{j}{port}", dut.job(j, port), beats)
    counts = {port: sum(len(b) for (_, p), b in vectors.items() if p == port) for port in forms}
    seen = {port: bench.sink(port, getattr(dut, port), counts[port]) for port in forms}
    bench.run()
    return seen


@stalls
@pytest.mark.parametrize("jobs", [2, 3, 4])
def test_dispatch_hands_over_whole_vectors(jobs, idle, seed):
    lengths = {j: [1 + (j + n) % 4 for n in range(6)] for j in range(jobs)}
    vectors = {
        (j, "i"): [b for n, size in enumerate(sizes) for b in vector(10 * j + n, size)]
        for j, sizes in lengths.items()
    }
    seen = run_dispatch(("i",), jobs, vectors, idle, seed)["i"]
    assert all(int(p.data[0]) // 10 == p.tag.job for p in seen)
    assert all(int(p.data[0]) % 4 == p.tag.stream for p in seen)
    found = seen_vectors(seen)
    for j, sizes in lengths.items():  # each job's vectors stay in order
        assert [v for v in found if v[0] // 10 == j] == [
            (10 * j + n, s) for n, s in enumerate(sizes)
        ]


@stalls
def test_dispatch_keeps_the_ports_of_a_job_together(idle, seed):
    # Three ports, as of an attention; the vectors of one job are of different lengths.
    sizes = {"q": 1, "k": 3, "v": 2}
    vectors = {
        (j, port): [b for n in range(5) for b in vector(10 * j + n, size)]
        for j in range(2)
        for port, size in sizes.items()
    }
    seen = run_dispatch(tuple(sizes), 2, vectors, idle, seed)
    orders = [[source for source, _ in seen_vectors(seen[port])] for port in sizes]
    assert orders[0] == orders[1] == orders[2]
    assert sorted(orders[0]) == [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]


def test_dispatch_takes_the_lowest_job_first_and_only_with_all_ports():
    dut = Dispatch({"x": (2, Fixed(16, 0)), "branch": (2, Fixed(16, 0))}, 3, WIDE)
    bench = Streams(Clocked(dut))
    order = []
    for j, (x, branch) in enumerate(((2, 0), (1, 1), (1, 1))):  # job 0 lacks its branch
        for port, count in (("x", x), ("branch", branch)):
            beats = [b for n in range(count) for b in vector(10 * j + n, 2)]
            if count and j:
                bench.source(f"{j}{port}", dut.job(j, port), beats)
    order = bench.sink("x", dut.x, 4)
    bench.sink("branch", dut.branch, 4)
    waiting = dut.job(0, "x")

    async def offer(ctx):
        ctx.set(waiting.valid, 1)
        async for *_, ready in ctx.tick().sample(waiting.ready):
            assert not ready

    bench.sim.add_testbench(offer, background=True)
    bench.run()
    assert [source for source, _ in seen_vectors(order)] == [10, 20]


def test_dispatch_adds_no_cycle():
    dut = Dispatch({"i": (2, Fixed(16, 0))}, 2, WIDE)
    bench, cycles = Streams(Clocked(dut)), []
    bench.source("0", dut.job(0, "i"), vector(1, 8))
    bench.sink("o", dut.i, 8, cycles)
    bench.run()
    assert cycles == list(range(cycles[0], cycles[0] + 8))
    assert cycles[0] == 0


@stalls
def test_route_splits_by_job(idle, seed):
    dut = Route(2, Fixed(16, 0), 3, WIDE)
    order = [0, 2, 1, 1, 0, 2, 2, 0]
    beats = [b for n, j in enumerate(order) for b in vector(n, 1 + n % 3, {"job": j, "layer": j})]
    bench = Streams(Clocked(dut), idle=idle, seed=seed)
    bench.source("i", dut.i, beats)
    counts = [sum(b["tag"]["job"] == j for b in beats) for j in range(3)]
    seen = [bench.sink(f"o{j}", dut.o[j], counts[j]) for j in range(3)]
    bench.run()
    for j in range(3):
        assert seen_vectors(seen[j]) == [(n, 1 + n % 3) for n, to in enumerate(order) if to == j]
        assert all(p.tag.layer == j for p in seen[j])


# The loop over layers ----------------------------------------------------------------------------


@stalls
def test_merge_takes_whole_vectors(idle, seed):
    shape = beat(2, Fixed(16, 0), BARE)
    dut = Merge(shape)
    bench = Streams(Clocked(dut), idle=idle, seed=seed)
    bench.source("i", dut.i, [b for n in range(8) for b in vector(n, 3)])
    bench.source("back", dut.back, [b for n in range(8) for b in vector(50 + n, 3)])
    seen = bench.sink("o", dut.o, 48)
    bench.run()
    found = [source for source, _ in seen_vectors(seen)]
    assert [n for n in found if n < 50] == list(range(8))
    assert [n for n in found if n >= 50] == list(range(50, 58))
    if not idle:
        assert found == [*range(50, 58), *range(8)]  # back goes first


def exit_bench(passes, vectors, idle, seed):
    tags = Tags(stream=2, position=4, layer=2)
    dut = LayerExit(2, Fixed(16, 0), tags, passes, answer_layout(27, tags))
    bench = Streams(Clocked(dut), idle=idle, seed=seed)
    bench.source(
        "i", dut.i, [b for n, (size, tag) in enumerate(vectors) for b in vector(n, size, tag)]
    )
    ways = {"back": 0, "head": 0, "done": 0}
    for size, tag in vectors:
        way = "back" if tag["layer"] < passes - 1 else "head" if tag["sample"] else "done"
        ways[way] += 1 if way == "done" else size
    seen = {way: bench.sink(way, getattr(dut, way), count) for way, count in ways.items()}
    bench.run()
    return seen


@stalls
@pytest.mark.parametrize("passes", [1, 2, 3])
def test_layer_exit(passes, idle, seed):
    vectors = [
        (
            1 + n % 3,
            {"layer": n % passes, "sample": n // passes % 2, "stream": n % 4, "position": n},
        )
        for n in range(12)
    ]
    seen = exit_bench(passes, vectors, idle, seed)
    left = [n for n, (_, tag) in enumerate(vectors) if tag["layer"] < passes - 1]
    assert seen_vectors(seen["back"]) == [(n, 1 + n % 3) for n in left]
    for p in seen["back"]:
        assert p.tag.layer == vectors[int(p.data[0])][1]["layer"] + 1
        assert p.tag.sample == vectors[int(p.data[0])][1]["sample"]
    sampled = [n for n, (_, tag) in enumerate(vectors) if n not in left and tag["sample"]]
    assert seen_vectors(seen["head"]) == [(n, 1 + n % 3) for n in sampled]
    assert all(p.tag.layer == 0 for p in seen["head"])
    prefill = [n for n in range(12) if n not in left and n not in sampled]
    assert [int(p.tag.position) for p in seen["done"]] == prefill  # one beat a vector
    assert [int(p.tag.stream) for p in seen["done"]] == [n % 4 for n in prefill]
    assert not any(p.tag.sample for p in seen["done"])

"""hdl/external/traffic.py against a memory: who reads what, and where keys and values go."""

import random
from dataclasses import replace
from functools import partial

import pytest

from golden.config import LINEARS
from golden.quantize import Options, quantize
from hdl.external import fetch
from hdl.external.layout import Layout, Rows
from hdl.external.program import Reader, readers
from hdl.external.traffic import Traffic
from tests.bench import Streams
from tests.external_memory import Memory
from tests.llama import BASE, random_llama

CONFIG = replace(BASE, d_model=8, n_head=2, n_kv_head=2, d_ff=6, n_vocab=11, n_ctx=64, window=3)
DEPTH = 32


def layout_of(port=64, config=CONFIG, cache_bits=16):
    return Layout(
        quantize(random_llama(config, 3), Options(scales="row", cache_bits=cache_bits)), port
    )


class Bench:
    """Tokens through ``Traffic``; a layer's records come when its weights of v have been taken."""

    def __init__(
        self, layout, samples, idle=0.0, busy=0.0, latency=(3, 4), seed=1, positions=None, stuck=()
    ):
        self.layout, self.seed, self.idle, self.stuck = layout, seed, idle, stuck
        rng = random.Random(seed)
        self.words = {a: rng.getrandbits(layout.port) for a in range(layout.end)}
        self.fresh = dict(self.words)
        vocabulary = len(layout.embed.tokens)
        self.tokens = [
            {"token": rng.randrange(vocabulary), "position": position, "sample": int(sample)}
            for position, sample in zip(positions or range(len(samples)), samples, strict=True)
        ]
        self.records = [[self._layer_records(rng) for _ in layout.plan.layers] for _ in self.tokens]
        self.dut = Traffic(layout, 4, 6)
        self.bench = Streams(self.dut, idle, seed)
        self.memory = Memory(self.dut.port, self.words, busy, latency, seed)
        self.seen: dict[Reader, list[int]] = {}
        self.most = 0  # beats that were asked for and not taken

    def _layer_records(self, rng):
        """A record of a key and of a value for every head."""
        layout = self.layout
        sizes = (layout.key_record, layout.mantissa_beats)
        return [
            [[rng.getrandbits(layout.port) for _ in range(size)] for size in sizes]
            for _ in range(layout.attention.kv_heads)
        ]

    def want(self):
        """The beats of every reader, and the addresses of all reads, in order."""
        layout, words = self.layout, dict(self.fresh)
        beats, addresses = {reader: [] for reader in readers(layout)}, []

        def read(reader, first, count):
            addresses.extend(range(first, first + count))
            beats[reader] += [words[a] for a in range(first, first + count)]

        self.stores = []
        for n, token in enumerate(self.tokens):
            form = Rows(*layout.embed.tokens.shape, layout.port)
            tile, row = divmod(token["token"], form.tile)
            scales = layout.embedding + tile * form.tile_beats
            read(Reader.EMBED, scales, 1)
            read(Reader.EMBED, scales + 1 + row * form.row_beats, form.row_beats)
            for layer, section in enumerate(layout.plan.layers):
                cached = partial(self._cached, read, words, n, layer)
                self._weights(read, section, cached)
            if token["sample"]:
                self._weights(read, layout.plan.epilogue)
        return beats, addresses

    def _weights(self, read, section, cached=None):
        """The weights of a section; what is ``cached`` stands before those that need it."""
        for tensor in self.layout.tensors:
            if tensor.stage in section.stages:
                if tensor.stage.name == "project":
                    cached()
                reader = Reader[tensor.stage.kind.upper()]
                read(reader, tensor.first, tensor.form.beats)

    def _cached(self, read, words, n, layer):
        layout, slots = self.layout, self.layout.attention.slots
        position = self.tokens[n]["position"]
        slot, count = position % slots, min(position + 1, slots)
        for head, (key, value) in enumerate(self.records[n][layer]):
            keys = layout.keys(layer, head) + slot * layout.key_record
            values = layout.values(layer, head) + slot * layout.mantissa_beats
            for first, record in ((keys, key), (values, value)):
                self.stores += range(first, first + len(record))
                words.update(enumerate(record, first))
        for head in range(len(self.records[n][layer])):
            read(Reader.KEYS, layout.keys(layer, head), count * layout.key_record)
            read(Reader.VALUES, layout.values(layer, head), count * layout.mantissa_beats)

    def run(self, timeout=30_000):
        bench, dut = self.bench, self.dut
        beats, addresses = self.want()
        bench.sim.add_testbench(self.memory.run, background=True)
        bench.source("token", dut.token, self.tokens)
        bench.sim.add_testbench(self._store)
        for reader in beats:
            name, count = reader.name.lower(), len(beats[reader])
            stuck = reader in self.stuck
            self.seen[reader] = [] if stuck else bench.sink(name, getattr(dut, name), count)
        bench.sim.add_testbench(self._measure, background=True)
        bench.run(timeout)
        return beats, addresses

    async def _store(self, ctx):
        """The records of a layer, when the linear unit has the weights of q, k and v."""
        port, rng, taken = self.dut.store, random.Random(self.seed), 0
        sizes = {n: self._linear_beats(n) for n in ("q", "k", "v", "project", "gate", "fc1", "fc2")}
        for token, layers in zip(self.tokens, self.records, strict=True):
            for heads in layers:
                ready = taken + sum(sizes[n] for n in "qkv")
                while len(self.seen[Reader.LINEAR]) < ready:
                    await ctx.tick()
                for beat in [beat for head in heads for record in head for beat in record]:
                    while rng.random() < self.idle:
                        await ctx.tick()
                    ctx.set(port.p, beat)
                    ctx.set(port.valid, 1)
                    await ctx.tick().until(port.ready)
                    ctx.set(port.valid, 0)
                taken += sum(sizes.values())
            taken += token["sample"] * self._linear_beats("logits")

    def _linear_beats(self, name):
        return next(t.form.beats for t in self.layout.tensors if t.stage.name == name)

    async def _measure(self, ctx):
        async for _ in ctx.tick():
            self.most = max(self.most, len(self.memory.reads) - sum(map(len, self.seen.values())))


def check(bench):
    beats, addresses = bench.run()
    for reader in beats:
        assert bench.seen[reader] == beats[reader], reader
    assert bench.memory.reads == addresses
    assert bench.memory.writes == bench.stores
    assert bench.most <= fetch.DEPTH


@pytest.fixture(autouse=True)
def shallow(monkeypatch):
    monkeypatch.setattr(fetch, "DEPTH", DEPTH)


@pytest.mark.parametrize(("port", "cache_bits"), [(16, 8), (32, 16), (64, 8), (128, 16)])
def test_every_reader_gets_its_beats(port, cache_bits):
    check(Bench(layout_of(port, cache_bits=cache_bits), [0, 0, 1, 1, 0]))


@pytest.mark.parametrize("seed", [2, 3])
def test_slow_readers_and_a_memory_that_likes_to_wait(seed):
    check(Bench(layout_of(64), [1, 0, 1, 1, 1], 0.4, 0.4, (1, 40), seed))


@pytest.mark.parametrize("biases", [LINEARS, LINEARS[:3]])
def test_biases_have_a_reader_of_their_own(biases):
    bench = Bench(layout_of(32, replace(CONFIG, biases=biases)), [0, 1, 1])
    check(bench)
    assert bench.seen[Reader.BIAS]
    assert Reader.BIAS not in readers(layout_of())


def test_the_embedding_of_its_own_behind_the_head():
    config = replace(CONFIG, tied_head=False, n_kv_head=1, n_layer=1)
    check(Bench(layout_of(32, config), [1, 1, 0, 1, 1]))


def test_another_sequence_begins():
    check(Bench(layout_of(64), [0, 0, 1, 1, 1, 0, 1], positions=[0, 1, 2, 3, 0, 1, 0]))


@pytest.mark.parametrize("window", [3, None])
def test_sequences_begin_anywhere(window):
    layout = layout_of(64, replace(CONFIG, window=window))
    check(Bench(layout, [0, 1, 0, 0, 1, 1], positions=[7, 8, 2, 3, 40, 0]))


def test_nothing_is_read_without_room():
    bench = Bench(layout_of(64), [1], stuck=(Reader.LINEAR,))
    with pytest.raises(AssertionError, match="still wait"):
        bench.run(500)
    assert DEPTH - 2 <= bench.most <= DEPTH
    assert bench.memory.writes == []


def test_keys_wait_for_the_records_of_their_layer():
    bench = Bench(layout_of(64), [1])

    async def nothing(ctx):
        pass

    bench._store = nothing
    with pytest.raises(AssertionError, match="keys"):
        bench.run(500)
    _, addresses = bench.want()
    cached = addresses.index(bench.layout.keys(0, 0))
    assert bench.memory.reads == addresses[:cached]


def test_a_beat_a_cycle(monkeypatch):
    monkeypatch.setattr(fetch, "DEPTH", 1024)
    layout = layout_of(16)
    bench = Bench(layout, [1], latency=(9, 10))
    check(bench)
    linear = next(t for t in layout.tensors if t.stage.name == "q")
    first = bench.memory.reads.index(linear.first)
    count = sum(t.form.beats for t in layout.tensors if t.layer == 0 and t.stage.name in "qkv")
    cycles = bench.memory.cycles[first : first + count]
    assert cycles == list(range(cycles[0], cycles[0] + count))


@pytest.mark.parametrize("place", ["weight", "record"])
def test_a_wrong_beat_is_noticed(place):
    bench = Bench(layout_of(64), [1, 1])
    want = bench.want()
    bench.want = lambda: want
    if place == "weight":
        bench.words[bench.layout.tensors[1].first] ^= 1
    else:
        bench.records[0][1][0][1][-1] ^= 1
    with pytest.raises(AssertionError, match=r"LINEAR" if place == "weight" else "VALUES"):
        check(bench)

"""A small core for tests of the simulation: it sums rows of a loadable ROM.

A request names the first row and how many; every row passes the tap ``rows``, every running sum the
tap ``sums``, and the token is the sum over all lanes. A request with ``hang`` is never answered.
"""

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.numbers import Fixed
from hdl.memory import Memories
from hdl.observe import Counter, Tap, UnitStatus
from hdl.stream import Tags, beat
from sim.bench import Bench, Probe, requests, settings

DEPTH = 64
WIDTH = 8

REQUEST = data.StructLayout({"start": range(DEPTH), "count": unsigned(8), "hang": unsigned(1)})
TOKEN = data.StructLayout({"sum": signed(24), "sequence": unsigned(8)})


class ToyCore(wiring.Component):
    requests: In(stream.Signature(REQUEST))
    tokens: Out(stream.Signature(TOKEN))
    idle: Out(1)

    def __init__(self, memories: Memories, lanes: int = 5, observed: bool = True):
        super().__init__()
        self._lanes, self._observed = lanes, observed
        self._rom = memories.rom("toy.rows", lanes * WIDTH, DEPTH)
        self.taps, self.units, self.counters = [], [], []

    def elaborate(self, platform):
        m = Module()
        m.submodules.rom = rom = self._rom
        tags = Tags(stream=0, position=8, layer=0)
        rows = Signal(beat(self._lanes, Fixed(WIDTH, 0), tags))
        sums = Signal(beat(self._lanes, Fixed(16, 0), tags))
        row_valid, sum_valid = Signal(), Signal()
        busy, hang, left, sequence = Signal(), Signal(), Signal(8), Signal(8)
        reading, first, answer = Signal(), Signal(), Signal()
        total = sum(sums.data[k] for k in range(self._lanes))

        m.d.comb += [
            self.requests.ready.eq(~busy),
            self.idle.eq(~busy),
            rom.en.eq(reading),
            rows.data.as_value().eq(rom.data),
            self.tokens.valid.eq(answer),
            self.tokens.p.sum.eq(total),
            self.tokens.p.sequence.eq(sequence),
        ]
        with m.If(self.requests.valid & self.requests.ready):
            p = self.requests.p
            m.d.sync += [busy.eq(1), hang.eq(p.hang), reading.eq(~p.hang & (p.count != 0))]
            m.d.sync += [rom.addr.eq(p.start), left.eq(p.count), first.eq(1)]
        m.d.sync += [row_valid.eq(reading), sum_valid.eq(row_valid)]
        with m.If(reading):
            m.d.sync += [rom.addr.eq(rom.addr + 1), left.eq(left - 1), first.eq(0)]
            m.d.sync += [rows.first.eq(first), rows.last.eq(left == 1), reading.eq(left != 1)]
        with m.If(row_valid):
            for k in range(self._lanes):
                m.d.sync += sums.data[k].eq(rows.data[k] + sums.data[k])
                with m.If(rows.first):
                    m.d.sync += sums.data[k].eq(rows.data[k])
            m.d.sync += [sums.first.eq(rows.first), sums.last.eq(rows.last)]
        m.d.comb += [rows.tag.position.eq(sequence), sums.tag.position.eq(sequence)]
        with m.If(sum_valid & sums.last):
            m.d.sync += answer.eq(1)
        with m.If(self.tokens.valid & self.tokens.ready):
            m.d.sync += [answer.eq(0), busy.eq(0), sequence.eq(sequence + 1)]
        if self._observed:
            blocked = answer & ~self.tokens.ready
            self._observe(m, rows, row_valid, sums, sum_valid, busy, blocked)
        return m

    def _observe(self, m, rows, row_valid, sums, sum_valid, busy, blocked):
        cycles, waits, stuck = Signal(16), Signal(16), Signal()
        m.d.comb += stuck.eq(blocked)
        m.d.sync += [cycles.eq(cycles + busy), waits.eq(waits + blocked)]
        self.taps = [Tap("rows", row_valid, rows), Tap("sums", sum_valid, sums)]
        self.units = [UnitStatus("summer", busy, stuck, ~busy & ~stuck)]
        self.counters = [Counter("summer", 0, cycles, waits)]


@dataclass(frozen=True)
class Toy:
    """Everything that a simulation of the toy core needs."""

    lanes: int = 5
    observed: bool = True
    request_depth: int = 32

    @property
    def key(self) -> str:
        return f"{self} {hashlib.sha256(Path(__file__).read_bytes()).hexdigest()}"

    @property
    def factory(self):
        return partial(_bench, self)

    @property
    def probe(self):
        return partial(_probe, self)


def _bench(toy: Toy, memories: Memories) -> Bench:
    core = ToyCore(memories, toy.lanes, toy.observed)
    return Bench(core, memories, toy.request_depth)


def _probe(toy: Toy, memories: Memories) -> Probe:
    return Probe(ToyCore(memories, toy.lanes, toy.observed), memories)


def rows(lanes: int, seed: int = 0) -> np.ndarray:
    """Contents of the ROM as numbers [DEPTH, lanes]."""
    return np.random.default_rng(seed).integers(-128, 128, (DEPTH, lanes))


def image(toy: Toy, seed: int = 0) -> dict[str, list[int]]:
    words = rows(toy.lanes, seed).astype(np.int8).view(np.uint8)
    return {"toy.rows": [int.from_bytes(bytes(word), "little") for word in words]}


def bench_image(design, toy: Toy, wanted: list[dict], contents: int = 0, **chosen) -> dict:
    """Image of a bench: the ROM, requests and settings."""
    return image(toy, contents) | {
        "bench.requests": requests(design, wanted),
        "bench.settings": settings(**chosen),
    }


def expected_tokens(toy: Toy, wanted: list[dict], seed: int = 0) -> list[int]:
    table = rows(toy.lanes, seed)
    return [int(table[w["start"] : w["start"] + w["count"]].sum()) for w in wanted]

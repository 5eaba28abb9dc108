"""Where weights come from, and how a matrix becomes words.

A word holds the weights of one beat of inputs and one group of outputs, row-major.  Words stand in
the order in which a linear unit consumes them: group by group, within a group beat by beat.
"""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.memory import Memories
from hdl.stream import Queue, beats

SOURCES = ("rom", "wires", "stream")
"""``wires`` is ``rom`` with Memories(wires=True); ``stream`` are ports for an external memory."""

LATENCY = 1
"""Cycles from a request to its first word (``stream``: or until that word arrives)."""


@dataclass(frozen=True)
class Order:
    """Where the elements of a matrix stand: physical place -> logical index, or -1 for a zero.

    rows: of the outputs; columns: of the inputs.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]

    @classmethod
    def natural(cls, shape: tuple[int, int]) -> "Order":
        """Every element at its own index."""
        return cls(tuple(range(shape[0])), tuple(range(shape[1])))

    def words(self, lanes: int, rows: int) -> tuple[int, int]:
        """(groups of outputs, beats of inputs)."""
        return beats(len(self.rows), rows), beats(len(self.columns), lanes)


def weight_words(
    weights: np.ndarray, weight_bits: int, lanes: int, rows: int, order: Order | None = None
) -> list[int]:
    """Words of the matrix ``weights`` [output, input], ``rows * lanes`` weights each.

    Raises
    ------
    ValueError
        If a weight does not fit ``weight_bits``, or ``order`` misses or repeats a row or column.
    """
    order = order or Order.natural(weights.shape)
    groups, count = order.words(lanes, rows)
    row = _places(order.rows, groups * rows, weights.shape[0], "row")
    column = _places(order.columns, count * lanes, weights.shape[1], "column")
    padded = np.pad(np.asarray(weights, dtype=np.int64), ((0, 1), (0, 1)))
    limit = 1 << (weight_bits - 1)
    if padded.min() < -limit or padded.max() >= limit:
        raise ValueError(f"a weight does not fit {weight_bits} bits")
    blocks = padded[np.ix_(row, column)].reshape(groups, rows, count, lanes).transpose(0, 2, 1, 3)
    bits = (blocks.reshape(groups * count, -1, 1) >> np.arange(weight_bits)) & 1
    bits = bits.reshape(groups * count, -1).astype(np.uint8)
    packed = np.packbits(bits, axis=1, bitorder="little")
    return [int.from_bytes(word.tobytes(), "little") for word in packed]


def _places(order: tuple[int, ...], size: int, logical: int, what: str) -> np.ndarray:
    """``order`` filled to ``size``; -1 picks the zeros after the last element."""
    places = np.full(size, -1)
    places[: len(order)] = order
    if not np.array_equal(np.sort(places[places != -1]), np.arange(logical)):
        raise ValueError(f"the order must place each {what} from 0 to {logical - 1} once")
    return places


def request_layout(depth: int, most: int) -> data.StructLayout:
    """A request of ``count`` words (1 to ``most``) from ``base`` of a memory of ``depth`` words."""
    return data.StructLayout({"base": range(depth), "count": range(most + 1)})


class WeightSource(wiring.Component):
    """Answers a request of ``count`` words from ``base`` with a stream of words.

    Latency LATENCY; throughput one word a cycle, also from one request to the next: a request is
    accepted in the cycle in which the last word of the one before is taken.

    Parameters
    ----------
    width: of a word.  depth: of the memory.  most: the largest ``count``.

    Members
    -------
    i: requests (base, count); a count is at least 1.  o: words; ``last`` ends a request.
    """

    def __init__(self, width: int, depth: int, most: int, extra: dict | None = None):
        request = request_layout(depth, most)
        word = data.StructLayout({"data": width, "last": 1})
        super().__init__(
            {"i": In(stream.Signature(request)), "o": Out(stream.Signature(word)), **(extra or {})}
        )


class RomSource(WeightSource):
    """Words from the memory ``name``; the register of the memory is that of the stream."""

    def __init__(self, name: str, width: int, depth: int, most: int, memories: Memories):
        self._rom = memories.rom(name, width, depth)
        super().__init__(width, depth, most)

    def elaborate(self, platform):
        m = Module()
        m.submodules.rom = rom = self._rom
        left, following = Signal(self.i.p.count.shape()), Signal(self.i.p.base.shape())
        fresh, read, count = Signal(), Signal(), Signal.like(left)
        m.d.comb += [
            fresh.eq(left == 0),
            count.eq(Mux(fresh, self.i.p.count, left)),
            rom.en.eq(~self.o.valid | self.o.ready),
            read.eq(rom.en & (~fresh | self.i.valid)),
            self.i.ready.eq(rom.en & fresh),
            rom.addr.eq(Mux(fresh, self.i.p.base, following)),
            self.o.p.data.eq(rom.data),
        ]
        with m.If(rom.en):
            m.d.sync += self.o.valid.eq(read)
        with m.If(read):
            m.d.sync += [
                following.eq(rom.addr + 1),
                left.eq(count - 1),
                self.o.p.last.eq(count == 1),
            ]
        return m


REQUESTS = 2
"""Requests of a StreamSource whose words may be outstanding."""


class StreamSource(WeightSource):
    """Words from outside: requests leave at ``requests``, their words arrive at ``weights``.

    A request leaves in the cycle in which it is made, also while the words of the one before are
    still taken, so that a memory with some latency can answer without a pause.  Words arrive in
    the order of the requests.
    """

    def __init__(self, width: int, depth: int, most: int):
        ports = {
            "requests": Out(stream.Signature(request_layout(depth, most))),
            "weights": In(stream.Signature(width)),
        }
        super().__init__(width, depth, most, ports)

    def elaborate(self, platform):
        m = Module()
        m.submodules.counts = counts = Queue(self.i.p.count.shape(), REQUESTS)
        taken = Signal(self.i.p.count.shape())
        moved = self.o.valid & self.o.ready
        m.d.comb += [
            self.requests.valid.eq(self.i.valid & counts.i.ready),
            self.requests.p.eq(self.i.p),
            self.i.ready.eq(self.requests.ready & counts.i.ready),
            counts.i.valid.eq(self.i.valid & self.requests.ready),
            counts.i.p.eq(self.i.p.count),
            self.o.valid.eq(self.weights.valid & counts.o.valid),
            self.weights.ready.eq(self.o.ready & counts.o.valid),
            self.o.p.data.eq(self.weights.p),
            self.o.p.last.eq(taken == counts.o.p - 1),
            counts.o.ready.eq(moved & self.o.p.last),
        ]
        with m.If(moved):
            m.d.sync += taken.eq(Mux(self.o.p.last, 0, taken + 1))
        return m


def weight_source(
    kind: str, name: str, width: int, depth: int, most: int, memories: Memories
) -> WeightSource:
    """The body ``kind`` (SOURCES).

    Raises
    ------
    ValueError
        If there is no such kind.
    """
    if kind not in SOURCES:
        raise ValueError(f"weight source is {kind!r}; expected one of {', '.join(SOURCES)}")
    if kind == "stream":
        return StreamSource(width, depth, most)
    return RomSource(name, width, depth, most, memories)

"""Embedding: ``golden.stages.embed``, two memories and a saturating sum."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.stage import Embed as Stage
from hdl import numbers
from hdl.memory import Memories
from hdl.stream import Queue, Tags, beat, beats
from hdl.units.unit import Work, check_jobs, moved, pack_lanes

LATENCY = 2
"""Cycles from a token at ``i`` to its first beat; ``ready`` comes with the last."""


def request(n_vocab: int, tags: Tags) -> data.StructLayout:
    """A token and the tag of its vector; the tag holds the position."""
    return data.StructLayout({"token": unsigned((n_vocab - 1).bit_length()), "tag": tags.layout()})


def _beat_bits(stage: Stage, lanes: int) -> int:
    """Address bits of a beat in its row: the pitch of rows is a power of two."""
    return (beats(stage.output_size, lanes) - 1).bit_length()


def image(name: str, jobs: Sequence[Sequence[Stage]], lanes: int) -> dict[str, list[int]]:
    """Words of the memories of the unit ``name`` from its stages [job][layer] (one of each)."""
    stage = jobs[0][0]
    count, pitch = beats(stage.output_size, lanes), 1 << _beat_bits(stage, lanes)

    def words(rows) -> list[int]:
        packed = []
        for row in rows:
            groups = [row[k * lanes : (k + 1) * lanes] for k in range(count)]
            packed += [pack_lanes(group, stage.format.width) for group in groups]
            packed += [0] * (pitch - count)
        return packed

    memories = {f"{name}.tokens": words(stage.tokens)}
    if stage.positions is not None:
        memories[f"{name}.positions"] = words(stage.positions)
    return memories


class Embed(wiring.Component):
    """``saturate(tokens[token] + positions[tag.position])`` [size].

    Latency LATENCY.  Throughput one beat a cycle; ``i`` is accepted with the last beat of its row.
    Back-pressure: holds the pipeline.  Tested: sizes 1 to 48, 1 to 16 lanes, positions or none.

    Parameters
    ----------
    name, jobs, layers, lanes, tags, memories: see docs/architecture.md; a single job.

    Members
    -------
    i: stream of :func:`request`.  o: beats of ``jobs[0].format``.
    busy, job: work is inside (from the first read on); the job of the oldest.
    saturated: an element was held to the range of the format (one cycle).

    Raises
    ------
    ValueError
        If there is not exactly one job in one layer: the tables belong to one stage.
    """

    def __init__(
        self, name: str, jobs: Sequence[Stage], layers: int, lanes: int, tags: Tags,
        memories: Memories,
    ):  # fmt: skip
        check_jobs(name, jobs, ())
        if len(jobs) != 1 or layers != 1:
            raise ValueError(f"unit {name}: one embedding, not {len(jobs)} in {layers} layers")
        self._stage, self._lanes, self._tags = jobs[0], lanes, tags
        stage, bits = jobs[0], _beat_bits(jobs[0], lanes)
        width = lanes * stage.format.width
        self._tokens = memories.rom(f"{name}.tokens", width, len(stage.tokens) << bits)
        self._positions = None
        if stage.positions is not None:
            depth = len(stage.positions) << bits
            self._positions = memories.rom(f"{name}.positions", width, depth)
        super().__init__(
            {
                "i": In(stream.Signature(request(len(stage.tokens), tags))),
                "o": Out(stream.Signature(beat(lanes, stage.format, tags))),
                "busy": Out(1),
                "job": Out(tags.job),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        stage, i = self._stage, self.i
        count, bits = beats(stage.output_size, self._lanes), _beat_bits(stage, self._lanes)
        m.submodules.work = work = Work(self._tags.job, 4)
        m.submodules.answer = answer = Queue(self.o.p.shape(), 2)  # whose `ready` is a register
        wiring.connect(m, answer.o, wiring.flipped(self.o))
        index, last = Signal(bits), Signal()
        m.d.comb += last.eq(index == count - 1)

        # Cycle 1: rows come out of the memories.  Cycle 2: their sum is at `o`.
        read = Signal()
        tag, first, final = Signal.like(i.p.tag), Signal(), Signal()
        take, o = Signal(), answer.i
        m.d.comb += [take.eq(~read | o.ready), i.ready.eq(take & last)]
        with m.If(take):
            m.d.sync += [read.eq(i.valid), tag.eq(i.p.tag), first.eq(index == 0), final.eq(last)]
            with m.If(i.valid & (count > 1)):
                m.d.sync += index.eq(index + 1)
                with m.If(last):
                    m.d.sync += index.eq(0)
        roms = {"tokens": (self._tokens, i.p.token)}
        if self._positions is not None:
            roms["positions"] = (self._positions, i.p.tag.position)
        for name, (rom, row) in roms.items():
            m.submodules[name] = rom
            m.d.comb += [rom.addr.eq(Cat(index, row)), rom.en.eq(take)]

        held = []
        m.d.comb += [o.valid.eq(read), o.p.tag.eq(tag), o.p.first.eq(first), o.p.last.eq(final)]
        for k in range(self._lanes):
            width = stage.format.width
            total = sum(rom.data.word_select(k, width).as_signed() for rom, _ in roms.values())
            value, over = numbers.saturate(m, total, width, f"y{k}")
            held.append(over)
            m.d.comb += o.p.data[k].eq(value)
        m.d.sync += self.saturated.eq(read & o.ready & Cat(held).any())
        work.connect(m, i.valid & take & (index == 0), moved(self.o, "last"), i.p.tag.job)
        m.d.comb += [self.busy.eq(work.busy), self.job.eq(work.job)]
        return m

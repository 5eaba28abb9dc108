"""What a token reads, in order: segments of consecutive beats, each for one reader.

The same for every token and every layer; gateware walks through it (hdl/external/itinerary.py), and
a trace of it calibrates the models of memories.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.lib import enum

from golden.stage import Bias
from hdl.external.layout import Layout
from hdl.waits import ancestors


class Reader(enum.Enum, shape=3):
    """Who gets the beats of a segment."""

    EMBED = 0
    NORM = 1
    LINEAR = 2
    KEYS = 3
    VALUES = 4
    BIAS = 5


def readers(layout: Layout) -> list[Reader]:
    """The readers of a memory: those of biases only where there are some."""
    biased = any(isinstance(t.stage, Bias) for t in layout.tensors)
    return [reader for reader in Reader if reader != Reader.BIAS or biased]


@dataclass(frozen=True)
class Segment:
    """Consecutive beats: so many, or (0) as many as there are records of cached positions."""

    reader: Reader
    beats: int


def layer_segments(layout: Layout) -> list[Segment]:
    """The segments of a layer: keys and values of every head stand behind the weights of v."""
    plan = layout.plan
    weights = [t for t in layout.tensors if t.layer == 0 and t.stage in plan.template.stages]
    attention = layout.attention
    cached = [Segment(Reader.KEYS, 0), Segment(Reader.VALUES, 0)] * attention.kv_heads
    found: list[Segment] = []
    makers = {stage.output: stage for stage in plan.template}
    before = ancestors(makers, attention.inputs)
    for tensor in weights:
        if tensor.stage.output not in before and cached:
            found, cached = [*found, *cached], []
        found.append(_segment(tensor))
    return _joined(found)


def head_segments(layout: Layout) -> list[Segment]:
    """The segments behind the layers."""
    stages = layout.plan.epilogue.stages
    return _joined([_segment(t) for t in layout.tensors if t.stage in stages])


def _segment(tensor) -> Segment:
    return Segment(Reader[tensor.stage.kind.upper()], tensor.form.beats)


def _joined(segments: Sequence[Segment]) -> list[Segment]:
    """Neighbours for one reader as one segment; not those of cached positions."""
    joined: list[Segment] = []
    for segment in segments:
        last = joined[-1] if joined else None
        if last and last.reader == segment.reader and segment.beats:
            joined[-1] = Segment(last.reader, last.beats + segment.beats)
        else:
            joined.append(segment)
    return joined

"""From a unit that makes a value to one that reads it: widths are matched, whole vectors held."""

from dataclasses import dataclass

from amaranth.hdl import Module

from golden.numbers import Format
from hdl.fabric import forward
from hdl.replay import VECTORS, Repeat
from hdl.stream import Narrow, Queue, Tags, Widen, beats


@dataclass(frozen=True)
class Endpoint:
    """A stream of beats at a unit: its lanes and format, and whether the reader needs a queue.

    ``buffered``: a whole vector of every stream must be able to wait in front of the reader without
    holding up anybody else (:mod:`hdl.waits`).  ``bypass``: a beat may pass that queue in no time.
    Not so at a residual's ``x``: it waits for its branch anyway, and a ring of residuals would
    close a path of ready signals on itself.
    """

    stream: object
    lanes: int
    form: Format
    buffered: bool = False
    bypass: bool = True


@dataclass(frozen=True)
class Edge:
    """A value of ``size`` elements on its way from ``source`` to its readers at one unit.

    Several readers are jobs of the unit, alike but for their streams; they read one after the
    other.
    """

    source: Endpoint
    readers: tuple[Endpoint, ...]
    size: int
    streams: int
    tags: Tags


def join(m: Module, name: str, edge: Edge, stream) -> None:
    """Connect ``stream`` (the source's, or a fork of it) to the readers.

    No cycle is added, except that a beat waits while its reader is not ready.
    """
    reader, count = edge.readers[0], beats(edge.size, edge.readers[0].lanes)
    stream = _match(m, name, edge, stream)
    several = len(edge.readers) > 1
    if reader.buffered and not (several and edge.streams <= VECTORS):
        queue = Queue(stream.p.shape(), edge.streams * count, bypass=reader.bypass)
        m.submodules[f"{name}_queue"] = queue
        forward(m, stream, queue.i)
        stream = queue.o
    if several:
        m.submodules[f"{name}_repeat"] = repeat = Repeat(stream.p.shape(), count, len(edge.readers))
        forward(m, stream, repeat.i)
    for k, end in enumerate(edge.readers):
        forward(m, repeat.o[k] if several else stream, end.stream)


def _match(m: Module, name: str, edge: Edge, stream):
    """``stream`` in beats of the readers' lanes."""
    source, lanes = edge.source, edge.readers[0].lanes
    if source.lanes == lanes:
        return stream
    kind = Widen if source.lanes < lanes else Narrow
    gear = kind(source.form, source.lanes, lanes, edge.tags, edge.size)
    m.submodules[f"{name}_gear"] = gear
    forward(m, stream, gear.i)
    return gear.o

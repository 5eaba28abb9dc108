"""From a unit that makes a value to one that reads it: widths are matched, whole vectors held."""

from dataclasses import dataclass

from amaranth.hdl import Module

from golden.numbers import Format
from hdl.fabric import forward
from hdl.stream import Narrow, Queue, Tags, Widen, beats


@dataclass(frozen=True)
class Endpoint:
    """A stream of beats at a unit: its lanes and format, and whether the reader needs a queue.

    ``buffered``: the reader serves several jobs or joins several values, so a whole vector of every
    stream must be able to wait in front of it without holding up anybody else.  ``bypass``: a beat
    may pass that queue in no time.  Not so at a residual's ``x``: it waits for its branch anyway,
    and a ring of residuals would close a path of ready signals on itself.
    """

    stream: object
    lanes: int
    form: Format
    buffered: bool = False
    bypass: bool = True


@dataclass(frozen=True)
class Edge:
    """A value of ``size`` elements on its way from ``source`` to ``reader``."""

    source: Endpoint
    reader: Endpoint
    size: int
    streams: int
    tags: Tags


def join(m: Module, name: str, edge: Edge, stream) -> None:
    """Connect ``stream`` (the source's, or a fork of it) to the reader.

    No cycle is added, except that a beat waits in the queue while its reader is not ready.
    """
    source, reader = edge.source, edge.reader
    if source.lanes < reader.lanes:
        gear = Widen(source.form, source.lanes, reader.lanes, edge.tags)
    elif source.lanes > reader.lanes:
        gear = Narrow(source.form, source.lanes, reader.lanes, edge.tags, edge.size)
    else:
        gear = None
    if gear is not None:
        m.submodules[f"{name}_gear"] = gear
        forward(m, stream, gear.i)
        stream = gear.o
    if reader.buffered:
        depth = edge.streams * beats(edge.size, reader.lanes)
        m.submodules[f"{name}_queue"] = queue = Queue(stream.p.shape(), depth, bypass=reader.bypass)
        forward(m, stream, queue.i)
        stream = queue.o
    forward(m, stream, reader.stream)

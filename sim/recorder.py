"""What a simulation writes: one line an event, made inside the simulator, never by Python.

The lines (numbers are hexadecimal, with leading zeros, so that lines of a kind are equally long):

====================================  ==========================================================
``@<tap> <cycle> <payload>``          a beat passed a tap
``r <cycle> <payload>``               a request was taken in
``t <cycle> <payload>``               a token left
``c <counter> <busy> <blocked>``      at the end: a counter
``u <unit> <busy> <blocked> <starved> <job>``  at a hang: the status of a unit
``d <cycle>``                         done
``h <cycle>``                         hung
``e <cycles> <done|hung|limit>``      last line, by the engine: cycles simulated and why it stopped
====================================  ==========================================================

Cycle 0 is the first after reset. ``tap``, ``counter`` and ``unit`` are indices into
:class:`Design`, which names them.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from amaranth.hdl import Format, Fragment, Module, Print, Value

from sim import payload
from sim.payload import Layout

KINDS = frozenset("@rtcudhe")
"""First characters of the lines; whatever else a simulator prints belongs into its log."""

COUNTER_BITS = 48
"""Counters are printed with this many bits at least."""


@dataclass(frozen=True)
class Design:
    """What must be known of a core to simulate it and to read its lines, without elaborating it.

    Parameters
    ----------
    requests, tokens: payloads of the core's streams.
    taps: name and payload of each tap.
    units: names. counters: unit and job of each counter.
    memories: width and depth of each loadable memory.
    port: bits of the port of an external memory that stands outside of the design, or 0.
    """

    requests: Layout
    tokens: Layout
    taps: tuple[tuple[str, Layout], ...]
    units: tuple[str, ...]
    counters: tuple[tuple[str, int], ...]
    memories: Mapping[str, tuple[int, int]]
    port: int = 0

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Design":
        stored = json.loads(text)
        return cls(
            payload.from_json(stored["requests"]),
            payload.from_json(stored["tokens"]),
            tuple((name, payload.from_json(layout)) for name, layout in stored["taps"]),
            tuple(stored["units"]),
            tuple((unit, job) for unit, job in stored["counters"]),
            {name: (width, depth) for name, (width, depth) in stored["memories"].items()},
            stored["port"],
        )


def design_of(core, memories: Mapping[str, tuple[int, int]], port: int = 0) -> Design:
    """Describe a core that has been elaborated; ``memories``: Memories.shapes; port: see Design."""
    return Design(
        payload.describe(core.requests.p.shape()),
        payload.describe(core.tokens.p.shape()),
        tuple((tap.name, payload.describe(tap.payload.shape())) for tap in observed(core, "taps")),
        tuple(unit.name for unit in observed(core, "units")),
        tuple((counter.unit, counter.job) for counter in observed(core, "counters")),
        dict(memories),
        port,
    )


def observed(core, what: str) -> list:
    """The core's ``taps``, ``units`` or ``counters``; empty if it was built without them."""
    return list(getattr(core, what, None) or ())


def add_core(m: Module, core, platform) -> None:
    """Elaborate the core as the submodule ``core``, now, so that its taps exist when it returns."""
    m.submodules.core = Fragment.get(core, platform)


def record_streams(m: Module, core, cycle, enable) -> tuple[Value, Value]:
    """Write a line for every request and token; returns when one is transferred."""
    passed = []
    for kind, stream in (("r", core.requests), ("t", core.tokens)):
        passes = stream.valid & stream.ready & enable
        line = f"{kind} {{:08x}} {_digits(stream.p)}"
        with m.If(passes):
            m.d.sync += Print(Format(line, cycle, Value.cast(stream.p)))
        passed.append(passes)
    return tuple(passed)


def record_taps(m: Module, core, cycle, enable) -> None:
    """Write a line for every beat that passes a tap while ``enable`` is high."""
    for index, tap in enumerate(observed(core, "taps")):
        line = f"@{index:03x} {{:08x}} {_digits(tap.payload)}"
        with m.If(tap.valid & enable):
            m.d.sync += Print(Format(line, cycle, Value.cast(tap.payload)))


def print_counters(m: Module, core) -> None:
    """Write all counters, in the cycle that the caller's ``m.If`` chooses."""
    for index, counter in enumerate(observed(core, "counters")):
        line = f"c {index:03x} {{:0{COUNTER_BITS // 4}x}} {{:0{COUNTER_BITS // 4}x}}"
        m.d.sync += Print(Format(line, counter.busy, counter.blocked))


def print_units(m: Module, core) -> None:
    """Write the status of all units, in the cycle that the caller's ``m.If`` chooses."""
    for index, unit in enumerate(observed(core, "units")):
        line = f"u {index:03x} {{:x}} {{:x}} {{:x}} {{:04x}}"
        job = Value.cast(0) if unit.job is None or not len(unit.job) else unit.job
        m.d.sync += Print(Format(line, unit.busy, unit.blocked, unit.starved, job))


def _digits(view) -> str:
    return f"{{:0{max(-(-len(Value.cast(view)) // 4), 1)}x}}"

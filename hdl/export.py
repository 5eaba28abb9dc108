"""The core for a design of somebody else: AXI4-Stream ports, and a table that explains them.

AXI4-Stream wants whole bytes: every field of a ``tdata`` begins at a byte, and the bits between
fields are ignored (in) or zero (out).  ``tlast`` ends a packet, which is a whole prompt, or all
tokens of a sequence that are sampled; what begins a packet follows from that and is no field.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from amaranth.hdl import Cat, ClockDomain, Module, Shape, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.core_base import CoreBase

BYTE = 8

MEANINGS = {
    "token": "token id",
    "count": "tokens to sample at the most (first beat of a packet)",
    "seed": "seed of the noise (first beat)",
    "sequence": "number of the sequence, free to choose; with the seed it is the key of the noise"
    " (first beat), and it comes back with every token",
    "noise_scale": "0: greedy; else temperature * ln 2 in units of 2**-12 (first beat)",
    "stop": "token that ends the sequence when it is sampled (first beat)",
    "has_stop": "whether `stop` counts (first beat)",
    "start": "position of the first token of the packet: keys and values of those before it lie in"
    " the memory (first beat)",
    "stream": "slot that the sequence lives in",
    "position": "position of the token that this one was sampled after",
    "cycles": "clock cycles from the acceptance of that token to this one",
    "base": "first word that is wanted",
    "count of words": "how many words, at least 1",
    "word": "weights of one beat of inputs and one group of outputs, row-major",
}

PACKETS = {"requests": "prompts, one token a beat", "tokens": "tokens that were sampled"}


@dataclass(frozen=True)
class Field:
    """Bits of a ``tdata``: where they begin, how many, and what they mean."""

    name: str
    offset: int
    width: int
    meaning: str

    @property
    def bits(self) -> str:
        """The range, as Verilog writes it."""
        return f"[{self.offset + self.width - 1}:{self.offset}]"


@dataclass(frozen=True)
class AxiStream:
    """One AXI4-Stream port.

    Parameters
    ----------
    name: ``s_axis_...`` (in) or ``m_axis_...`` (out).  member: of the core.
    fields: of ``tdata``.  packets: whether there is a ``tlast``.  meaning: what it carries.
    """

    name: str
    member: str
    fields: tuple[Field, ...]
    packets: bool
    meaning: str

    @property
    def enters(self) -> bool:
        return self.name.startswith("s_")

    @property
    def width(self) -> int:
        """Bits of ``tdata``: whole bytes."""
        end = max(field.offset + field.width for field in self.fields)
        return -(-end // BYTE) * BYTE

    def members(self) -> dict:
        """Members of the top module."""
        there, back = (In, Out) if self.enters else (Out, In)
        last = {f"{self.name}_tlast": there(1)} if self.packets else {}
        return {
            f"{self.name}_tdata": there(self.width),
            f"{self.name}_tvalid": there(1),
            f"{self.name}_tready": back(1),
            **last,
        }


def axi_stream(core: CoreBase, member: str, name: str, meaning: str) -> AxiStream:
    """The port for a stream of the core: its fields from byte to byte, in order."""
    shape = getattr(core, member).p.shape()
    packets = member in PACKETS
    widths = {"word": Shape.cast(shape).width}
    if isinstance(shape, data.StructLayout):
        widths = {name: Shape.cast(field).width for name, field in shape.members.items()}
    fields, offset = [], 0
    for field, width in widths.items():
        if width and field not in ("first", "last"):
            words = field == "count" and not packets
            said = MEANINGS["count of words" if words else field]
            fields.append(Field(field, offset, width, said))
            offset += -(-width // BYTE) * BYTE
    return AxiStream(name, member, tuple(fields), packets, meaning)


def axi_streams(core: CoreBase) -> tuple[AxiStream, ...]:
    """All ports of a core: requests, tokens, and two for every linear unit whose weights stream."""
    found = [
        axi_stream(core, "requests", "s_axis_request", PACKETS["requests"]),
        axi_stream(core, "tokens", "m_axis_token", PACKETS["tokens"]),
    ]
    for port in core.weight_ports:
        asks, gives = f"weight_requests_{port.unit}", f"weights_{port.unit}"
        what = f"words of `{port.memory}`"
        found += [
            axi_stream(core, asks, f"m_axis_{port.unit}_ask", f"which {what} are wanted next"),
            axi_stream(core, gives, f"s_axis_{port.unit}_weights", f"these {what}, in order"),
        ]
    return tuple(found)


def top_name(model: str) -> str:
    """The name of the top module: an identifier of Verilog."""
    return "weft_" + re.sub(r"\W", "_", model, flags=re.ASCII)


class AxiCore(wiring.Component):
    """A core behind AXI4-Stream ports; no cycle is added.

    Members
    -------
    aclk, aresetn: clock, and reset (active low, synchronous: hold it over a rising edge of aclk).
    idle, saturated: those of hdl.core_base.CoreBase.
    The ports of ``streams``; a beat counts when tvalid and tready meet, and a tvalid stays until
    then.
    """

    def __init__(self, core: CoreBase):
        self._core = core
        self.streams = axi_streams(core)
        ports = {name: port for s in self.streams for name, port in s.members().items()}
        super().__init__(
            {
                "aclk": In(1),
                "aresetn": In(1),
                **ports,
                "idle": Out(1),
                "saturated": Out(len(core.saturated)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = domain = ClockDomain("sync")
        domain.clk = self.aclk
        m.submodules.core = core = self._core
        m.d.comb += [
            domain.rst.eq(~self.aresetn),
            self.idle.eq(core.idle),
            self.saturated.eq(core.saturated),
        ]
        for stream in self.streams:
            (self._enter if stream.enters else self._leave)(m, stream)
        return m

    def _parts(self, stream: AxiStream):
        """valid, ready and tdata of the port, and the core's stream."""
        valid, ready = (getattr(self, f"{stream.name}_t{end}") for end in ("valid", "ready"))
        return (
            valid,
            ready,
            getattr(self, f"{stream.name}_tdata"),
            getattr(self._core, stream.member),
        )

    def _enter(self, m: Module, stream: AxiStream):
        valid, ready, bits, inner = self._parts(stream)
        m.d.comb += [inner.valid.eq(valid), ready.eq(inner.ready)]
        for field in stream.fields:
            part = bits[field.offset : field.offset + field.width]
            m.d.comb += _member(inner.p, field.name).eq(part)
        if stream.packets:
            last = getattr(self, f"{stream.name}_tlast")
            first = Signal(init=1, name=f"{stream.name}_first")
            m.d.comb += [inner.p.first.eq(first), inner.p.last.eq(last)]
            with m.If(valid & ready):
                m.d.sync += first.eq(last)

    def _leave(self, m: Module, stream: AxiStream):
        valid, ready, bits, inner = self._parts(stream)
        m.d.comb += [valid.eq(inner.valid), inner.ready.eq(ready)]
        for field in stream.fields:
            part = bits[field.offset : field.offset + field.width]
            m.d.comb += part.eq(_member(inner.p, field.name))
        if stream.packets:
            m.d.comb += getattr(self, f"{stream.name}_tlast").eq(inner.p.last)


def _member(payload, name: str):
    return payload if name == "word" else Cat(payload[name])


def ports_table(top: AxiCore) -> str:
    """The ports of the core and every field of a ``tdata``, as Markdown."""
    rows = [
        ("`aclk`", "in", 1, "clock"),
        ("`aresetn`", "in", 1, "reset, active low, taken at a rising edge of `aclk`"),
    ]
    for s in top.streams:
        there, back = ("in", "out") if s.enters else ("out", "in")
        rows.append((f"`{s.name}_tdata`", there, s.width, f"{s.meaning}; fields below"))
        rows.append((f"`{s.name}_tvalid`", there, 1, ""))
        rows.append((f"`{s.name}_tready`", back, 1, ""))
        if s.packets:
            rows.append((f"`{s.name}_tlast`", there, 1, "ends the packet"))
    units = [unit.name for unit in top._core.schedule.units]
    named = ", ".join(f"{k} {name}" for k, name in enumerate(units))
    rows += [
        ("`idle`", "out", 1, "no sequence is in work"),
        ("`saturated`", "out", len(units), f"sticky, a bit a unit: an element was held to the"
         f" range of its format ({named})"),
    ]  # fmt: skip
    parts = [_table(("port", "direction", "width", "meaning"), rows)]
    for s in top.streams:
        fields = [(f"`{f.bits}`", f"`{f.name}`", f.width, f.meaning) for f in s.fields]
        parts.append(f"## `{s.name}_tdata`, {s.width} bits\n")
        parts.append(_table(("bits", "field", "width", "meaning"), fields))
    return "\n".join(parts)


def _table(head: tuple, rows: list[tuple]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join("| " + " | ".join(str(cell) for cell in line) + " |\n" for line in lines)

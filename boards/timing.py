"""What place and route says about time: the fastest clock, and what binds it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from golden.errors import WeftError

MADE = re.compile(
    r"_(SB|TRELLIS|LUT|ALU|MULT|PFUMX|L6MUX|CCU2C|DFF|FD[RSCP]E|MUX2|CARRY)[A-Z0-9_].*"
)
"""What Yosys hangs on a name when it makes another of it."""

SHOWN = 6
OF_US = re.compile(r"^(golden|hdl|sim|boards|tests)/")


@dataclass(frozen=True)
class Hop:
    """A net on a path: its name, its delay and that of the cell before (ns), and source lines."""

    net: str
    routing: float
    logic: float
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Timing:
    """The fastest clock; the hops of the slowest path between registers, and where it ends."""

    fmax_mhz: float
    hops: tuple[Hop, ...]
    end: str = ""

    def path(self) -> str:
        """The slowest path in words: nets that have names, first to last, at most SHOWN."""
        nets = [*(hop.net for hop in self.hops), self.end]
        named = [MADE.sub("", net) for net in nets if net and not net.startswith("$")]
        names = list(dict.fromkeys(named)) or ["nets without a name"]
        if len(names) > SHOWN:
            names[SHOWN // 2 : -SHOWN // 2] = ["..."]
        return " -> ".join(names)


def read(report: dict) -> Timing:
    """The timing in a report of nextpnr.

    Raises
    ------
    WeftError
        If it names no clock.
    """
    if not report["fmax"]:
        raise WeftError("place and route found no clock in the design")
    clock, slowest = min(report["fmax"].items(), key=lambda item: item[1]["achieved"])
    wanted = f"posedge {clock}"
    paths = [p["path"] for p in report["critical_paths"] if p["from"] == p["to"] == wanted]
    path = paths[0] if paths else []
    end = path[-1]["to"]["cell"] if path else ""
    return Timing(slowest["achieved"], tuple(_hops(path)), end)


def _hops(path: list[dict]) -> list[Hop]:
    hops, logic = [], 0.0
    for part in path:
        if part["type"] == "routing":
            lines = tuple(line for line in part.get("sources", ()) if OF_US.match(line))
            hops.append(Hop(part["net"], part["delay"], logic, lines))
            logic = 0.0
        else:
            logic += part["delay"]
    return hops

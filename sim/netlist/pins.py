"""What a netlist's pins mean: its clock, the two wires of its UART, and its lights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from golden.errors import WeftError

LIGHTS = ("alive", "busy", "error")
"""Bits of what the simulation says about lights, the lowest first."""


@dataclass(frozen=True)
class Pins:
    """Ports of a netlist's top.

    Parameters
    ----------
    clock: its crystal's.  mhz: frequency.
    rx, tx: the UART's.  baud: its rate.
    lights: name of LIGHTS -> (port, whether it lights when low).
    held: levels of all other inputs.
    """

    clock: str
    mhz: float
    rx: str
    tx: str
    baud: int
    lights: Mapping[str, tuple[str, bool]]
    held: Mapping[str, int] = field(default_factory=dict)

    @property
    def period_ps(self) -> int:
        """Of the clock; even, so that its halves are equal."""
        return 2 * round(5e5 / self.mhz)

    @property
    def bit_ps(self) -> int:
        """Time of a bit on the UART."""
        return round(1e12 / self.baud)

    def bench(self, ports: set[str]) -> str:
        """Verilog that gives the top the same pins whatever it is: clock, rx, tx, lights.

        Raises
        ------
        WeftError
            If the top, whose ports are ``ports``, has others than these.
        """
        wired = {self.clock: "clk", self.rx: "rxd", self.tx: "tx"}
        wired |= {port: f"led[{LIGHTS.index(name)}]" for name, (port, _) in self.lights.items()}
        wired |= {port: f"held_{k}" for k, port in enumerate(self.held)}
        if set(wired) != ports:
            strange = ", ".join(sorted(set(wired) ^ ports))
            raise WeftError(f"the pins of the netlist are not those of the board: {strange}")
        low = "".join(str(int(self.lights.get(name, ("", 0))[1])) for name in reversed(LIGHTS))
        there = "".join(str(int(name in self.lights)) for name in reversed(LIGHTS))
        held = "".join(f"  wire held_{k} = {v};\n" for k, v in enumerate(self.held.values()))
        links = ",\n".join(f"    .\\{port} ({wire})" for port, wire in wired.items())
        return (
            "`timescale 1ps / 1ps\n"
            "module bench(input clock, input rx, output tx, output [2:0] lights);\n"
            "  wire clk = clock;\n  wire rxd = rx;\n  wire [2:0] led;\n"
            f"{held}"
            f"  assign lights = (led ^ 3'b{low}) & 3'b{there};\n"
            f"  top top (\n{links}\n  );\n"
            "endmodule\n"
        )

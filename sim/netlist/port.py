"""A simulated netlist as a port of the host link: bytes go over its UART's wires."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from golden.errors import WeftError
from sim.engines import process
from sim.netlist.pins import LIGHTS, Pins

PS = 10**12
"""In a second."""


class NetlistPort:
    """See sim.host.Port; time is that of the simulation.

    Members
    -------
    seconds: simulated so far.
    lights: those that are on.  lit: those that were on at any time since the last byte.
    """

    def __init__(self, running: subprocess.Popen, log: Path):
        self._running, self._log = running, log
        self._ps = 0
        self.lights, self.lit = set(), set()

    @property
    def seconds(self) -> float:
        return self._ps / PS

    def write(self, data: bytes) -> None:
        """Send bytes; time does not pass."""
        self._tell(f"w {data.hex()}")

    def read(self, timeout: float) -> bytes:
        """Wait for a byte."""
        self._tell(f"r {round(timeout * PS)}")
        now, byte, lights = self._answer().split()[1:]
        self._ps = int(now)
        self.lights, self.lit = (_names(int(part, 16)) for part in lights.split("/"))
        if byte == "!!":
            raise OSError("a byte without a stop bit came")
        return b"" if byte == "--" else bytes.fromhex(byte)

    def _tell(self, line: str) -> None:
        try:
            self._running.stdin.write(line + "\n")
            self._running.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None

    def _answer(self) -> str:
        for line in self._running.stdout:
            if line.startswith("= "):
                return line
            with self._log.open("a") as file:  # what models of cells say
                file.write(line)
        raise self._ended()

    def _ended(self) -> WeftError:
        self._running.wait()
        said = process.tail(self._log.read_text(errors="replace"))
        return WeftError("the simulation of the netlist stopped; its log ends:", said)


def _names(bits: int) -> set[str]:
    return {name for k, name in enumerate(LIGHTS) if bits >> k & 1}


@contextmanager
def running(program: Path, pins: Pins, seed: int, log: Path) -> Iterator[NetlistPort]:
    """Start the program of sim.netlist.program; ``seed`` is that of what is undefined."""
    command = [program.resolve(), pins.period_ps, pins.bit_ps]
    command += [f"+verilator+seed+{seed % (1 << 31) or 1}", "+verilator+rand+reset+2"]
    pipe = subprocess.PIPE
    with (
        log.open("wb") as errors,
        process.started(command, log.parent, pipe, errors, stdin=pipe) as started,
    ):
        yield NetlistPort(started, log)

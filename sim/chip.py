"""A simulated chip: what goes onto a board, behind the two wires of its UART.

The wires end in a pseudo-terminal, so that the host link opens it like the port of a board.  The
simulator toggles and samples them in every cycle; Python sees bytes only.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.errors import WeftError
from hdl import tally
from hdl.memory import Memories
from hdl.soc import Soc, replies
from hdl.uart import LEAST_CYCLES
from sim.build import CACHE, IMAGES, Design
from sim.engines import process
from sim.engines.image import write_image
from sim.engines.verilator import Simulation, Verilator, memory_arguments
from sim.host import Link
from sim.memory_player import flat_members, join_memory
from sim.recorder import design_of
from sim.report import VERSION
from sim.serial_port import SerialPort
from sim.setup.console import last_line

MAIN = Path(process.__file__).with_name("chip.cpp")

CLOCK_HZ = 100_000_000
"""Assumed: simulated time has no other relation to seconds."""

BAUD = CLOCK_HZ // LEAST_CYCLES
"""The fastest that the gateware takes: a byte costs the fewest cycles to simulate.  What hardware
counts for a token does not depend on it."""

TIMEOUT, TOKEN_TIMEOUT = 30.0, 1800.0
"""Seconds for a reply and for a token of a large model, on a busy machine."""

DEATH = 2.0
"""Seconds that a simulator has to end after its line did."""


class Chip(wiring.Component):
    """The gateware of a board, whose own values (HELLO) are loaded like weights.

    Members
    -------
    rx, tx, busy: of hdl.soc.Soc.
    mem_*: the port of an external memory, if the core has one (sim.memory_player.flat_members).
    """

    def __init__(self, core, memories: Memories):
        self._core, self._memories = core, memories
        self._soc = Soc(core, CLOCK_HZ, BAUD, bytes(8), (0, 0, 0))
        flat = flat_members(self._soc) if core.schedule.port else {}
        super().__init__({"rx": In(1, init=1), "tx": Out(1), "busy": Out(1), **flat})

    def elaborate(self, platform):
        m = Module()
        m.submodules.soc = soc = self._soc
        m.d.comb += [soc.rx.eq(self.rx), self.tx.eq(soc.tx), self.busy.eq(soc.busy)]
        if self._core.schedule.port:
            join_memory(m, soc, self)
        return m

    def design(self):
        """What must be loaded; after elaboration."""
        shapes = {**self._memories.shapes, tally.MEMORY: tally.MEMORY_SHAPE}
        return design_of(self._core, shapes, self._core.schedule.port)


class Died(WeftError):
    """The simulator is gone, and with it all that was in it."""


class ChipPort:
    """The terminal of a chip; see :class:`sim.host.Port`.

    Raises
    ------
    Died
        When the simulator is gone, with how it ended.
    """

    def __init__(self, port: SerialPort, simulator: subprocess.Popen, log: Path):
        self._port, self._simulator, self._log = port, simulator, log

    def read(self, timeout: float) -> bytes:
        """The bytes that have come."""
        with self._living():
            return self._port.read(timeout)

    def write(self, data: bytes) -> None:
        """Send bytes."""
        with self._living():
            self._port.write(data)

    @contextmanager
    def _living(self) -> Iterator[None]:
        try:
            yield
        except (OSError, WeftError):
            try:
                status = self._simulator.wait(DEATH)
            except subprocess.TimeoutExpired:
                raise
            said = last_line(self._log.read_text(errors="replace"))
            raise Died(f"the simulated chip died{process.ended(status)}: {said}") from None


def identity(design: Design) -> tuple[bytes, tuple[int, int, int]]:
    """What every device says of itself: first bytes of its plan's digest, and Weft's version."""
    major, minor, patch = map(int, VERSION.split("."))
    return bytes.fromhex(design.plan.digest())[:8], (major, minor, patch)


def build(design: Design, folder: Path = CACHE, quick: bool = False) -> Simulation:
    """The program that is the chip, compiled or found in the cache; ``quick``: for few cycles."""

    def factory(memories: Memories) -> Chip:
        return Chip(design.core(memories, observe=False), memories)

    return Verilator(quick, MAIN).build(factory, f"chip {design.key()}", folder)


@contextmanager
def running(design: Design, simulation: Simulation) -> Iterator[Link]:
    """A link to the chip, which runs as long as the block does.

    Raises
    ------
    WeftError
        If it cannot be started.  Uses of the link: Died, and what sim.host says.
    """
    with tempfile.TemporaryDirectory(prefix="weft-chip-") as name:
        folder = Path(name)
        own = replies(design.plan, design.schedule, CLOCK_HZ, *identity(design))
        image = {**design.loaded(), tally.MEMORY: own}
        write_image(image, simulation.design.memories, folder)
        command, log = [simulation.program(None).resolve(), CLOCK_HZ // BAUD], folder / "log.txt"
        if design.schedule.port:
            command += memory_arguments(design.external.outside(design.plan, IMAGES, folder))
        with (
            _terminal() as (chip_end, port),
            log.open("wb") as file,
            process.started(command, folder, file, file, chip_end) as simulator,
        ):
            chip_end.close()  # so that the terminal ends when the simulator does
            yield Link(ChipPort(port, simulator, log), TIMEOUT, TOKEN_TIMEOUT)


@contextmanager
def _terminal() -> Iterator[tuple[BinaryIO, SerialPort]]:
    """A new pseudo-terminal: the chip's end, and the host's."""
    ends = os.openpty()
    with os.fdopen(ends[0], "wb", buffering=0) as chip_end:
        with os.fdopen(ends[1], "rb", buffering=0):
            name = os.ttyname(ends[1])
            port = SerialPort(lambda: name, BAUD)
        with closing(port):
            yield chip_end, port

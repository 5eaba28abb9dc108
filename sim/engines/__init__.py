"""Three simulators behind one interface: build a design once, run it with any memory contents.

``engine("verilator").build(factory, key, folder)`` answers a :class:`Simulation`; its
:meth:`~Simulation.run` yields the lines of :mod:`sim.recorder` as they are made. All engines give
the same lines, so whoever reads them need not know which engine wrote them.
"""

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from golden.errors import WeftError
from hdl.memory import Memories
from sim.bench import Bench
from sim.recorder import Design

ENGINES = {
    "verilator": "compiled; the fastest, and the slowest to build",
    "icarus": "interpreted, four-valued: shows what is undefined",
    "amaranth": "Python; needs nothing else",
}
"""Names of the engines, and what they are good for; each has a module in this folder."""

DEFAULT = "verilator"

Words = Sequence[int] | np.ndarray
"""Contents of a memory, from address 0; what is not given is zero."""

Factory = Callable[[Memories], Bench]
"""Makes the design; every loadable memory comes from the argument."""


FORMS = ("vcd", "fst")
"""Of waveforms."""


@dataclass(frozen=True)
class Trace:
    """A waveform to write.

    Parameters
    ----------
    path: file to write; its suffix, .vcd or .fst, is the format.
    start: first cycle. cycles: how many; None is all that follow.
    """

    path: Path
    start: int = 0
    cycles: int | None = 2000

    def __post_init__(self):
        if self.start < 0:
            raise WeftError(f"the first cycle to show is {self.start}; expected 0 or more")
        if self.cycles is not None and self.cycles < 1:
            raise WeftError(f"{self.cycles} cycles are to be shown; expected at least 1")

    @property
    def format(self) -> str:
        """``vcd`` or ``fst``."""
        suffix = Path(self.path).suffix.lower().lstrip(".")
        if suffix not in ("vcd", "fst"):
            raise WeftError(f"waveforms are written as .vcd or .fst, not as {Path(self.path).name}")
        return suffix

    def end(self, forever: int) -> int:
        """The cycle after the last."""
        return forever if self.cycles is None else self.start + self.cycles


@dataclass(frozen=True)
class Outside:
    """The external memory around a design that has its port.

    Parameters
    ----------
    model: file that ``weft::open_memory`` opens (sim.memory.models.path).
    contents: files, and the bytes of the memory from which on each lies.
    """

    model: Path
    contents: tuple[tuple[Path, int], ...]


class Simulation(Protocol):
    """A design, built for one engine."""

    design: Design

    def run(
        self,
        image: Mapping[str, Words],
        run_folder: Path,
        trace: Trace | None = None,
        max_cycles: int | None = None,
        memory: Outside | None = None,
    ) -> Iterator[str]:
        """Simulate until the bench is done, and yield its lines live, without their ends.

        Parameters
        ----------
        image
            Contents of every loadable memory, by name.
        run_folder
            Where memory files and logs are written; one run at a time.
        trace
            A waveform to write.
        max_cycles
            Cycles after which the run ends; its last line is then ``e <cycles> limit``.
        memory
            What the design's memory port leads to; only Verilator's designs have one.

        Raises
        ------
        WeftError
            If a memory is missing from the image or too large, a tool is missing, or the simulator
            crashes; with the end of its log.
        """
        ...


class Engine(Protocol):
    """A simulator."""

    name: str

    def build(self, factory: Factory, key: str, folder: Path) -> Simulation:
        """Build a design, or find the one that was built before.

        Parameters
        ----------
        factory
            Makes the design; not called if a design of that key is in the cache.
        key
            Stands for all that the factory's result depends on, except Weft's source files.
        folder
            The cache, shared by all engines and designs.

        Raises
        ------
        WeftError
            If a tool is missing or fails.
        """
        ...


def engine(name: str = DEFAULT) -> Engine:
    """The engine of that name.

    Raises
    ------
    WeftError
        If there is none; the sentence names those that there are.
    """
    if name not in ENGINES:
        raise WeftError(f"there is no simulation engine {name!r}; there are {', '.join(ENGINES)}")
    module = importlib.import_module(f"sim.engines.{name}")
    return module.create()

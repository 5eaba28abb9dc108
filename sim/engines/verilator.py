"""Verilator: a design compiled to a program of its own, driven by ``main.cpp`` (a bench)."""

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from golden.errors import make_folder_for
from sim import tools
from sim.engines import Factory, Outside, Trace, Words, cache, process, verilog
from sim.engines.image import write_image

BENCH_MAIN = Path(__file__).with_name("main.cpp")
MEMORY = Path(__file__).parents[1] / "memory"
HEADERS = sorted(MEMORY.glob("*.h"))
"""What a main with an external memory is made of, besides itself."""

OPTIONS = (
    *("--x-assign", "fast", "--x-initial", "fast", "--no-assert", "-O3", "-Wno-lint"),
    *("--output-split", "4000"),  # several files, so that all cores compile
)

MAKE_OPTIONS = ("OPT_FAST=-O3", "OPT_SLOW=-O1", "OPT_GLOBAL=-O2")
"""How g++ is called: for the code of every cycle, for code that runs once, for the library."""

QUICK_MAKE_OPTIONS = ("OPT_FAST=-O0", "OPT_SLOW=-O0", "OPT_GLOBAL=-O2")
"""The same for runs of a few thousand cycles, which take less time than the compiler saves them."""

TRACES = {None: (), "vcd": ("--trace-vcd",), "fst": ("--trace-fst",)}

FOREVER = 1 << 62


class Verilator:
    """The engine; see :class:`sim.engines.Engine`.

    ``quick``: compile faster, and simulate slower.  ``main``: the program around the design.
    """

    name = "verilator"

    def __init__(self, quick: bool = False, main: Path = BENCH_MAIN):
        self._options, self._main = QUICK_MAKE_OPTIONS if quick else MAKE_OPTIONS, main

    def build(self, factory: Factory, key: str, folder: Path) -> "Simulation":
        simulation = self.generate(factory, key, folder)
        simulation.program(None)
        return simulation

    def generate(self, factory: Factory, key: str, folder: Path) -> "Simulation":
        """As ``build``, but nothing is compiled before it is needed."""
        tools.verilator()
        generated = verilog.generate(factory, key, folder)
        return Simulation(generated, Path(folder), self._options, self._main)


class Simulation:
    """A compiled design; see :class:`sim.engines.Simulation`, which tells of benches."""

    def __init__(self, generated: verilog.Generated, folder: Path, options, main: Path):
        self.design = generated.design
        self._generated, self._folder, self._options = generated, folder, options
        self._main = main

    def program(self, trace: str | None) -> Path:
        """The program; those that can write waveforms are built when one is first asked for."""
        text, main = self._generated.text, [path.read_bytes() for path in (self._main, *HEADERS)]
        name = cache.digest(text, *main, OPTIONS, self._options, trace, _versions())
        what = "compiling the simulation with Verilator"
        what += f" (for {trace.upper()} waveforms)" if trace else ""
        folder = self._folder / "verilator"
        return cache.cached(folder / name, lambda path: self._make(path, trace), what) / "sim"

    def _make(self, folder: Path, trace: str | None) -> None:
        source = self._generated.path.resolve()
        command = ["--cc", "--exe", *OPTIONS, *TRACES[trace], "--top-module", "top"]
        command += ["--prefix", "Vtop", "-Mdir", "obj", "-o", "sim", source, self._main]
        if self.design.port:
            command += ["-CFLAGS", f"-DWEFT_MEMORY -I{MEMORY}", "-LDFLAGS", "-ldl"]
        process.execute([tools.verilator(), *command], folder, "Verilator")
        compile_with_runtime(folder / "obj", self._folder / "verilator", self._options)
        (folder / "obj" / "sim").rename(folder / "sim")
        shutil.rmtree(folder / "obj")

    def run(
        self,
        image: Mapping[str, Words],
        run_folder: Path,
        trace: Trace | None = None,
        max_cycles: int | None = None,
        memory: Outside | None = None,
    ) -> Iterator[str]:
        program = self.program(trace and trace.format)
        make_folder_for(Path(run_folder) / "log.txt")
        write_image(image, self.design.memories, run_folder)
        command = [program.resolve(), FOREVER if max_cycles is None else max_cycles]
        if trace:
            make_folder_for(trace.path)
            command += [Path(trace.path).resolve(), trace.start, trace.end(FOREVER)]
        if memory:
            command += memory_arguments(memory)
        return process.stream(command, run_folder, "the simulation")


def memory_arguments(memory: Outside) -> list[str]:
    """How a program is told what memory it has."""
    contents = (f"load={at}:{Path(path).resolve()}" for path, at in memory.contents)
    return [f"memory={Path(memory.model).resolve()}", *contents]


def compile_with_runtime(folder: Path, cached_in: Path, options=MAKE_OPTIONS) -> None:
    """Compile Verilator's output; its library, the same for all designs, is compiled only once.

    Parameters
    ----------
    folder
        Verilator's output (its ``-Mdir``).
    cached_in
        Folder that keeps the objects of the library.
    options
        For make: how to optimise.
    """
    listed = (folder / "Vtop_classes.mk").read_text()
    switches = [line for line in listed.splitlines() if line.startswith("VM_") and " = " in line]
    switches = [line for line in switches if not line.startswith("VM_PARALLEL_BUILDS")]
    runtime = cached_in / f"runtime-{cache.digest(switches, options, _versions())}"
    jobs = len(os.sched_getaffinity(0))
    make = ["make", "-f", "Vtop.mk", f"-j{jobs}", f"CXX={tools.cxx()}", *options]
    if runtime.is_dir():
        for path in runtime.iterdir():  # newer than Vtop.mk: make takes them as they are
            shutil.copyfile(path, folder / path.name)
    process.execute(make, folder, "the C++ compiler")

    def keep(temporary: Path) -> None:
        for path in folder.glob("verilated*.o"):
            shutil.copyfile(path, temporary / path.name)

    cache.cached(runtime, keep)


def _versions() -> str:
    located = (tools.verilator(), tools.cxx())
    return ", ".join(f"{path.name} {tools.version_of(path)}" for path in located)


def create() -> Verilator:
    """The engine."""
    return Verilator()

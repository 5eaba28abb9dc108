"""LiteDRAM's controller and chip model as a shared library that has the interface of ``memory.h``.

Its packages, what they generate and what is compiled of that stay in the folder of tools.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from sim import tools
from sim.engines import cache, process
from sim.engines.verilator import compile_with_runtime
from sim.setup import paths, python
from sim.setup.console import step
from sim.setup.once import once

LOCK = paths.ROOT / "requirements-memory.txt"
HERE = Path(__file__).parent
GENERATE, MAIN = HERE / "generate.py", HERE / "litedram.cpp"
HEADERS = tuple(HERE / f"{name}.h" for name in ("memory", "timing", "write_queue"))

OPTIONS = (
    *("--x-assign", "fast", "--x-initial", "fast", "--no-assert", "-O3"),
    *("-Wno-lint", "-Wno-COMBDLY"),  # LiteX writes <= in combinational blocks, and means it
    *("--output-split", "4000"),
    # A library's own symbols come before those of the program that opens it, which has a Vtop too.
    *("-LDFLAGS", "-shared -Wl,-Bsymbolic"),
)
LIBRARY = "-fPIC -fvisibility=hidden"
MAKE_OPTIONS = (f"OPT_FAST=-O3 {LIBRARY}", f"OPT_SLOW=-O1 {LIBRARY}", f"OPT_GLOBAL=-O2 {LIBRARY}")


def folder() -> Path:
    """Where all of it is kept."""
    return paths.tools() / "memory"


def build(memory: str) -> Path:
    """The library of a memory, made if need be.

    Raises
    ------
    WeftError
        If the packages cannot be had, or a tool fails.
    """
    sources = [path.read_bytes() for path in (LOCK, GENERATE, MAIN, *HEADERS)]
    versions = [tools.version_of(path) for path in (tools.verilator(), tools.cxx())]
    name = cache.digest(memory, *sources, OPTIONS, MAKE_OPTIONS, versions)

    def make(target: Path) -> None:
        generate(memory, target)
        command = [tools.verilator(), "--cc", "--exe", *OPTIONS, "--top-module", "litedram"]
        command += ["-CFLAGS", f"-I{HERE} -I..", "--prefix", "Vtop", "-Mdir", "obj"]
        command += ["-o", "memory.so", "litedram.v", "public.vlt", MAIN]
        process.execute(command, target, "Verilator")
        compile_with_runtime(target / "obj", folder() / "verilator", MAKE_OPTIONS)
        (target / "obj" / "memory.so").rename(target / "memory.so")
        shutil.rmtree(target / "obj")

    what = f"compiling LiteDRAM's controller for {memory} with Verilator"
    return cache.cached(folder() / "models" / f"{memory}-{name}", make, what) / "memory.so"


def generate(memory: str, target: Path, script: Path = GENERATE) -> None:
    """Let LiteDRAM write what a script (``generate.py``) tells of into a folder."""
    inputs = (LOCK, Path(python.__file__))
    packages = once(folder() / "packages", inputs, _install, "LiteDRAM's packages")
    process.execute([packages / "bin/python", script, memory, "."], target, "LiteDRAM")


def _install(target: Path, log: Path) -> None:
    with step("LiteDRAM, hashes checked") as note:
        python.install(python.environment(target, log), ["-r", LOCK], log, note)

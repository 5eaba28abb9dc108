"""nextpnr and Project X-Ray for the 7 series: packages of a newer Debian, unpacked into a folder.

``xc7.lock`` names every package with its version and hash.  ``apt-get`` fetches them, with lists of
its own, from the mirror of Debian that this machine names already (or that ``DEBIAN_MIRROR`` does).
The programs run with the libraries beside them, so the system's own do not matter.
``python -m boards.setup.debian`` writes the lock anew, with the versions that the mirror has today.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import sys
import tempfile
from pathlib import Path

from golden.errors import write_whole
from sim.setup.console import SetupError, run, step

LOCK = Path(__file__).with_name("xc7.lock")
SUITE = "forky"
ROOTS = (
    "nextpnr-himbaechel-xilinx",
    "nextpnr-himbaechel-xilinx-chipdb",
    "prjxray",
    "prjxray-database",
)
PROGRAMS = ("nextpnr-himbaechel-xilinx", "xc7frames2bit", "bitread")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MIRROR = "DEBIAN_MIRROR"
"""Variable that names a mirror, for machines that are not Debian."""

WRAPPER = """\
#!/bin/sh
# {name} from the packages unpacked here, with their own libraries.
root=$(dirname "$(dirname "$(readlink -f "$0")")")/root
lib=$root/usr/lib/x86_64-linux-gnu
export PYTHONHOME=$root/usr
exec "$lib/ld-linux-x86-64.so.2" --library-path "$lib" "$root/usr/bin/{name}" "$@"
"""
"""Programs of the newer Debian need its C library, which must be started by its own loader."""


def unpack(target: Path, log: Path) -> None:
    """Fetch what the lock names, check it, unpack it into ``root`` and wrap it in ``bin``.

    Raises
    ------
    SetupError
        If this is another kind of machine, or a package cannot be had or has another hash.
    """
    if platform.machine() != "x86_64" or not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise SetupError(
            "the open tools for the 7 series are fetched with apt-get for x86-64 only; put "
            f"{', '.join(PROGRAMS)} on PATH, or use TOOLCHAIN=vivado"
        )
    pins = read_lock()
    with step(f"nextpnr and Project X-Ray: {len(pins)} packages of Debian, hashes checked") as note:
        target.mkdir(parents=True)
        with tempfile.TemporaryDirectory(prefix="apt-", dir=target) as state:
            options = _lists(Path(state), log)
            note("downloading")
            wanted = [f"{name}={version}" for name, (version, _) in pins.items()]
            if run(["apt-get", *options, "download", *wanted], log, cwd=Path(state))[0]:
                raise SetupError(
                    f"Debian's mirror cannot be reached, or has newer packages than {LOCK.name} "
                    f"names: `make lock` takes those; the log is {log}"
                )
            note("unpacking")
            for package in sorted(Path(state).glob("*.deb")):
                _check(package, pins)
                if run(["dpkg", "-x", package, target / "root"], log)[0]:
                    raise SetupError(f"{package.name} could not be unpacked; the log is {log}")
        for name in PROGRAMS:
            write_whole(target / "bin" / name, WRAPPER.format(name=name).encode())
            (target / "bin" / name).chmod(0o755)


def read_lock() -> dict[str, tuple[str, str]]:
    """Package -> (version, SHA-256)."""
    lines = [line.split() for line in LOCK.read_text().splitlines() if not line.startswith("#")]
    return {name: (version, digest) for name, version, digest in lines}


def _check(package: Path, pins: dict[str, tuple[str, str]]) -> None:
    expected = pins[package.name.partition("_")[0]][1]
    if hashlib.sha256(package.read_bytes()).hexdigest() != expected:
        raise SetupError(
            f"{package.name} does not have the hash that {LOCK.name} names, so nothing was unpacked"
        )


def mirror() -> str:
    """The address of a mirror of Debian: DEBIAN_MIRROR, or what this machine's apt names.

    Raises
    ------
    SetupError
        If there is none.
    """
    if given := os.environ.get(MIRROR):
        return given
    sources = Path("/etc/apt")
    for path in (*sources.glob("sources.list.d/*"), *sources.glob("sources.list")):
        for line in path.read_text(errors="replace").splitlines():
            named = re.match(r"(?:URIs:|deb\b(?:\s*\[[^]]*\])?)\s+(\S+/debian/?)(\s|$)", line)
            if named:
                return named[1]
    raise SetupError(
        f"this machine's apt names no mirror of Debian: give the address of one as {MIRROR}"
    )


def _lists(state: Path, log: Path) -> list[str]:
    """Fetch the suite's package lists into a folder; return apt's options that make it use them."""
    for name in ("lists/partial", "cache/archives/partial"):
        (state / name).mkdir(parents=True)
    trust = f"[signed-by={KEYRING}] " if KEYRING.exists() else ""
    (state / "sources.list").write_text(f"deb {trust}{mirror()} {SUITE} main\n")
    settings = [
        f"Dir::Etc::sourcelist={state / 'sources.list'}",
        "Dir::Etc::sourceparts=/dev/null",
        f"Dir::State::lists={state / 'lists'}",
        f"Dir::Cache={state / 'cache'}",
        "Acquire::Check-Valid-Until=false",
        "Acquire::Languages=none",
        "Acquire::Retries=2",
        "APT::Sandbox::User=root",  # the folder need not be open to apt's own user
    ]
    options = [word for setting in settings for word in ("-o", setting)]
    if run(["apt-get", *options, "update"], log)[0]:
        raise SetupError(f"Debian's mirror cannot be reached; the log is {log}")
    return options


def write_lock(log: Path) -> None:
    """Pin what the mirror has today: ROOTS and everything that they depend on."""
    without = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
    with tempfile.TemporaryDirectory() as state:
        options = _lists(Path(state), log)
        switches = ["--recurse", *(f"--no-{kind}" for kind in without)]
        said = run(["apt-cache", *options, "depends", *switches, *ROOTS], log)[1]
        names = sorted(set(re.findall(r"^[a-z0-9][^\s:]*$", said, re.M)))
        records = run(["apt-cache", *options, "show", "--no-all-versions", *names], log)[1]
    pins = re.findall(
        r"^Package: (\S+)\n(?:.+\n)*?Version: (\S+)\n(?:.+\n)*?SHA256: (\S+)", records, re.M
    )
    lines = [f"{name} {version} {digest}\n" for name, version, digest in sorted(set(pins))]
    head = f"# Written by `make lock`: package, version and SHA-256, of Debian's {SUITE}.\n"
    write_whole(LOCK, (head + "".join(lines)).encode())


if __name__ == "__main__":
    write_lock(Path(sys.argv[1]))

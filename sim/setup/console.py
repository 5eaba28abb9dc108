"""What the set-up shows: a line for each step, and one sentence when it fails."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path

from golden import lines


class SetupError(Exception):
    """Something that the user can put right, told in one sentence."""


@contextmanager
def step(title: str):
    """Show a step while it runs, and how long it took.

    Yields
    ------
    callable
        Shows a word of progress beside the title; only on a terminal, where it can be wiped.
    """
    terminal = sys.stdout.isatty()
    began = time.monotonic()

    def note(word: str = "") -> None:
        if terminal:
            print(f"\r\x1b[K  {title} ... {word}"[:100], end="", flush=True)
            lines.leave_open()

    def begin() -> None:
        print(f"  {title} ... ", end="", flush=True)
        lines.leave_open()

    def end(word: str) -> None:
        if not lines.close():  # somebody else had something to say
            begin()
        print(word)
        lines.close()

    begin()
    try:
        yield note
    except BaseException:
        end("failed")
        raise
    note()
    end(f"{time.monotonic() - began:.1f} s")


def run(
    command: Sequence[str | Path],
    log: Path,
    *,
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
    on_line: Callable[[str], None] = lambda line: None,
) -> tuple[int, str]:
    """Run a command and append what it says to a log.

    Parameters
    ----------
    command : sequence of str or path
        Program and arguments.
    log : Path
        File that the command's output is appended to.
    env : dict
        Environment; this process's own if left out.
    cwd : Path
        Folder to run in.
    on_line : callable
        Called with each line of output as it comes.

    Returns
    -------
    tuple
        Exit status, and all output of this command as text.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    with log.open("a", encoding="utf-8") as file:
        file.write("$ " + " ".join(map(str, command)) + "\n")
        process = subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=env,
            cwd=cwd,
        )
        with process:
            for line in process.stdout:
                file.write(line)
                file.flush()
                lines.append(line)
                on_line(line)
        return process.returncode, "".join(lines)


def last_line(text: str) -> str:
    """The last line of a command's output, where most programs say why they failed."""
    return (text.strip().splitlines() or ["it said nothing"])[-1].strip()

"""Ctrl-C in a program that ``make`` runs on a terminal."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from golden.cli import FROM_MAKE

ROOT = Path(__file__).parents[1]

PROGRAM = """
import os, sys, time
from contextlib import nullcontext
from sim.foreground import alone

group = os.getpgrp()
with alone() if sys.argv[1] == "alone" else nullcontext():
    try:
        print("ready", flush=True)
        time.sleep(30)
    except KeyboardInterrupt:
        print("heard", flush=True)
print("left", os.getpgrp() == group == os.tcgetpgrp(0), flush=True)
"""

ON_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


def said(terminal, wanted):
    """What comes from a terminal until a word of it; all of it if that does not come."""
    text = ""
    while wanted not in text:
        try:
            text += os.read(terminal, 1024).decode()
        except OSError:  # nobody has it open any more
            break
    return text


@pytest.fixture
def run(tmp_path):
    """Runs the program on a terminal of its own, from ``make``; answers what it said and status."""
    running = []

    def run(mode, variable):
        (tmp_path / "program.py").write_text(PROGRAM)
        recipe = f"{variable}=1 {sys.executable} {tmp_path}/program.py {mode}"
        (tmp_path / "Makefile").write_text(f"all:\n\t@{recipe}\n")
        own, theirs = os.openpty()
        process = subprocess.Popen(
            [sys.executable, "-c", ON_TERMINAL, "make", "-C", str(tmp_path)],
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        running.append((process, own))
        os.close(theirs)
        text = said(own, "ready")
        os.write(own, b"\x03")
        return text + said(own, "nothing"), process.wait(timeout=20)

    yield run
    for process, own in running:
        os.close(own)
        process.kill()
        process.wait()


def test_make_does_not_hear_it(run):
    text, status = run("alone", FROM_MAKE)
    assert "heard" in text
    assert "left True" in text
    assert (status, "***" in text) == (0, False)


@pytest.mark.parametrize(("mode", "variable"), [("alone", "OTHER"), ("with", FROM_MAKE)])
def test_else_it_does(run, mode, variable):
    text, status = run(mode, variable)
    assert "heard" in text
    assert status != 0

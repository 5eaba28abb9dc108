"""What a process writes, read ahead of a reader that is busy."""

import os
import subprocess
import sys
import threading
import time

import pytest

from sim.engines import pipe

TALK = "import sys; sys.stdout.write(''.join(f'{k:09d}\\n' for k in range(300_000))); print('end')"


def talking(program):
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)


def test_a_process_need_not_wait_for_its_reader():
    with talking(TALK) as process:
        lines = pipe.lines(process.stdout)
        assert next(lines) == "000000000\n"
        assert process.wait(timeout=60) == 0  # 3 MB are through; a pipe holds 64 KiB
        assert list(lines) == [*(f"{k:09d}\n" for k in range(1, 300_000)), "end\n"]


def test_a_line_without_an_end_and_strange_bytes():
    with talking("import os; os.write(1, b'a\\n\\xff\\xfe\\nb')") as process:
        assert list(pipe.lines(process.stdout)) == ["a\n", "\ufffd\ufffd\n", "b"]


def test_lines_come_while_the_process_lives():
    read, write = os.pipe()
    with os.fdopen(read, "rb") as file:
        lines = pipe.lines(file)
        os.write(write, b"one\ntw")
        assert next(lines) == "one\n"
        os.write(write, b"o\n")
        assert next(lines) == "two\n"
        os.close(write)
        assert list(lines) == []


@pytest.mark.parametrize("kept", [2, 2048])
def test_a_reader_that_leaves_ends_the_thread(kept, monkeypatch):
    monkeypatch.setattr(pipe, "KEPT", kept)
    before = threading.active_count()
    with talking(TALK) as process:
        lines = pipe.lines(process.stdout)
        next(lines)
        lines.close()
        process.kill()
    deadline = time.monotonic() + 20
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() == before

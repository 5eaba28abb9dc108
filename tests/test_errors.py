import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from golden.errors import (
    ENDING,
    Ended,
    OptionError,
    WeftError,
    check_writable,
    make_folder_for,
    reporting_errors,
    write_whole,
)

ROOT = Path(__file__).parent.parent


class Special(WeftError):
    exit_status = 7


@pytest.mark.parametrize(("error", "status"), [(WeftError, 2), (Special, 7)])
def test_an_error_is_one_sentence_and_a_status(capsys, error, status):
    with pytest.raises(SystemExit) as end, reporting_errors():
        raise error("the file x is missing; expected a checkpoint")
    assert end.value.code == status
    assert capsys.readouterr() == ("", "weft: the file x is missing; expected a checkpoint\n")


def test_interrupt_is_quiet(capsys):
    @reporting_errors()
    def body():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as end:
        body()
    assert end.value.code == 130
    assert capsys.readouterr() == ("", "")


@pytest.fixture
def default_signals():
    """Whoever started the tests may ignore some, as nohup does."""
    before = {each: signal.signal(each, signal.SIG_DFL) for each in ENDING}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.mark.parametrize("number", ENDING)
@pytest.mark.usefixtures("default_signals")
def test_a_signal_to_end_leaves_every_block(capsys, number):
    seen = []

    @reporting_errors()
    def body():
        try:
            signal.raise_signal(number)
        except Exception:
            seen.append("handled as a mere error")
        finally:
            signal.raise_signal(number)  # a second one changes nothing
            seen.append("cleared up")

    with pytest.raises(SystemExit) as end:
        body()
    assert end.value.code == 128 + number
    assert seen == ["cleared up"]
    assert capsys.readouterr() == ("", "")
    assert signal.getsignal(number) is signal.SIG_DFL


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with reporting_errors():
            signal.raise_signal(signal.SIGHUP)
        with pytest.raises(SystemExit), reporting_errors():
            raise Ended(signal.SIGTERM)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_option_error_tells_option_and_problem():
    error = OptionError("names", "is 0; expected at least 1")
    assert (str(error), error.option) == ("names is 0; expected at least 1", "names")
    assert error.exit_status == 2


def test_defects_keep_their_traceback():
    with pytest.raises(ZeroDivisionError), reporting_errors():
        raise ZeroDivisionError


def test_a_reader_that_went_away_is_no_error(capfd):
    saved = os.dup(1)
    read, write = os.pipe()
    os.dup2(write, 1)
    os.close(write)
    os.close(read)
    with open(1, "w", closefd=False) as stdout, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", stdout)
        with pytest.raises(SystemExit) as end, reporting_errors():
            print("nobody reads this")
        print("nor this", flush=True)
    os.dup2(saved, 1)
    os.close(saved)
    assert end.value.code == 0
    assert capfd.readouterr().err == ""


def test_write_whole_replaces_and_makes_folders(tmp_path):
    path = tmp_path / "a" / "b" / "file.bin"
    write_whole(path, b"one")
    write_whole(path, lambda file: file.write(b"two"))
    assert path.read_bytes() == b"two"
    assert [file.name for file in path.parent.iterdir()] == ["file.bin"]


def test_write_whole_obeys_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        write_whole(tmp_path / "file", b"")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_write_whole_keeps_the_old_file_when_the_writer_fails(tmp_path, failure):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def writer(file):
        file.write(b"half of the new")
        raise failure

    with pytest.raises(failure):
        write_whole(path, writer)
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_write_whole_names_the_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    folder = tmp_path / "file" / "folder"
    with pytest.raises(WeftError, match=f"in the folder {folder}: "):
        write_whole(folder / "x", b"")


def test_write_whole_over_a_folder(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(WeftError, match=f"cannot write x in the folder {tmp_path}"):
        write_whole(tmp_path / "x", b"")
    assert [file.name for file in tmp_path.iterdir()] == ["x"]


def test_a_file_that_can_be_written(tmp_path):
    (tmp_path / "old").write_bytes(b"old")
    for name in ("new", "old", "a/b/new"):
        check_writable(tmp_path / name)
    assert [(file.name, file.read_bytes()) for file in tmp_path.rglob("*")] == [("old", b"old")]


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("file/x", "cannot write x in the folder .*/file: Not a directory"),
        ("file/a/x", "cannot write x in the folder .*/file/a: Not a directory"),
        ("folder", "folder is a folder; expected the name of a file"),
        ("/dev/null", "/dev/null is no ordinary file; expected the name of a file"),
        ("/proc/x", "cannot write x in the folder /proc: "),
        ("/proc/a/b/x", "cannot write x in the folder /proc/a/b: "),
        ("x" * 256, "cannot write x{256} in the folder .*: File name too long"),
        ("a/" + "x" * 256, "cannot write x{256} in the folder .*/a: File name too long"),
    ],
)
def test_a_file_that_cannot_be_written(tmp_path, path, sentence):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(WeftError, match=sentence):
        check_writable(tmp_path / path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "folder"]


def test_disk_full_names_the_folder(tmp_path):
    def writer(file):
        raise OSError(28, "No space left on device")

    with pytest.raises(WeftError, match=f"{tmp_path}: No space left on device"):
        write_whole(tmp_path / "x", writer)
    assert [file.name for file in tmp_path.iterdir()] == []


def test_a_read_only_folder_is_refused_early(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(WeftError, match="Permission denied"):
        make_folder_for(tmp_path / "x")


def test_a_folder_that_became_read_only(tmp_path, monkeypatch):
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with pytest.raises(WeftError, match=f"in the folder {tmp_path}: Permission denied"):
        write_whole(tmp_path / "x", b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_output_is_one_sentence():
    with Path("/dev/full").open("w") as full:
        run = subprocess.run(
            [sys.executable, "-m", "golden", "--help"],
            stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
    assert run.returncode == 2
    assert run.stderr.startswith("weft: no space is left")
    assert len(run.stderr.splitlines()) == 1


def test_a_reader_that_leaves_is_no_mismatch():
    shell = f"{sys.executable} -m golden --help | true; echo ${{PIPESTATUS[0]}}"
    run = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, cwd=ROOT)
    assert (run.stdout.strip(), run.stderr) == ("0", "")


def test_names_out_of_files_stay_in_the_line(capsys):
    with pytest.raises(SystemExit), reporting_errors():
        raise WeftError("tensor bad\n\x1b[31mné日\u202e is unexpected", log="    line\n    line")
    expected = "weft: tensor bad\\n\\x1b[31mné日\\u202e is unexpected\n    line\n    line\n"
    assert capsys.readouterr().err == expected

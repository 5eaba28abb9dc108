"""``make gatesim``: what it refuses, what it reports, and every family once."""

import json

import pytest

from boards.__main__ import app
from boards.baselines import BOARDS
from boards.commands import gatesim as command
from golden.cli import run
from sim.mismatch import Mismatch
from sim.netlist.check import Outcome
from sim.replies import Token
from sim.setup.paths import ROOT

FAMILIES = ("arty", "ulx3s", "icebreaker", "tangnano9k")


def ended(capsys, status, *words):
    with pytest.raises(SystemExit) as end:
        run(app, "boards", ["gatesim", *words])
    assert end.value.code == status
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--board=x"], "--board is 'x'; expected one of arty,"),
        (["--clock=2000"], "--clock is 2000; expected a frequency from 1 to 1000 MHz"),
        (["--board=arty", "--clock=30"], "--clock is 30; arty makes 100 MHz, or that halved"),
        (["--prompt=é"], "é"),
        (["--multipliers=0"], "--multipliers is 0; expected"),
        (["--names=0"], "--names is 0; expected"),
    ],
)
def test_refused_before_any_work(monkeypatch, tmp_path, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    assert said in ended(capsys, 2, *words)
    assert not (tmp_path / "build").exists()


@pytest.fixture
def steps(monkeypatch, tmp_path):
    """No step is done; a simulation gives what ``simulated`` gives."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command.build, "synthesise", lambda order, cache: tmp_path)
    monkeypatch.setattr(command.netlists, "core_cycles", lambda *_: [7])

    def set_up(simulated):
        monkeypatch.setattr(command.netlists, "simulate", simulated)

    return set_up


def test_a_mismatch_ends_with_status_1(steps, tmp_path, capsys):
    def simulated(*_):
        raise Mismatch("sequence 0, position 3: the integer model sampled token 1, the netlist 2")

    steps(simulated)
    assert "weft: sequence 0, position 3: the integer" in ended(capsys, 1, "--multipliers=8")
    assert not (tmp_path / "build/gatesim/arty/microgpt/report.json").exists()


def test_report(steps, tmp_path, capsys):
    outcome = Outcome([Token(1, 0, 7, True)], 12, {"tokens": 1})
    steps(lambda *_: command.netlists.Result(outcome, {"LUT6": 3, "FDRE": 4}, 5000, 0.5))
    run(app, "boards", ["gatesim", "--multipliers=8", "--clock=50"])
    report = json.loads((tmp_path / "build/gatesim/arty/microgpt/report.json").read_text())
    expected = {
        "board": "arty", "model": "microgpt", "tokens": 1, "compared": 12, "mismatches": 0,
        "cells": {"LUT6": 3, "FDRE": 4}, "simulated_cycles": 5000, "clock_mhz": 50,
        "simulated_cycles_per_second": 10000, "counters": {"tokens": 1},
    }  # fmt: skip
    assert {name: report[name] for name in expected} == expected
    assert {"verilator", "pyosys"} <= set(report["tools"])
    assert "1 tokens, 12 values compared, no mismatch" in capsys.readouterr().out


@pytest.mark.boards
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("board", FAMILIES)
def test_every_family(board, monkeypatch):
    """Two names, on the netlist that is made fastest, or the only one that fits."""
    monkeypatch.chdir(ROOT)
    few = ["--multipliers=2"] if BOARDS[board].schedule == "folded" else []
    run(app, "boards", ["gatesim", f"--board={board}", *few])
    report = json.loads((ROOT / f"build/gatesim/{board}/microgpt/report.json").read_text())
    assert report["tokens"] == 13
    assert report["compared"] > 80
    assert report["counters"]["tokens"] == 13

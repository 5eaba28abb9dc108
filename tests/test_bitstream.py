"""The command that makes bitstreams: what it refuses, and what it keeps."""

import json
import re

import pytest

from boards import build, gateware, timing
from boards.__main__ import app
from boards.commands import bitstream
from boards.tools import Tools
from golden.cli import run

CYCLES = {8: {"first": 500, "mean": 512.5, "max": 600}}
"""By multipliers: those of the design that is built are measured."""


@pytest.fixture
def steps(monkeypatch, tmp_path):
    """No step is done: the netlist is small, and the layout reaches ``fmax`` MHz."""
    monkeypatch.chdir(tmp_path)
    netlist = tmp_path / "netlist"
    netlist.mkdir()
    reached = {"fmax": 110.0, "lut": 5000, "seeds": {}}

    def synthesise(order, cache):
        cells = {"LUT6": reached["lut"], "FDRE": 300, "DSP48E1": 8}
        (netlist / "stat.json").write_text(json.dumps({"design": {"num_cells_by_type": cells}}))
        return netlist

    def place(order, netlist, cache):
        hops = (timing.Hop("a", 1.0, 0.5, ("hdl/core.py:1",)),)
        tools = Tools({}, {"nextpnr": "1.2"}, tmp_path)
        mhz = reached["seeds"].get(order.seed, reached["fmax"])
        return build.Placed(netlist, netlist, order.seed, timing.Timing(mhz, hops), tools)

    def cached(folder, make, what=""):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "top.bit").write_bytes(b"bits of the new one")
        return folder

    monkeypatch.setattr(build, "synthesise", synthesise)
    monkeypatch.setattr(build, "place", place)
    monkeypatch.setattr(build.cache, "cached", cached)
    monkeypatch.setattr(build, "sources_digest", lambda: "")
    monkeypatch.setattr(gateware, "key", lambda design: "")
    monkeypatch.setattr(bitstream, "measure", lambda design: CYCLES[design.schedule.multipliers])
    monkeypatch.setattr(bitstream.build.Order, "flow", property(lambda order: FLOW))
    return reached


class FLOW:
    """A flow with no tools."""

    product, packers, untimed = "bit", (), ("some",)


def refused(capsys, *words):
    with pytest.raises(SystemExit) as end:
        run(app, "boards", ["bitstream", *words])
    assert end.value.code == 2
    return capsys.readouterr().err


def test_report(steps, tmp_path, capsys):
    run(app, "boards", ["bitstream", "--board=arty", "--multipliers=8"])
    folder = tmp_path / "build/boards/arty/microgpt"
    report = json.loads((folder / "report.json").read_text())
    assert report["board"] == "arty"
    assert report["used"] == {"lut": 5000, "ff": 300, "dsp": 8, "bram": 0}
    assert report["available"]["lut"] == 20800
    assert (report["fmax_mhz"], report["clock_mhz"], report["timing_met"]) == (110, 100, True)
    assert report["bitstream"] == "build/boards/arty/microgpt/top.bit"
    assert report["clock_source"] == "post-route"
    assert report["cycles_per_token"] == CYCLES[8]
    assert report["tokens_per_second"] == round(100e6 / 512.5, 2)
    assert report["aggregate_tokens_per_second"] == report["tokens_per_second"]
    said = capsys.readouterr().out
    assert re.search(r"^  cycles a token +500 first, 512\.5 mean, 600 max, as this ", said, re.M)
    assert re.search(r"^  tokens/s +195,122 at 100 MHz \(post-route\)$", said, re.M)
    assert (folder / "top.bit").read_bytes() == b"bits of the new one"


def test_the_last_good_bitstream_is_kept_when_timing_does_not_close(steps, tmp_path, capsys):
    folder = tmp_path / "build/boards/arty/microgpt"
    folder.mkdir(parents=True)
    (folder / "top.bit").write_bytes(b"good")
    (folder / "report.json").write_text("good")
    steps["fmax"] = 92.4
    said = refused(capsys, "--board=arty", "--multipliers=8")
    assert "reaches 92.4 MHz of 100 MHz; the slowest path goes through a; give a lower" in said
    assert (folder / "top.bit").read_bytes() == b"good"
    assert (folder / "report.json").read_text() == "good"
    timing_report = json.loads((folder / "timing.json").read_text())
    assert timing_report["timing_met"] is False
    assert timing_report["cycles_per_token"] is timing_report["tokens_per_second"] is None


def test_speed_follows_from_the_clock_that_was_built(steps, tmp_path):
    run(app, "boards", ["bitstream", "--board=arty", "--multipliers=8", "--clock=50"])
    report = json.loads((tmp_path / "build/boards/arty/microgpt/report.json").read_text())
    assert report["tokens_per_second"] == round(50e6 / 512.5, 2)


def placed_with(tmp_path, name="report.json"):
    report = json.loads((tmp_path / "build/boards/arty/microgpt" / name).read_text())
    return report["seed"], report["fmax_mhz"]


def test_the_next_seeds_are_tried_until_timing_closes(steps, tmp_path, capsys):
    steps["seeds"] = {7: 97.26, 8: 99.0, 9: 101.5, 10: 120.0}
    run(app, "boards", ["bitstream", "--board=arty", "--multipliers=8", "--seed=7"])
    assert placed_with(tmp_path) == (9, 101.5)
    assert (
        "weft: seed 7 reaches 97.3 MHz of 100 MHz (1 of at most 4 seeds)" in capsys.readouterr().err
    )


def test_after_the_last_seed_the_fastest_layout_is_reported(steps, tmp_path, capsys):
    steps["seeds"] = {4294967295: 97.0, 0: 99.0, 1: 98.0, 2: 96.0, 3: 120.0}
    said = refused(capsys, "--board=arty", "--multipliers=8", "--seed=4294967295")
    assert "the layout reaches 99.0 MHz of 100 MHz" in said
    assert placed_with(tmp_path, "timing.json") == (0, 99.0)


def test_no_seed_is_tried_after_a_layout_that_is_far_too_slow(steps, tmp_path, capsys):
    steps["seeds"] = {42: 60.0, 43: 120.0}
    assert "reaches 60.0 MHz of 100 MHz" in refused(capsys, "--board=arty", "--multipliers=8")


def test_a_netlist_that_turns_out_too_large(steps, capsys):
    steps["lut"] = 20_500
    said = refused(capsys, "--board=arty", "--multipliers=8")
    assert "needs 20,500 look-up tables of 20,800; the nearest board that can is" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--board=icebreaker", "--multipliers=512"], "does not fit 1BitSquared iCEBreaker: it"),
        (["--board=arty", "--clock=2000"], "--clock is 2000; expected a frequency from 1 to 1000"),
        (["--board=ulx3s", "--clock=999"], "--clock is 999; the PLL cannot make it"),
        (["--board=x"], "--board is 'x'; expected one of arty,"),
    ],
)
def test_refused_before_any_work(monkeypatch, tmp_path, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    assert said in refused(capsys, *words)
    assert not (tmp_path / "build").exists()

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from xml.etree import ElementTree

import pytest

from golden import zoo
from golden.balancer import make_schedule
from golden.cards import Work
from golden.commands.graph import fitting_cycles, read_report
from golden.errors import WeftError, write_whole
from golden.quantize import quantize
from tests.test_golden_main import golden, refused

ROOT = Path(__file__).parents[1]
BUSY = {"layer0.q": Work(17.0, 256.0, 4.0)}
DESIGN = {
    "schedule": "folded", "multipliers": 64, "lanes": None,
    "streams": 1, "weights": "rom", "numbers": "fixed",
}  # fmt: skip


@pytest.fixture(scope="module")
def plan():
    return quantize(zoo.load("microgpt"))


@pytest.fixture
def report(tmp_path, monkeypatch, plan):
    """Where reports are looked for, and one that fits."""
    monkeypatch.chdir(tmp_path)
    path = Path("build/sim/microgpt/report.json")
    path.parent.mkdir(parents=True)
    stages = [{"name": name} | asdict(work) for name, work in BUSY.items()]
    content = {"stages": stages, "plan_digest": plan.digest(), "options": DESIGN}
    path.write_text(json.dumps(content))
    return path


def test_busy_cycles_come_from_a_report_that_fits(capsys, report):
    told = Path("build/graph/microgpt.mmd")
    for options, shown in (((), True), (("--streams", 2), False), (("--report", report), True)):
        assert golden(capsys, "graph", *options)[0] == 0
        assert ("17 busy" in told.read_text()) == shown


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("schedule", "pipelined"), ("multipliers", 8), ("lanes", 4), ("streams", 2),
        ("weights", "stream"), ("numbers", "block"), ("plan_digest", "another"),
    ],
)  # fmt: skip
def test_a_report_of_another_design_is_not_used(report, plan, option, value):
    assert fitting_cycles(report, plan, make_schedule(plan)) == BUSY
    content = json.loads(report.read_text())
    (content if option in content else content["options"])[option] = value
    report.write_text(json.dumps(content))
    assert fitting_cycles(report, plan, make_schedule(plan)) == {}
    assert read_report(report)[1] == BUSY


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b'{"options": 1}', b"\xff"])
def test_a_damaged_report_matters_only_if_it_was_asked_for(report, plan, content):
    report.write_bytes(content)
    assert fitting_cycles(report, plan, make_schedule(plan)) == {}
    with pytest.raises(WeftError, match="is no report of a simulation"):
        read_report(report)


def test_the_command(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, _ = golden(capsys, "graph", "--schedule", "pipelined", "--multipliers", 48)
    assert status == 0
    names = ("microgpt.svg", "microgpt.png", "microgpt.mmd")
    names += ("microgpt-datapath.svg", "microgpt-datapath.png")
    assert out.split() == [f"build/graph/{name}" for name in names]
    ElementTree.parse("build/graph/microgpt.svg")
    assert "the pipelined core" in Path("build/graph/microgpt-datapath.svg").read_text()
    assert Path("build/graph/microgpt.png").read_bytes().startswith(b"\x89PNG")
    assert "48 multipliers" in Path("build/graph/microgpt.svg").read_text()
    assert "busy" not in Path("build/graph/microgpt.mmd").read_text()


def test_drawing_needs_no_home(tmp_path):
    command = [sys.executable, "-m", "golden", "graph"]
    env = os.environ | {"HOME": "/proc", "PYTHONPATH": str(ROOT)}
    env = {name: value for name, value in env.items() if not name.startswith(("MPL", "XDG"))}
    result = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "writable directory" not in result.stderr
    assert (tmp_path / "build/cache/matplotlib").is_dir()


@pytest.mark.parametrize("failing", [".svg", ".png", ".mmd"])
def test_a_full_disk_leaves_no_part_of_the_pictures(capsys, tmp_path, monkeypatch, failing):
    def write(path, content):
        if path.suffix == failing:
            raise WeftError("no space is left")
        write_whole(path, content)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("golden.commands.graph.write_whole", write)
    assert "no space is left" in refused(capsys, "graph")
    assert not list(Path("build/graph").glob("*"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--model nope", "--model is 'nope'; expected one of microgpt, ailang"),
        ("--schedule wide", "--schedule is 'wide'; expected one of folded, pipelined"),
        ("--multipliers 1", "--multipliers is 1; for this model, folded, expected at least 2"),
        ("--streams 0", "--streams is 0"),
        ("--numbers half", "--numbers is 'half'"),
        ("--report missing.json", "cannot read missing.json"),
        ("--output x.png", "--output is 'x.png'; expected the name of a file that ends in .svg"),
        ("--output /proc/x.svg", "cannot write x.svg in the folder /proc"),
    ],
)
def test_mistakes(capsys, tmp_path, monkeypatch, options, sentence):
    monkeypatch.chdir(tmp_path)
    assert sentence in refused(capsys, "graph", *options.split())

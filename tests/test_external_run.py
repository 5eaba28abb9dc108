"""``make sim`` of models in an external memory, from the file to the report."""

import json
import os
import signal
import subprocess
import sys

import pytest

from golden.cli import run
from hdl.external.layout import Layout
from sim.__main__ import app
from sim.build import Target, make_design
from sim.commands import run as command
from sim.engines import verilator
from sim.engines.verilator import Verilator
from sim.setup.paths import ROOT
from tests.external_cores import ROWS
from tests.gguf_files import write
from tests.llama import random_llama

OPTIONS = ("--model=smollm2", "--schedule=external", "--scales=row", "--temperature=0.8")
PROMPT = "--prompt=hello lord"
REPORT = "sim/smollm2/report.json"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write(tmp_path_factory.mktemp("gguf") / "tiny.gguf", random_llama(ROWS, 4), "F32")


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setattr(command, "BUILD", tmp_path)
    monkeypatch.setattr(verilator, "create", lambda: Verilator(quick=True))
    return tmp_path


def simulate(capsys, checkpoint, *options):
    """(exit status, stdout, stderr) of ``make sim``."""
    status = 0
    try:
        run(app, "python -m sim", ["run", f"--checkpoint={checkpoint}", *OPTIONS, *options])
    except SystemExit as end:
        status = end.code
    return status, *capsys.readouterr()


def test_a_file_is_simulated(capsys, checkpoint, folder):
    status, out, _ = simulate(capsys, checkpoint, PROMPT, "--tokens=4")
    assert status == 0
    report = json.loads((folder / REPORT).read_text())
    design = make_design(Target("smollm2", checkpoint, schedule="external", scales="row"))
    assert report["plan_digest"] == design.plan.digest()
    assert report["mismatches"] == 0
    assert report["text"][0].startswith("hello lord")
    assert out.startswith(report["text"][0])
    assert (report["options"]["memory"], report["options"]["port"]) == ("arty", 128)
    prompt = report["tokens"] - report["sampled"] + 1  # of tokens, start token included
    prefill, bound = report["prefill"], report["bound"]
    assert prefill["tokens"] == prompt - 1 > 2
    assert prefill["memory_cycles"] < prefill["mean"] < report["cycles_per_token"]["mean"]
    assert bound["binding"] == "memory"
    head = Layout(design.plan, 128).head
    assert report["bytes_per_token"] - prefill["bytes_per_token"] > head.weights.size
    mean = report["cycles_per_token"]["mean"]
    assert report["utilisation"] == pytest.approx(bound["memory_cycles"] / mean)
    rates = report["tokens_per_second"]
    assert rates["clock_mhz"] == 100
    assert rates["decode"] == pytest.approx(1e8 / mean)
    assert rates["clock_source"].startswith("assumed: ")
    assert f"; prompt: {prompt - 1} tokens of " in out
    assert f"{rates['decode']:.2f} tokens/s at 100 MHz, assumed: " in out


def test_a_start_gives_the_same_text(capsys, checkpoint, folder):
    found = []
    for start in ("--start=0", "--start=3"):
        assert simulate(capsys, checkpoint, PROMPT, "--tokens=4", start)[0] == 0
        found.append(json.loads((folder / REPORT).read_text()))
    whole, begun = found
    assert begun["text"] == whole["text"]
    assert begun["tokens"] == whole["tokens"] - 3
    assert begun["prefill"]["tokens"] == whole["prefill"]["tokens"] - 3
    assert begun["options"]["start"] == 3
    assert begun["accuracy"] == whole["accuracy"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            (PROMPT, "--start=40"),
            "--start is 40; the prompt has 7 tokens, and the last",
        ),
        (("--start=1",), "--start is 1; the prompt has 1 token, and the last"),
        (
            (PROMPT, "--start=2", "--names=2"),
            "--start is 2, and 2 texts share one memory: expected",
        ),
        ((PROMPT, "--start=-1"), "--start is -1; expected a whole number from 0 to 4096"),
    ],
)
def test_starts_that_are_refused(capsys, checkpoint, folder, options, told):
    status, _, err = simulate(capsys, checkpoint, *options)
    assert status == 2
    assert err.count("\n") == 1
    assert told in err
    assert not (folder / REPORT).exists()


def test_a_start_needs_an_external_memory(capsys, folder):
    status = None
    try:
        run(app, "python -m sim", ["run", "--prompt=ka", "--start=1"])
    except SystemExit as end:
        status = end.code
    assert status == 2
    assert (
        "--start is 1, and the schedule folded keeps keys and values on the chip: expected 0"
        in (capsys.readouterr().err)
    )


MAIN = """
import sys
from pathlib import Path

from golden.cli import run
from sim.__main__ import app
from sim.commands import run as command
from sim.engines import verilator

command.BUILD = Path(sys.argv[1])
verilator.create = lambda: verilator.Verilator(quick=True)
run(app, "python -m sim", ["run", *sys.argv[2:]])
"""


def test_ctrl_c_leaves_what_was_measured(capsys, checkpoint, folder):
    # Thousands of texts would take an hour.
    options = [f"--checkpoint={checkpoint}", *OPTIONS, PROMPT, "--names=500"]
    simulate(capsys, checkpoint, "--tokens=1")  # it is built
    (folder / REPORT).unlink()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, str(folder), *options], cwd=ROOT, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        said = [process.stdout.readline() for _ in range(2)]  # two texts are through
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert all(line.startswith("hello lord") for line in said)
    assert "Traceback" not in err
    report = json.loads((folder / REPORT).read_text())
    assert report["interrupted"] is True
    assert report["mismatches"] == 0
    assert report["sampled"] >= 2
    assert report["compared"] > 1000
    assert report["cycles_per_token"]["first"] > 0
    assert report["prefill"]["tokens"] >= 2 * 6
    assert report["simulated_cycles"] > report["sampled"] * report["cycles_per_token"]["first"] // 2
    assert report["text"][0] + "\n" == said[0]
    assert "stages" not in report
    assert list(folder.glob("sim/smollm2/.run-*")) == []

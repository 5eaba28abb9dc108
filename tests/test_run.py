"""What `make sim` leaves behind: the report, the waveform and what is printed, however it ends."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from golden.cli import run
from sim import session
from sim.__main__ import app
from sim.build import Design
from sim.clock import trace_time
from sim.commands import run as command
from sim.compare import Checker
from sim.show import Voice
from tests.models import microgpt

MADE = microgpt()
REPORT = Path("sim/microgpt/report.json")


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """Where reports go, with one of an earlier run that found nothing."""
    monkeypatch.setattr(command, "BUILD", tmp_path)
    (tmp_path / REPORT).parent.mkdir(parents=True)
    (tmp_path / REPORT).write_text('{"mismatches": 0}')
    (tmp_path / REPORT).with_name("trace.vcd").write_text("of an earlier run")
    return tmp_path


def simulate(capsys, *options):
    """(exit status, stdout, stderr) of ``make sim`` with two names."""
    status = 0
    try:
        run(app, "python -m sim", ["run", "--names=2", *options])
    except SystemExit as end:
        status = end.code
    return status, *capsys.readouterr()


def corrupt(monkeypatch, name, bit, address):
    """One bit of one word of a memory is wrong in the hardware."""
    words = list(map(int, MADE.image[name]))
    words[address] ^= 1 << bit
    monkeypatch.setattr(Design, "loaded", lambda self: {**self.image, name: words})


def test_a_mismatch_is_reported(capsys, monkeypatch, folder):
    corrupt(monkeypatch, "linear.weights", 0, -1)  # of the head: logits 24 to 26
    status, out, err = simulate(capsys)
    assert status == 1
    report = json.loads((folder / REPORT).read_text())
    found = report["mismatch"]
    assert report["mismatches"] >= 1
    assert err.splitlines()[-1] == f"weft: {found['sentence']}"
    assert (found["stage"], found["layer"], found["sequence"]) == ("epilogue.logits", 0, 0)
    assert found["element"] in (24, 25, 26)
    assert found["cycle"] > 0
    assert found["integer_model"] != found["hardware"]
    assert f"has {found['integer_model']}, the hardware {found['hardware']}" in err
    assert report["plan_digest"] == MADE.plan.digest()
    assert report["compared"] > 0
    assert report["sampled"] == found["position"]  # nothing that came later
    assert len(report["text"][0]) == found["position"]
    assert not (folder / REPORT).with_name("trace.vcd").exists()
    assert "cycles_per_token" not in report
    assert out.endswith("\n")


def test_a_hang_leaves_no_report(capsys, monkeypatch, folder):
    unit = MADE.schedule.unit("layer0", "q")
    job = [name for _, name in MADE.schedule.jobs(unit)].index("project")
    corrupt(monkeypatch, "linear.parameters", 8, job)
    monkeypatch.setattr(session, "WATCHDOG", 3000)
    status, _, err = simulate(capsys)
    assert status == 2
    assert "hung at cycle" in err
    assert not (folder / REPORT).exists()


def test_an_interrupt_leaves_what_was_measured_and_ends_the_line(capsys, monkeypatch, folder):
    say, heard = Voice.say, []

    def interrupted(self, token):
        if len(heard) == 3:
            raise KeyboardInterrupt
        heard.append(token)
        say(self, token)

    monkeypatch.setattr(Voice, "say", interrupted)
    status, out, err = simulate(capsys)
    assert status == 130
    told = f"weft: interrupted; what was measured until then is in {folder / REPORT}"
    assert err.splitlines()[-1] == told
    assert not any(token["last"] for token in heard)  # in the middle of a name
    text = "".join(MADE.checkpoint.vocabulary[t["token"]] for t in heard)
    assert out == text + "\n"
    report = json.loads((folder / REPORT).read_text())
    assert report["interrupted"] is True
    assert report["sampled"] == 4  # one had come, and was not said
    assert report["text"][0].startswith(text)
    assert report["cycles_per_token"]["first"] == heard[0]["cycles"]
    assert report["simulated_cycles"] > 0
    assert report["compared"] > 0
    assert "stages" not in report


def test_an_interrupt_in_a_comparison_leaves_a_report(capsys, monkeypatch, folder):
    def interrupted(self, everything=False):
        raise KeyboardInterrupt

    monkeypatch.setattr(Checker, "check", interrupted)
    monkeypatch.setattr(session, "BATCH", 2)
    assert simulate(capsys)[0] == 130
    report = json.loads((folder / REPORT).read_text())
    assert (report["interrupted"], report["sampled"], report["compared"]) == (True, 2, 0)


def test_bad_options_leave_the_old_report(capsys, folder):
    assert simulate(capsys, "--prompt=K")[0] == 2
    assert json.loads((folder / REPORT).read_text()) == {"mismatches": 0}


@pytest.mark.parametrize("limit", [100, 1 << 20])
def test_the_summary_tells_what_a_waveform_holds(capsys, monkeypatch, folder, limit):
    assert command.TRACE_CYCLES == 4000  # as README and `make help` say
    monkeypatch.setattr(command, "TRACE_CYCLES", limit)
    status, out, _ = simulate(capsys, "--engine=icarus", "--trace=vcd", "--names=1", "--tokens=2")
    assert status == 0
    report = json.loads((folder / REPORT).read_text())
    file, cycles = folder / "sim/microgpt/trace.vcd", report["simulated_cycles"]
    last = min(limit, cycles) - 1
    assert report["trace"] == {"file": str(file), "first": 0, "last": last}
    told = f"waveform: {file}, cycles 0 to {last:,} of {cycles:,}"
    others = "; `make wave FROM= CYCLES=` chooses others" if last < cycles - 1 else ""
    assert told + others + "\n" in out.replace("\n", "") + "\n"
    end = int(re.findall(r"^#(\d+)", file.read_text(), re.MULTILINE)[-1])
    assert trace_time(last) <= end <= trace_time(last + 2)


def test_the_limit_is_documented():
    root = Path(__file__).parents[1]
    assert f"{command.TRACE_CYCLES:,} cycles" in (root / "README.md").read_text()
    assert f"its first {command.TRACE_CYCLES} cycles" in (root / "Makefile").read_text()


def test_a_vocabulary_of_one_token_is_refused(capsys, tmp_path, folder):
    shapes = MADE.checkpoint.config.shapes
    tensors = {name: np.ones((4, 4), np.float32) for name in shapes}
    tensors |= {name: np.ones((1, 4), np.float32) for name in ("wte", "lm_head")}
    save_file(tensors, tmp_path / "one.safetensors", {"n_head": "1", "vocab": ""})
    status, _, err = simulate(capsys, f"--checkpoint={tmp_path / 'one.safetensors'}")
    assert status == 2
    assert err.count("\n") == 1
    assert "n_vocab is 1; expected a whole number of at least 2" in err

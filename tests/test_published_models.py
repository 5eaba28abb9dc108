"""``make sim`` of published models: their weights on gateware, every value compared."""

import json

import pytest

from golden.cli import run
from sim.__main__ import app
from sim.commands import run as command

pytestmark = [pytest.mark.models, pytest.mark.timeout(1200)]


@pytest.mark.parametrize(
    ("model", "options", "said", "loss"),
    [
        ("smollm2", ["--prompt=The capital of France is", "--start=4"], " Paris", 1.05),
        ("stories15m", ["--memory=ulx3s", "--prompt=Once upon a time"], ", there", 1.08),
    ],
)
def test_gateware_equals_the_integer_model(monkeypatch, tmp_path, model, options, said, loss):
    """All layers, two sampled tokens; cycles a token, at most ``loss`` times the memory's bound."""
    monkeypatch.setattr(command, "BUILD", tmp_path)
    words = ["run", f"--model={model}", "--tokens=2", "--temperature=0", *options]
    run(app, "python -m sim", words)
    report = json.loads((tmp_path / "sim" / model / "report.json").read_text())
    assert report["mismatches"] == 0 < report["compared"]
    assert report["sampled"] == 2
    assert said in report["text"][0]
    assert report["bound"]["binding"] == "memory"
    bound = report["bound"]["memory_cycles"]
    assert bound < report["cycles_per_token"]["mean"] < loss * bound
    assert report["peak_memory_bytes"] < 4 << 30

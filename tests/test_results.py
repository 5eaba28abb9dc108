import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from golden.generate import generate
from sim.__main__ import app
from sim.build import Target, make_design, weight_bits
from sim.results import QUICK, anchors, figures
from sim.results import correctness as sides
from sim.results.document import document
from sim.results.hardware import cache_bits, full_contexts
from sim.results.markdown import bits, count, filled, rounded, signed, table
from sim.results.scaling import PeakMemory, children, linear_fit, peak_of
from sim.results.software import cores, cpu_model, measure, rate, working_set
from sim.results.text_performance import software_memory_table


def test_a_table_lines_up():
    text = table(("name", ">cycles"), [("a|b", 7), ("longer", "1,234")])
    assert text.splitlines() == [
        "| name   | cycles |",
        "| ------ | -----: |",
        "| a\\|b   |      7 |",
        "| longer |  1,234 |",
    ]


def test_a_row_with_a_missing_cell_is_refused():
    with pytest.raises(ValueError, match="one cell for each heading"):
        table(("a", "b"), [("only one",)])


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (0, "0"),
        (0.01234, "0.0123"),
        (5.6e-5, "5.60e-05"),
        (1, "1.00"),
        (12.345, "12.3"),
        (1234.5, "1,234"),
    ],
)
def test_rounding_to_significant_digits(x, text):
    assert rounded(x) == text


def test_numbers_for_people():
    assert count(None) == "-"
    assert count(1234567.89, 1) == "1,234,567.9"
    assert signed(0.00123) == "+0.0012"
    assert bits(4096) == "4,096"
    assert bits(33536) == "32.8 Ki"


def test_paragraphs_are_filled_and_tables_are_not():
    wide = "| " + "x" * 200 + " |\n| --- |"
    text = filled(f"# Title\n\n{'word ' * 60}\n\n* {'item ' * 40}\n  goes on\n* next\n\n{wide}\n")
    title, words, items, kept = text.strip().split("\n\n")
    assert title == "# Title"
    assert kept == wide
    assert all(len(line) <= 110 for line in words.splitlines())
    assert [line[:2] for line in items.splitlines()] == ["* ", "  ", "* "]
    assert filled(text) == text


def test_a_line_is_fitted_exactly():
    fit = linear_fit([10, 100, 1000], [3 * n - 24 for n in (10, 100, 1000)])
    assert fit.slope == pytest.approx(3)
    assert fit.offset == pytest.approx(-24)
    assert fit.residual == pytest.approx(0, abs=1e-6)


def test_what_is_no_line_shows_in_the_residual():
    assert linear_fit([0, 1, 2], [0, 0, 3]).residual == pytest.approx(1)


def test_a_line_needs_two_points():
    with pytest.raises(ValueError, match="two different points"):
        linear_fit([5, 5], [1, 2])


def test_the_rate_is_of_the_best_repetition():
    calls = []
    assert rate(lambda: calls.append(1), 10, 0) > 10
    assert len(calls) == 4  # one to warm up, three measured


def test_the_machine_is_named(tmp_path):
    info = tmp_path / "cpuinfo"
    info.write_text("processor : 0\nmodel name\t: Some  CPU @ 2 GHz\n")
    assert cpu_model(info) == "Some CPU @ 2 GHz"
    assert cpu_model(tmp_path / "absent")
    assert cores() >= 1


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells it in /proc")
def test_the_peak_memory_of_a_child_is_seen():
    code = "x = bytearray(30 << 20); input()"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    try:
        process = Path("/proc") / str(child.pid)
        name = (process / "comm").read_text().strip()
        with PeakMemory(name) as peak:
            while peak.bytes < 30 << 20 and child.poll() is None:
                name = (process / "comm").read_text().strip()
                peak._program = name
        assert peak.bytes > 30 << 20
        assert process in children()
        assert peak_of(process, "another program") == 0
    finally:
        child.communicate(b"\n")
    assert peak_of(process, name) == 0


def test_requests_run_through_the_whole_context():
    design = make_design(Target())
    requests = full_contexts(design, 2)
    positions = [step.position for step in generate(design.plan, requests[1])]
    assert positions == list(range(design.plan.n_ctx))


def test_memory_is_counted_from_shapes():
    design = make_design(Target())
    embeddings = (27 + 16) * 16
    linears = 4192 - embeddings
    assert weight_bits(design.plan) == linears * 8 + embeddings * 16
    assert cache_bits(design) == 2 * 16 * 16 * 16


def test_block_numbers_keep_an_exponent_with_every_key_and_value():
    fixed, block = (cache_bits(make_design(Target(numbers=n))) for n in ("fixed", "block"))
    assert block - fixed == 16 * 2 * 8


def test_integers_become_what_the_float_model_has():
    design = make_design(Target())
    request = full_contexts(design, 1)[0]
    steps = list(generate(design.plan, request))
    record = sides.float_record(design.checkpoint, 0, [step.token for step in steps])
    for step in steps:
        for name, limit in (("embed", 0.01), ("q", 0.3), ("attention.weights", 0.1)):
            tap = step.taps[0, name]
            mine = sides.in_float(design, name, tap.mantissa.ravel(), tap.exponent)
            exact = record[(0, step.position), 0, sides.FLOAT_NAMES.get(name, name)]
            assert mine.shape == exact.shape
            assert np.abs(mine - exact).max() < limit


def test_the_float_model_generates_with_the_same_noise():
    design = make_design(Target())
    (request,) = sides.make_requests(design.checkpoint, sides.SAMPLING, 1)
    ids, races = sides.float_name(design.checkpoint, request)
    assert ids[-1] == request.stop or len(ids) == design.plan.n_ctx
    assert [int(race.argmax()) for race in races] == ids
    steps = {(0, s.position): s for s in generate(design.plan, request)}
    said = [{"sequence": 0, "token": s.sampled} for s in steps.values()]
    row = sides.name_row(design, request, steps, said)
    assert row["integer"] == row["hardware"]
    assert (row["lead"] is None) == (row["float"] == row["hardware"])


def test_anchors_are_what_their_sources_say():
    talos, gate = anchors.RTL
    assert (talos.first, talos.mean, talos.last) == (867, 1017, 1167)
    assert (gate.first, gate.mean, gate.last) == (1157, 1322, 1489)
    assert round(anchors.DEMO.mean / 1e6, 2) == 1.74


def test_a_folder_is_no_document(tmp_path):
    folder = tmp_path / "folder.md"
    folder.mkdir()
    result = CliRunner().invoke(app, ["results", "--output", str(folder)])
    assert "folder.md is a folder" in str(result.exception)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_results_end_to_end(tmp_path, monkeypatch):
    root = Path(__file__).parents[1]
    output = tmp_path / "results.md"
    command = [sys.executable, "-m", "sim", "results", "--quick", "--output", str(output)]
    subprocess.run(command, cwd=root, check=True, env=os.environ)
    text = output.read_text()
    found = json.loads((root / "build/results/results.json").read_text())
    drawn = {"cycles": "a.svg", "scaling": "b.svg"}
    assert document(found, drawn).startswith("# Results")
    for run in found["runs"]:
        assert run["mismatches"] == 0
        assert run["bound"] <= run["cycles"]["mean"]
    assert found["scaling"]["rows"][-1]["tokens"] == max(QUICK.scaling)
    assert all(row["mismatches"] == 0 for row in found["sides"]["stages"])
    assert len({row["integer"] == row["hardware"] for row in found["sides"]["names"]}) == 1
    for link in re.findall(r"\]\((figures/[^)]+)\)", text):
        assert b"<svg" in (tmp_path / link).read_bytes()
    assert "nan" not in text
    assert figures.scaling(found["scaling"]).axes


def test_memory_of_software_is_measured():
    assert 8_000_000 <= working_set(lambda: np.ones(1_000_000).sum()) < 9_000_000
    found = measure("microgpt", 0.001)
    assert found["weight_bytes"] == 4 * 4192
    cache = 2 * 16 * 16 * 4  # of one layer, at the least
    assert cache < found["working_bytes"] < 1_000_000


def test_memory_stands_beside_software():
    memory = {"weights": 8000, "tables": 80, "parameters": 8, "cache": 160}
    software = {"model": "m", "weight_bytes": 4000, "working_bytes": 321}
    told = software_memory_table(
        {"software": [software], "runs": [{"model": "m", "memory": memory}]}
    )
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in told.splitlines()[2:]]
    assert rows == [
        ["m", "float32, NumPy", "4,000", "321"],
        ["m", "hardware", "1,000", "31"],
    ]

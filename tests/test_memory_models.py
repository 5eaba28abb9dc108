"""sim/memory: two models of a board's memory behind one port, driven by traces in C++."""

import json
import random
import subprocess
import tomllib

import pytest
from typer.testing import CliRunner

from golden.errors import WeftError
from golden.schedules.external import PORT_BITS
from sim import tools
from sim.__main__ import app
from sim.memory import compare, models, traffic
from sim.memory.patterns import MODELS, Consumer, Pattern, mixed, patterns, records, token
from sim.memory.traffic import replay
from sim.mismatch import Mismatch
from sim.setup.paths import ROOT

memories = pytest.mark.parametrize("memory", models.MEMORIES)
both = pytest.mark.parametrize("model", ["fast", pytest.param("litedram", marks=pytest.mark.slow)])


def width(memory):
    return models.parameters(memory)["beat_bytes"]


def run(model, memory, trace, **consumer):
    return replay(models.path(model, memory), width(memory), trace, Consumer(**consumer))


def right(found):
    return not found["mismatches"] and not found["different"]


@both
@memories
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_what_is_read_is_what_was_written(model, memory, seed):
    found = run(model, memory, mixed(20_000, 1000, seed), seed=seed)
    assert right(found)
    assert found["reads"] > 3000
    assert found["writes"] > 3000


@pytest.mark.parametrize("bits", PORT_BITS)
def test_every_width_of_a_port(bits, tmp_path):
    narrow = models.fast_of_width("arty", bits, tmp_path)
    assert right(replay(narrow, bits // 8, mixed(5000, 500), Consumer(seed=4)))


@both
@memories
def test_a_read_after_a_write_sees_it(model, memory):
    """Data comes late, with or before its command; the addresses are few."""
    numbers = random.Random(5)
    trace = [f"{numbers.choice(('read', 'write'))} {numbers.randrange(3)} 1" for _ in range(2000)]
    for seed in (0, 6, 7):
        assert right(run(model, memory, trace, seed=seed))


@both
@memories
def test_a_wrong_beat_is_noticed(model, memory):
    place = 3 * models.parameters(memory)["row_beats"] + 7
    found = run(model, memory, ["read 0 5000", f"spoil {place}"])
    assert (found["mismatches"], found["first_mismatch"]) == (1, place)
    assert found["different"] == 1


@both
def test_a_wrong_beat_that_is_never_read_is_noticed_at_the_end(model):
    found = run(model, "ulx3s", ["read 0 10", "write 20 5", "spoil 30"])
    assert (found["mismatches"], found["different"]) == (0, 1)


@both
@memories
def test_it_is_refreshed(model, memory):
    given = models.parameters(memory)
    found = run(model, memory, ["read 0 100000"])
    least = given["refresh"] + given["precharge"] + given["activate"]  # longer than to open a row
    refreshed = sum(count for gap, count in found["gaps"].items() if gap > least)
    assert abs(refreshed - found["cycles"] / given["refresh_interval"]) <= 1
    assert found["gaps"][1] > 0.98 * found["reads"]


@both
@pytest.mark.parametrize(("memory", "share"), [("arty", 0.8897), ("ulx3s", 0.9412)])
def test_share_of_the_cycles_that_carry_a_beat(model, memory, share):
    found = run(model, memory, ["read 0 100000"])
    assert found["reads"] / found["cycles"] == pytest.approx(share, abs=2e-4)


@both
def test_credit_and_pauses_hold_a_reader_back(model):
    latency = models.parameters("arty")["read_latency"]
    free, one, resting = (
        run(model, "arty", ["read 0 1000"], credit=credit, beats=100, pause=pause)["cycles"]
        for credit, pause in ((512, 0), (1, 0), (16, 500))
    )
    assert one >= 1000 * latency > free
    assert resting >= 9 * 500 + 900


@both
@memories
def test_a_file_is_loaded_across_rows_and_banks(model, memory, tmp_path):
    given = models.parameters(memory)
    row = given["row_beats"] * given["beat_bytes"]
    contents = random.Random(8).randbytes(3 * given["banks"] * row)
    (tmp_path / "image").write_bytes(contents)
    options = [*traffic.OPTIONS, f"-I{models.FOLDER}", ROOT / "tests/memory_main.cpp", "-ldl"]
    subprocess.run([tools.cxx(), *options, "-o", tmp_path / "main"], check=True)
    path = models.path(model, memory)
    command = [tmp_path / "main", path, str(width(memory)), tmp_path / "image"]
    read = subprocess.run([*command, str(row // 2), str(len(contents))], capture_output=True)
    assert read.stdout == contents
    assert read.returncode == 0
    size = given["rows"] * given["banks"] * row
    late = subprocess.run([*command, str(size - row), "0"], capture_output=True, text=True)
    assert (late.returncode, late.stderr) == (2, "it was not loaded\n")


def changed(tmp_path, **values):
    lines = (models.parameters("arty") | values).items()
    path = tmp_path / "other.toml"
    path.write_text("".join(f"{name} = {value}\n" for name, value in lines if value is not None))
    return path


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"queue": None}, "does not say what queue is"),
        ({"refresh": 0}, "does not say what refresh is"),
        ({"cas": 3}, "sets cas, which the memory model does not have"),
        ({"banks": 6}, "are powers of two"),
        ({"refresh_interval": 63}, "beyond what the model is made for"),
        ({"read_latency": 64}, "beyond what the model is made for"),
        ({"beat_bytes": 4}, "the memory has beats of 4 bytes, and the port of 16"),
    ],
)
def test_parameters_are_checked(values, said, tmp_path):
    with pytest.raises(WeftError, match=rf"memory stopped: .*{said}") as error:
        replay(changed(tmp_path, **values), 16, ["read 0 1"])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("trace", "said"),
    [
        (["read 16777215 2"], "the trace goes beyond the memory"),
        (["fetch 0 1"], "the trace has a segment fetch that means nothing"),
        (["wait 0", "read 0"], "the trace has a segment read that means nothing"),
        (["read 5 0"], "the trace has a segment read that means nothing"),
    ],
)
def test_traces_are_checked(trace, said):
    with pytest.raises(WeftError, match=said):
        run("fast", "arty", trace)


def test_memories_and_models_are_named():
    with pytest.raises(WeftError, match="no memory 'nexys'; there are arty, ulx3s"):
        models.path("fast", "nexys")
    with pytest.raises(WeftError, match="no memory model 'ideal'; there are fast, litedram"):
        models.path("ideal", "arty")
    with pytest.raises(WeftError, match="has 16, 32, 64, 128 bits, not 48"):
        models.fast_of_width("arty", 48, None)
    with pytest.raises(WeftError, match=r"the memory model cannot be opened: .*gone\.so"):
        replay("gone.so", 16, ["read 0 1"])


@memories
def test_a_token_reads_every_weight_and_record_once(memory):
    _, model = MODELS[memory]
    lines = [line.split() for line in token(model)]
    total = {"read": 0, "write": 0}
    for kind, _, count in lines:
        total[kind] += int(count)
    record = model.key + model.value
    heads = model.layers * model.kv_heads
    assert total["write"] == heads * record
    cached = heads * (model.position + 1) * record
    assert total["read"] == model.layers * model.layer + model.head + cached


@pytest.fixture
def twice_fast(monkeypatch):
    """The fast model takes LiteDRAM's place as well."""
    path = models.path
    monkeypatch.setattr(models, "path", lambda model, memory: path("fast", memory))


SMALL = [Pattern("linear", ("read 0 5000",)), Pattern("mixed", tuple(mixed(5000, 100)))]


def test_a_comparison_tells_cycles_and_rates(twice_fast):
    report = compare.compare("arty", SMALL)
    first, second = report["patterns"]
    assert report["bound_bytes_per_cycle"] == first["bytes_per_cycle"]
    assert first["beats"] == 5000
    assert first["of_bound"] == 1
    assert second["of_bound"] < 1
    assert second["difference_percent"] == 0
    assert second["same_events"]


@pytest.mark.parametrize("harm", ["cycles", "mismatches"])
def test_a_comparison_fails_at_a_difference(harm, twice_fast, monkeypatch):
    results = iter([{}, {harm: 3000}])
    monkeypatch.setattr(compare, "replay", lambda *given: replay(*given) | next(results))
    said = {"cycles": r"\d+ cycles with LiteDRAM", "mismatches": r"3000 beats of arty \(litedram\)"}
    with pytest.raises(Mismatch, match=rf"linear: .*{said[harm]}"):
        compare.row("arty", SMALL[0], 0)


def test_the_command_shows_a_table_and_writes_a_report(twice_fast, monkeypatch, tmp_path):
    output = tmp_path / "report.json"
    monkeypatch.setattr("sim.commands.memory.patterns", lambda memory: SMALL)
    monkeypatch.setattr("sim.commands.memory.REPORT", output)
    said = CliRunner().invoke(app, ["memory", "--memory=ulx3s"])
    assert said.exit_code == 0
    assert "ulx3s: beats of 4 bytes, 50 MHz, bound" in said.stdout
    report = json.loads(output.read_text())
    assert [each["memory"] for each in report["memories"]] == ["ulx3s"]
    assert [row["name"] for row in report["memories"][0]["patterns"]] == ["linear", "mixed"]


@pytest.mark.slow
@memories
def test_parameters_are_those_of_litedram(memory):
    derived = models.path("litedram", memory).with_name("timing.toml")
    assert models.parameters(memory) == tomllib.loads(derived.read_text())


@pytest.mark.slow
@memories
def test_both_models_make_every_transfer_in_the_same_cycle(memory):
    report = compare.compare(memory, patterns(memory))
    assert {row["name"]: row["same_events"] for row in report["patterns"]} == {
        pattern.name: True for pattern in patterns(memory)
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "harm", ["read_latency", "precharge", "activate", "write_to_read", "refresh", "queue"]
)
def test_a_wrong_parameter_is_noticed(harm, tmp_path):
    wrong = changed(tmp_path, **{harm: models.parameters("arty")[harm] + 1})
    trace = [*mixed(20_000, 300), *records("arty", 9, alone=False)]
    events = {
        replay(path, 16, trace)["events"] for path in (wrong, models.path("litedram", "arty"))
    }
    assert len(events) == 2

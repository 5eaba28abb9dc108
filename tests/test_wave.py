"""Waveforms: what the dump of a run tells, against what the run itself tells."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import pywellen

from golden.errors import WeftError
from sim.build import Target, make_design
from sim.engines import Trace
from sim.session import Outcome
from sim.waves import make
from sim.waves.draw import draw
from sim.waves.dump import Dump
from sim.waves.gtkwave import write_view
from sim.waves.make import build_for_waves, choose_window, record, write_all
from sim.waves.signals import Signals, StageView, UnitView, readable, signals_of
from sim.waves.timeline import Flight, read_timeline
from sim.workload import Sampling, make_requests

SHARED = UnitView("shared", ("one", "two"))
ALONE = UnitView("sample", ("sample",))
SIGNALS = Signals(
    "toy",
    (SHARED, ALONE),
    (
        StageView("prologue", "one", "shared", 0, None),
        StageView("layer0", "two", "shared", 1, None),
        StageView("epilogue", "sample", "sample", 0, None),
    ),
    ("a", "b", "c"),
)
STREAMS = [f"core.{s}_{f}" for s in ("accept", "epilogue_sample") for f in ("valid", "ready")]
WIDTHS = {
    "core.shared_state": 2, "core.shared_job": 2, "core.sample_state": 2,
    "core.prologue_one_value": 16,
    **dict.fromkeys(STREAMS, 1),
    "core.accept_token": 3, "core.epilogue_sample_token": 3,
    "core.accept_position": 4, "core.epilogue_sample_position": 4,
}  # fmt: skip


def write_vcd(path: Path, cycles: list[dict], widths=WIDTHS, first: int = 0) -> Path:
    """A waveform as the engines write it: what changes in each cycle; the rest stays."""
    names = ["clk", *widths]
    codes = {name: chr(33 + k) for k, name in enumerate(names)}
    lines = [
        "$timescale 1ns $end",
        "$scope module top $end",
        f"$var wire 1 {codes['clk']} clk $end",
    ]
    lines.append("$scope module core $end")
    for name, width in widths.items():
        lines.append(f"$var wire {width} {codes[name]} {name.removeprefix('core.')} $end")
    lines += ["$upscope $end", "$upscope $end", "$enddefinitions $end"]
    for k, values in enumerate(cycles):
        time = (first + k + 1) * 10
        changes = values if k else dict.fromkeys(widths, 0) | values
        lines += [f"#{time}", f"1{codes['clk']}"]
        lines += [f"b{value:b} {codes[name]}" for name, value in changes.items()]
        lines += [f"#{time + 5}", f"0{codes['clk']}"]
    path.write_text("\n".join(lines) + "\n")
    return path


def core(**values) -> dict:
    return {f"core.{name}": value for name, value in values.items()}


IN = core(accept_valid=1, accept_ready=1)
OUT = core(epilogue_sample_valid=1, epilogue_sample_ready=1)
NO_IN, NO_OUT = dict.fromkeys(IN, 0), dict.fromkeys(OUT, 0)
RUN = [
    {},
    IN | core(accept_token=2, accept_position=0),
    NO_IN | core(shared_state=1),
    core(shared_job=1),
    core(shared_state=2),
    core(shared_state=0, sample_state=1, shared_job=0),
    OUT | IN | core(epilogue_sample_token=1, accept_token=1, accept_position=1),
    NO_OUT | NO_IN | core(sample_state=0),
    core(shared_state=1),
    {},
]


@pytest.fixture
def dump(tmp_path):
    return Dump(write_vcd(tmp_path / "wave.vcd", RUN))


def test_spans_follow_state_and_job(dump):
    shared, alone = read_timeline(dump, SIGNALS).rows
    assert [(s.start, s.end, s.state, s.job) for s in shared.spans] == [
        (0, 2, "starved", 0), (2, 3, "busy", 0), (3, 4, "busy", 1), (4, 5, "blocked", 1),
        (5, 8, "starved", 0), (8, 10, "busy", 0),
    ]  # fmt: skip
    assert [(s.start, s.end) for s in alone.spans if s.state == "busy"] == [(5, 7)]
    assert [shared.cycles("busy"), shared.cycles("busy", 1), shared.cycles("blocked", 1)] == [
        4,
        1,
        1,
    ]


def test_tokens_are_paired(dump):
    timeline = read_timeline(dump, SIGNALS)
    first, second = timeline.flights
    assert first == Flight(1, 6, 0, 0, token=2, sampled=1)
    assert second == Flight(6, 10, 0, 1, token=1, sampled=None)
    assert timeline.cycles_per_token == 5


def test_a_token_that_entered_before_the_window(tmp_path):
    dump = Dump(write_vcd(tmp_path / "wave.vcd", RUN[5:], first=500))
    first, second = read_timeline(dump, SIGNALS).flights
    assert (dump.first, dump.end) == (500, 505)
    assert first == Flight(500, 501, 0, 0, token=None, sampled=1)
    assert (second.start, second.token, second.sampled) == (501, 1, None)


def test_a_prompt_token_ends_with_the_next(tmp_path):
    again = IN | core(accept_token=0, accept_position=1)
    run = [IN | core(accept_token=2), NO_IN, {}, again, NO_IN]
    flights = read_timeline(Dump(write_vcd(tmp_path / "wave.vcd", run)), SIGNALS).flights
    assert flights == (Flight(0, 3, 0, 0, 2, None), Flight(3, 5, 0, 1, 0, None))


def listed(view: Path) -> list[str]:
    """Signals of a save file, without their ranges and GTKWave's other names for them."""
    found = re.findall(r"^\+\{[^}]*\} (\S+)$", view.read_text(), re.MULTILINE)
    return [re.sub(r"\[\d+:\d+\]$", "", name) for name in found]


def test_the_view_lists_what_the_dump_has(dump, tmp_path):
    view, *words = write_view(tmp_path / "wave.gtkw", dump, SIGNALS, (0, 5))
    names = listed(view)
    assert {f"top.{name}" for name in SIGNALS.needed} <= set(names)
    assert "top.core.prologue_one_value" in names
    assert "top.core.prologue_one_position" not in names  # nor is it in the dump
    assert all(dump.has(name) for name in names)
    text = view.read_text()
    assert [
        text.index(f"-{s}") for s in ("generator", "units", "prologue", "layer0", "epilogue")
    ] == (
        sorted(
            text.index(f"-{s}") for s in ("generator", "units", "prologue", "layer0", "epilogue")
        )
    )
    assert all(str(file.resolve()) in text for file in words)
    job = next(file for file in words if file.name == "shared_job.txt").read_text().splitlines()
    assert job == ["0 one", "1 two", "2 ?gray20?-"]
    state = next(file for file in words if file.name == "state.txt").read_text().splitlines()
    assert [line.split("?")[-1] for line in state] == ["starved", "busy", "blocked"]


def test_pictures_are_the_same_every_time(dump, tmp_path):
    timeline = read_timeline(dump, SIGNALS)
    for form, begins in (("svg", b"<?xml"), ("png", b"\x89PNG")):
        files = [tmp_path / f"{k}.{form}" for k in range(2)]
        for path in files:
            with path.open("wb") as file:
                draw(file, timeline, SIGNALS, form)
        assert files[0].read_bytes() == files[1].read_bytes()
        assert files[0].read_bytes().startswith(begins)
    text = (tmp_path / "0.svg").read_text()
    for said in ("toy", "5.0 cycles a token", "c → b", "shared:two:blocked", "sample"):
        assert said in text


def test_formula_signs_are_text(dump, tmp_path):
    with (tmp_path / "x.png").open("wb") as file:
        draw(file, read_timeline(dump, SIGNALS), replace(SIGNALS, words=("$", "$$", "$a")), "png")


@pytest.mark.parametrize("content", [None, "", "not a waveform\n"])
def test_no_waveform(tmp_path, content):
    path = tmp_path / "wave.vcd"
    if content is not None:
        path.write_text(content)
    with pytest.raises(WeftError, match=r"wave\.vcd"):
        write_all(path, SIGNALS)


def test_an_empty_waveform(tmp_path):
    with pytest.raises(WeftError, match="is empty"):
        write_all(write_vcd(tmp_path / "wave.vcd", []), SIGNALS)


@pytest.mark.parametrize("missing", SIGNALS.needed)
def test_a_missing_signal_is_named(tmp_path, missing):
    widths = {name: width for name, width in WIDTHS.items() if name != missing}
    path = write_vcd(tmp_path / "wave.vcd", [{}, {}], widths)
    with pytest.raises(WeftError, match=f"lacks the signal {re.escape(missing)}"):
        write_all(path, SIGNALS)
    assert list(tmp_path.iterdir()) == [path]


def test_a_window_behind_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(make, "simulate", lambda *_, **__: Outcome(None, simulated_cycles=1633))
    trace = Trace(tmp_path / "wave.vcd", 2000, 10)
    with pytest.raises(WeftError, match="from is 2,000, but this run has 1,633 cycles"):
        record(None, None, [], trace)
    with pytest.raises(WeftError, match="this run has 1,633 cycles"):
        choose_window(None, None, [], trace.path, 2000)


@pytest.mark.parametrize(
    ("start", "cycles", "told"),
    [
        (-1, 5, "the first cycle to show is -1; expected 0 or more"),
        (0, 0, "0 cycles are to be shown; expected at least 1"),
        (3, -2, "-2 cycles are to be shown; expected at least 1"),
    ],
)
def test_windows_that_are_none(tmp_path, start, cycles, told):
    with pytest.raises(WeftError, match=f"^{told}"):
        record(None, None, [], Trace(tmp_path / "wave.vcd", start, cycles))


def test_the_window_ends_with_the_third_token(tmp_path, monkeypatch):
    tokens = [(cycle, {}) for cycle in (200, 430, 660, 890, 1120)]
    outcome = Outcome(None, tokens, simulated_cycles=1300)
    monkeypatch.setattr(make, "simulate", lambda *_, **__: outcome)
    chosen = choose_window(None, None, [], tmp_path / "wave.fst", 250)
    assert (chosen.start, chosen.start + chosen.cycles) == (250, 890 + make.MARGIN)
    assert choose_window(None, None, [], tmp_path / "wave.fst", 1250).cycles == 50 + make.MARGIN


@pytest.mark.parametrize(("text", "shown"), [("a", "a"), (" ", "' '"), ("\n", r"'\n'"), ("", "''")])
def test_every_token_can_be_seen(text, shown):
    assert readable(text) == shown


def check_against_run(engine: str, path: Path, target: Target, names: int, tokens: int) -> None:
    """A whole run: the busy and blocked cycles in the dump are those that the gateware counted."""
    design = make_design(target)
    requests = make_requests(design.checkpoint, Sampling(), names, tokens=tokens)
    simulation = build_for_waves(design, engine)
    outcome = record(design, simulation, requests, Trace(path, 0, None))
    signals = signals_of(design, target.model)
    written = write_all(path, signals)
    assert all(file.stat().st_size for file in written.files)
    counted = {
        (row.unit.name, job): (row.cycles("busy", job), row.cycles("blocked", job))
        for row in written.timeline.rows
        for job in range(len(row.unit.jobs))
    }
    assert counted == outcome.counters
    assert any(busy for busy, _ in counted.values())
    flights = [flight for flight in written.timeline.flights if flight.whole]
    told = [(t["stream"], t["position"], t["token"], t["cycles"]) for _, t in outcome.tokens]
    read = [(f.stream, f.position, f.sampled, f.end - f.start) for f in flights]
    assert sorted(read) == sorted(told)
    dump = Dump(path)
    cycle = dump.values("top.cycle")
    assert (cycle == range(dump.first, dump.end)).all()
    in_file = {var.full_name for var in pywellen.Waveform(str(path)).all_vars()}
    names = listed(path.with_suffix(".gtkw"))
    assert len(names) > 3 * len(signals.stages)
    assert set(names) <= in_file


def test_a_core_in_amaranth(tmp_path):
    check_against_run("amaranth", tmp_path / "wave.vcd", Target(multipliers=32), 1, 1)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("form", [pytest.param("vcd", marks=pytest.mark.slow), "fst"])
def test_a_core_in_verilator(tmp_path, form):
    check_against_run("verilator", tmp_path / f"wave.{form}", Target(multipliers=8), 2, 4)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_pipelined_streams_in_icarus(tmp_path):
    target = Target(schedule="pipelined", streams=2)
    check_against_run("icarus", tmp_path / "wave.fst", target, 3, 2)

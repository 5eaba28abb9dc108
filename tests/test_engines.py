import shutil
import time

import numpy as np
import pytest
import pywellen

from golden.errors import WeftError
from sim import taps, tools
from sim.clock import trace_time
from sim.engines import ENGINES, Trace, cache, engine, process, verilator, verilog
from sim.engines.image import hex_lines, write_image
from tests.test_bench import CACHE, HANG, TOY, WANTED, kinds, run, sums
from tests.toy_core import Toy, bench_image, expected_tokens

engines = pytest.mark.parametrize("name", ENGINES)
FORMATS = [("verilator", "vcd"), ("verilator", "fst"), ("icarus", "vcd"), ("icarus", "fst")]
FORMATS += [("amaranth", "vcd")]
STALLS = {"idle": 100, "pressure": 150, "seed": 5}


def build(name, toy=TOY, folder=CACHE):
    return engine(name).build(toy.factory, toy.key, folder)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return run(build("amaranth"), tmp_path_factory.mktemp("amaranth"), **STALLS)


@engines
def test_all_engines_write_the_same_lines(name, expected, tmp_path):
    simulation = build(name)
    lines = run(simulation, tmp_path, **STALLS)
    assert lines == expected
    assert sums(simulation, lines) == expected_tokens(TOY, WANTED)


@engines
def test_other_contents_need_no_build(name, tmp_path, capfd):
    build(name)
    capfd.readouterr()
    factory = TOY.factory if name == "amaranth" else None  # not called: nothing is elaborated
    simulation = engine(name).build(factory, TOY.key, CACHE)
    for seed in (1, 2):
        lines = run(simulation, tmp_path, contents=seed)
        assert sums(simulation, lines) == expected_tokens(TOY, WANTED, seed)
    assert "compiling" not in capfd.readouterr().err


@engines
def test_hang_is_named(name, tmp_path):
    simulation = build(name)
    lines = run(simulation, tmp_path, HANG, watchdog=70)
    assert lines[-1].endswith(" hung")
    assert taps.stuck(simulation.design, lines) == "summer (job 0) holds work"


@engines
@pytest.mark.parametrize("limit", [1, 100, 777])
def test_max_cycles(name, limit, tmp_path):
    lines = run(build(name), tmp_path, HANG, watchdog=0, max_cycles=limit)
    assert lines[-1] == f"e {limit:08x} limit"
    assert ("t" in kinds(lines)) == (limit > 1)


@pytest.mark.parametrize("name", ["verilator", "icarus"])
def test_lines_are_live_and_nothing_is_left_running(name, tmp_path):
    simulation = build(name)
    image = bench_image(simulation.design, TOY, HANG, watchdog=0)
    lines = simulation.run(image, tmp_path)  # for ever
    assert next(line for line in lines if line[0] == "t")
    start = time.monotonic()
    lines.close()
    assert time.monotonic() - start < 5


@engines
def test_missing_and_overlong_memories_are_named(name, tmp_path):
    simulation = build(name)
    image = bench_image(simulation.design, TOY, WANTED)
    with pytest.raises(WeftError, match=r"no words for the memory toy\.rows"):
        list(simulation.run({k: v for k, v in image.items() if k != "toy.rows"}, tmp_path))
    with pytest.raises(WeftError, match=r"toy\.rows: 65 words given and it holds 64"):
        list(simulation.run(image | {"toy.rows": [0] * 65}, tmp_path))


def test_unknown_engine():
    with pytest.raises(WeftError, match="'vcs'; there are verilator, icarus, amaranth"):
        engine("vcs")


@pytest.mark.parametrize(
    ("name", "missing"), [("verilator", "verilator"), ("icarus", "iverilog"), ("icarus", "vvp")]
)
def test_missing_tool_is_told_with_the_remedy(name, missing, monkeypatch):
    found = tools._which
    monkeypatch.setattr(tools, "_which", lambda tool: None if tool == missing else found(tool))
    with pytest.raises(WeftError, match=f"no `{missing}` was found; `make setup` gets it"):
        build(name)


def test_crash_shows_the_end_of_the_log(tmp_path, monkeypatch):
    simulation = build("verilator")
    bad = (tmp_path / "weft_toy__rows.hex").write_text
    monkeypatch.setattr(verilator, "write_image", lambda *_: bad("no number\n"))
    with pytest.raises(WeftError, match=r"the simulation crashed (.|\n)*weft_toy__rows\.hex"):
        run(simulation, tmp_path, max_cycles=100)


def test_stream_reports_signals_and_keeps_other_output(tmp_path):
    script = "echo '@000 1 2'; echo noise; echo 'e 1'; echo problem >&2; kill -SEGV $$"
    seen = []
    with pytest.raises(WeftError, match=r"(?s)it crashed \(signal SIGSEGV\).*problem"):
        seen.extend(process.stream(["sh", "-c", script], tmp_path, "it"))
    lines = process.stream(["sh", "-c", script.partition("; kill")[0]], tmp_path, "it")
    assert list(lines) == ["@000 1 2", "e 1"]
    assert sorted((tmp_path / "log.txt").read_text().split()) == ["noise", "problem"]


def test_failing_compiler_shows_its_message_and_leaves_no_trace(tmp_path):
    def make(folder):
        process.execute(["sh", "-c", "echo first; echo wrong type >&2; exit 3"], folder, "cc")

    with pytest.raises(WeftError, match=r"cc failed \(exit status 3\):\n    first\n    wrong type"):
        cache.cached(tmp_path / "made", make)
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".lock"]


def test_cache_makes_once(tmp_path):
    calls = []

    def make(folder):
        calls.append(folder)
        (folder / "file").write_text("x")

    for _ in range(2):
        assert (cache.cached(tmp_path / "made", make) / "file").read_text() == "x"
    assert len(calls) == 1


@pytest.mark.parametrize("tool", ["false", "true"])  # Yosys does not notice
def test_a_tool_that_fails_on_a_full_disk(tool, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(process.shutil, "disk_usage", lambda path: usage._replace(free=4096))
    with pytest.raises(WeftError, match=r"cc failed: no space is left in .*; make room and run"):
        process.execute([tool], tmp_path, "cc")


def test_a_file_that_is_no_program(tmp_path):
    (tmp_path / "tool").write_bytes(b"\x7fELF and nothing")
    (tmp_path / "tool").chmod(0o755)
    with pytest.raises(WeftError, match="tool cannot be started: Exec format error; repair it"):
        process.execute([tmp_path / "tool"], tmp_path, "the tool")


def test_what_a_killed_process_left_is_removed(tmp_path):
    dead, alive, other = (tmp_path / name for name in (".dead.x1_y", ".alive.x1_y", ".other.y"))
    for folder in (dead, alive, other):
        folder.mkdir()
    (tmp_path / ".dead.lock").touch()
    with cache._lock(tmp_path / ".alive.lock"):
        cache.cached(tmp_path / "made", lambda folder: None)
    assert not dead.exists()
    assert alive.exists()
    assert other.exists()  # no lock: it is not of this cache


@pytest.mark.parametrize("harm", [lambda p: p.unlink(), lambda p: p.write_text("part")])
def test_a_damaged_result_is_made_anew(harm, tmp_path):
    made = []

    def make(folder):
        made.append(folder)
        (folder / "inner").mkdir()
        (folder / "inner" / "file").write_text("the whole")

    found = cache.cached(tmp_path / "made", make)
    harm(found / "inner" / "file")
    for _ in range(2):
        folder = cache.cached(tmp_path / "made", make)
        assert (folder / "inner" / "file").read_text() == "the whole"
    assert len(made) == 2


def test_another_design_is_another_verilog(tmp_path):
    wide = Toy(lanes=3)
    ours, theirs = (
        verilog.generate(toy.factory, toy.key, tmp_path, flat=True) for toy in (TOY, wide)
    )
    assert ours.path != theirs.path
    assert ours.design != theirs.design
    assert ours.design.memories["toy.rows"] == (40, 64)
    assert theirs.text.count(b"$readmemh") == 3
    assert b"weft_toy__rows[0]" not in theirs.text


@pytest.mark.parametrize(("name", "suffix"), FORMATS)
def test_trace_window(name, suffix, tmp_path):
    simulation = build(name)
    image = bench_image(simulation.design, TOY, WANTED)
    path = tmp_path / "waves" / f"window.{suffix}"
    trace = Trace(path, start=10, cycles=8)
    lines = list(simulation.run(image, tmp_path, trace))
    assert lines[-1].endswith(" done")  # the run goes on after the window

    waveform = pywellen.Waveform(str(path))
    scale = 1_000_000 if name == "amaranth" else 1  # femtoseconds
    names = {var.full_name.replace("\\", ""): var for var in waveform.all_vars()}
    cycle = next(var for full, var in names.items() if full.split(".")[-1] == "cycle")

    def seen(n):
        return cycle.signal.value_at((trace_time(n) + 1) * scale)

    assert [int(seen(n)) for n in range(10, 18)] == list(range(10, 18))
    assert seen(9) is None
    assert seen(25) != 25
    assert any("sums" in full for full in names)


def test_trace_formats_are_checked(tmp_path):
    simulation = build("amaranth")
    image = bench_image(simulation.design, TOY, WANTED)
    with pytest.raises(WeftError, match=r"\.vcd waveforms only"):
        list(simulation.run(image, tmp_path, Trace(tmp_path / "x.fst")))
    with pytest.raises(WeftError, match=r"not as x\.ghw"):
        list(simulation.run(image, tmp_path, Trace(tmp_path / "x.ghw")))


@pytest.mark.parametrize("width", [1, 4, 5, 8, 9, 12, 37, 63, 64])
def test_hex_lines_of_arrays_and_of_integers(width):
    rng = np.random.default_rng(width)
    words = [int(x) for x in rng.integers(-(1 << (width - 1)), 1 << (width - 1), 20)]
    text = hex_lines(words, width, 23)
    assert hex_lines(np.array(words), width, 23) == text
    rows = text.decode().split("\n")
    assert rows.pop() == ""
    assert {len(row) for row in rows} == {-(-width // 4)}
    assert [int(row, 16) for row in rows] == [x % (1 << width) for x in words] + [0] * 3


def test_hex_lines_of_wide_words():
    words = [(1 << 1023) + 5, 7]
    assert [int(row, 16) for row in hex_lines(words, 1024, 2).split()] == words
    assert hex_lines([], 9, 2) == b"000\n000\n"


def test_hex_files_are_written_only_when_they_change(tmp_path):
    memories = {"a.b": (9, 4)}
    write_image({"a.b": [1, 2]}, memories, tmp_path)
    path = tmp_path / "weft_a__b.hex"
    assert path.read_text() == "001\n002\n000\n000\n"
    before = path.stat().st_ino, path.stat().st_mtime_ns
    write_image({"a.b": [1, 2, 0]}, memories, tmp_path)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == before
    write_image({"a.b": [1, 2, 3]}, memories, tmp_path)
    assert path.read_text() == "001\n002\n003\n000\n"
    shutil.rmtree(tmp_path)

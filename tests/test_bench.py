import pytest
from amaranth.hdl import Fragment

from golden.errors import WeftError
from hdl.memory import Memories
from sim import taps
from sim.engines import engine
from sim.setup.paths import ROOT
from tests.toy_core import Toy, bench_image, expected_tokens

CACHE = ROOT / "build" / "cache" / "sim"
TOY = Toy()
WANTED = [{"start": 3, "count": 4}, {"start": 0, "count": 10}, {"start": 60, "count": 1}]
HANG = [{"start": 1, "count": 2}, {"hang": 1}]


@pytest.fixture(scope="module")
def simulation():
    return engine("amaranth").build(TOY.factory, TOY.key, CACHE)


def run(simulation, folder, wanted=WANTED, toy=TOY, max_cycles=None, **chosen):
    image = bench_image(simulation.design, toy, wanted, **chosen)
    return list(simulation.run(image, folder, max_cycles=max_cycles))


def sums(simulation, lines):
    return [token["sum"] for _, token in taps.tokens(simulation.design, lines)]


def kinds(lines):
    return "".join(line[0] for line in lines)


def test_requests_become_tokens(simulation, tmp_path):
    lines = run(simulation, tmp_path)
    assert sums(simulation, lines) == expected_tokens(TOY, WANTED)
    assert kinds(lines).count("r") == 3
    assert kinds(lines).endswith("cde")
    assert lines[-1].endswith(" done")


def test_taps_are_recorded(simulation, tmp_path):
    found = taps.decode(simulation.design, run(simulation, tmp_path))
    assert len(found["rows"]) == len(found["sums"]) == 15
    assert found["rows"].last.sum() == found["sums"].first.sum() == 3
    ends = found["sums"].data[found["sums"].last].sum(axis=1)
    assert ends.tolist() == expected_tokens(TOY, WANTED)
    assert (found["sums"].cycles - found["rows"].cycles == 1).all()


def test_recording_can_be_switched_off(simulation, tmp_path):
    lines = run(simulation, tmp_path, record=False)
    assert "@" not in kinds(lines)
    assert sums(simulation, lines) == expected_tokens(TOY, WANTED)


def test_a_core_without_taps_writes_none(tmp_path):
    bare = Toy(observed=False)
    simulation = engine("amaranth").build(bare.factory, bare.key, CACHE)
    assert kinds(run(simulation, tmp_path, toy=bare)) == "rtrtrtde"


def test_counters_count(simulation, tmp_path):
    lines = run(simulation, tmp_path, pressure=200, seed=3)
    counted = taps.counters(simulation.design, lines)[("summer", 0)]
    assert counted[1] > 0
    assert counted[0] == 15 + 3 * 3 + counted[1]  # rows, latency, waiting


@pytest.mark.parametrize("seed", range(4))
def test_stalls_change_cycles_and_nothing_else(simulation, tmp_path, seed):
    smooth = run(simulation, tmp_path)
    rough = run(simulation, tmp_path, idle=180, pressure=180, seed=seed)
    assert sums(simulation, rough) == sums(simulation, smooth)
    cycles = [int(lines[-1].split()[1], 16) for lines in (smooth, rough)]
    assert cycles[1] > cycles[0]
    payloads = [[x.split()[2] for x in lines if x[0] == "@"] for lines in (smooth, rough)]
    assert sorted(payloads[0]) == sorted(payloads[1])


def test_seeds_differ(simulation, tmp_path):
    rough = [run(simulation, tmp_path, idle=180, pressure=180, seed=seed) for seed in (0, 1, 1)]
    assert rough[0] != rough[1] == rough[2]


def test_watchdog_names_the_unit(simulation, tmp_path):
    lines = run(simulation, tmp_path, HANG, watchdog=50)
    assert kinds(lines).endswith("uhe")
    assert lines[-1].endswith(" hung")
    assert taps.stuck(simulation.design, lines) == "summer (job 0) holds work"
    moved, hung = (int(x.split()[1], 16) for x in (lines[-4], lines[-2]))
    assert hung - moved == 51


def test_watchdog_can_be_off(simulation, tmp_path):
    lines = run(simulation, tmp_path, HANG, watchdog=0, max_cycles=300)
    assert lines[-1] == f"e {300:08x} limit"


def test_wrong_requests_and_settings_are_told(simulation, tmp_path):
    with pytest.raises(WeftError, match="0 requests were given; this simulation takes 1 to 32"):
        run(simulation, tmp_path, [])
    with pytest.raises(WeftError, match="33 requests"):
        run(simulation, tmp_path, WANTED * 11)
    with pytest.raises(WeftError, match="idle: 256 is not in 0 to 255"):
        run(simulation, tmp_path, idle=256)


def test_ports():
    memories = Memories()
    bench = TOY.factory(memories)
    Fragment.get(bench, None)
    assert set(bench.signature.members) == {"done", "hung"}
    assert set(memories.shapes) == {"toy.rows", "bench.requests", "bench.settings"}

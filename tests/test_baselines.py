"""Netlists need what they needed before: no memory has become registers."""

import json

import pytest

from boards import baselines
from boards.catalogue import BOARDS
from golden.errors import WeftError
from sim.setup.paths import ROOT

CACHE = ROOT / "build" / "cache" / "boards"
FASTEST = "ulx3s"


def baseline(name):
    return json.loads(baselines.path_of(BOARDS[name]).read_text())


def check(name):
    now = baselines.measure(BOARDS[name], CACHE)
    kept = baseline(name)
    assert {**now, "counts": None} == {**kept, "counts": None}
    baselines.compare(kept, now["counts"])


def test_the_board_that_is_synthesised_fastest():
    check(FASTEST)


@pytest.mark.boards
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", [name for name in baselines.BOARDS if name != FASTEST])
def test_the_others(name):
    check(name)


@pytest.mark.parametrize("name", baselines.BOARDS)
def test_a_memory_that_becomes_registers_is_noticed(name):
    """Doctored counts: one block RAM less, and its bits in registers."""
    kept = baseline(name)
    counts = kept["counts"]
    assert counts["bram"] > 0
    assert counts["dsp"] == kept["multipliers"]
    baselines.compare(kept, counts)
    doctored = counts | {"bram": counts["bram"] - 1, "ff": counts["ff"] + 4096}
    with pytest.raises(WeftError, match=r"ff where .* are expected, .* bram where"):
        baselines.compare(kept, doctored)


def test_a_product_in_logic_is_noticed():
    kept = baseline(FASTEST)
    with pytest.raises(WeftError, match="1 dsp where 2 are expected; if that is meant"):
        baselines.compare(kept, kept["counts"] | {"dsp": 1})

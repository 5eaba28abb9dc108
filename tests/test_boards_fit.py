"""Which configuration is chosen for which board, and what is refused before synthesis."""

import dataclasses
import json
from dataclasses import replace

import numpy as np
import pytest

from boards import fit, resources
from boards.catalogue import BOARDS
from golden.errors import OptionError, WeftError
from golden.quantize import Options, quantize
from golden.zoo import load
from sim.external import External
from tests.llama import BASE, random_llama

SIZES = {
    "xc7": {"folded 64": (30000, 16000, 64, 9), "folded 8": (12000, 4000, 8, 3),
            "folded 4": (9000, 3000, 4, 3), "serial 8": (3000, 1500, 8, 9),
            "external 79": (28000, 17000, 85, 40)},
    "ecp5": {"folded 64": (42000, 16000, 64, 20), "folded 4": (14000, 3000, 4, 8),
             "serial 8": (14000, 1500, 8, 20)},
    "ice40": {"folded 4": (9000, 3000, 4, 16), "serial 8": (5100, 1500, 8, 20)},
    "gowin": {"folded 4": (9000, 3000, 4, 8), "serial 8": (6000, 1500, 8, 20)},
}  # fmt: skip


def configuration(text: str) -> fit.Configuration:
    schedule, multipliers = text.split()
    return fit.Configuration(schedule, int(multipliers))


@pytest.fixture(scope="module")
def plan():
    return quantize(load("microgpt"), Options())


@pytest.fixture(autouse=True)
def sizes(monkeypatch):
    names = list(resources.NAMES)
    rows = {f: {configuration(c): dict(zip(names, need, strict=True)) for c, need in of.items()}
            for f, of in SIZES.items()}  # fmt: skip
    monkeypatch.setattr(fit, "sizes", lambda: rows)


@pytest.mark.parametrize(
    ("board", "chosen"),
    [("arty", "folded 8"), ("arty-100", "folded 64"), ("ulx3s", "folded 64"),
     ("orangecrab", "folded 4"), ("tangnano9k", "serial 8")],
)  # fmt: skip
def test_the_fastest_that_fits(plan, board, chosen):
    assert fit.choose(BOARDS[board], plan) == configuration(chosen)


def test_what_is_asked_for(plan):
    assert fit.choose(BOARDS["arty"], plan, multipliers=5) == configuration("folded 5")
    assert fit.choose(BOARDS["tangnano9k"], plan, multipliers=16) == configuration("serial 16")
    assert fit.choose(BOARDS["arty"], plan, schedule="serial") == configuration("serial 8")
    with pytest.raises(WeftError, match="it needs 9,000 look-up tables of 8,640"):
        fit.choose(BOARDS["tangnano9k"], plan, schedule="folded")


def test_a_serial_core_is_chosen_only_if_it_can_execute_the_model():
    blocks = quantize(load("microgpt"), Options("block"))
    with pytest.raises(WeftError, match="it needs 9,000 look-up tables of 8,640"):
        fit.choose(BOARDS["tangnano9k"], blocks)
    with pytest.raises(WeftError, match="schedule is 'serial', which knows no block numbers"):
        fit.choose(BOARDS["arty"], blocks, schedule="serial")


@pytest.mark.parametrize(
    ("board", "problem"),
    [
        (
            "icebreaker",
            "microgpt does not fit 1BitSquared iCEBreaker: it needs 5,100 look-up tables of 5,280; "
            "the nearest board that can is BOARD=tangnano9k",
        ),
        (
            "ulx3s-12",
            "microgpt does not fit Radiona ULX3S-12F: it needs 14,000 look-up tables of 12,096; "
            "the nearest board that can is BOARD=ulx3s-25",
        ),
    ],
)
def test_a_model_that_fits_with_no_number(plan, board, problem):
    with pytest.raises(WeftError) as error:
        fit.choose(BOARDS[board], plan)
    assert str(error.value) == problem


def test_too_many_multipliers(plan):
    with pytest.raises(WeftError, match="needs 30,000 look-up tables of 20,800; the nearest"):
        fit.choose(BOARDS["arty"], plan, schedule="folded", multipliers=64)


def test_weights_that_do_not_fit(plan):
    embed, *others = plan.prologue.stages
    table = np.zeros((20_000, embed.tokens.shape[1]), dtype=np.int64)
    stages = (dataclasses.replace(embed, tokens=table), *others)
    large = dataclasses.replace(plan, prologue=dataclasses.replace(plan.prologue, stages=stages))
    with pytest.raises(WeftError, match=r"needs 7\d block RAMs of 50; .* is BOARD=arty-100"):
        fit.choose(BOARDS["arty"], large)


@pytest.fixture(scope="module")
def external():
    """A plan whose weights are in an external memory."""
    return quantize(random_llama(replace(BASE, n_ctx=16), 0), Options(scales="row"))


def test_a_model_in_an_external_memory(external):
    assert fit.choose(BOARDS["arty-100"], external) == configuration("external 79")
    with pytest.raises(WeftError, match=r"needs 28,000 .* of 20,800; .* is BOARD=arty-100$"):
        fit.choose(BOARDS["arty"], external)
    with pytest.raises(WeftError, match=r"a memory beside .* on Radiona ULX3S-85F; .*=arty-100$"):
        fit.choose(BOARDS["ulx3s"], external)
    with pytest.raises(OptionError, match="multipliers is 8; the external schedule has what"):
        fit.choose(BOARDS["arty-100"], external, multipliers=8)


def test_an_external_memory_that_is_too_small(external, monkeypatch):
    monkeypatch.setattr(External, "size", 4096)
    with pytest.raises(WeftError, match="do not fit the memory of arty"):
        fit.choose(BOARDS["arty-100"], external)


def test_what_is_committed_names_every_family():
    table = json.loads(fit.SIZES.read_text())
    assert set(table["sizes"]) == set(SIZES)
    for family, of in table["sizes"].items():
        assert set(of) == set(fit.SCHEDULES if family == "xc7" else fit.FASTEST_FIRST)
    needs = [n for of in table["sizes"].values() for rows in of.values() for n in rows.values()]
    assert all(set(need) == set(resources.NAMES) for need in needs)


def test_a_netlist_is_counted(tmp_path):
    cells = {"LUT4": 10, "CCU2C": 3, "TRELLIS_FF": 7, "MULT18X18D": 2, "TRELLIS_DPR16X4": 2}
    (tmp_path / "stat.json").write_text(json.dumps({"design": {"num_cells_by_type": cells}}))
    assert resources.used("ecp5", tmp_path) == {"lut": 28, "ff": 7, "dsp": 2, "bram": 0}


def test_look_up_tables_leave_room_for_place_and_route():
    need = {"lut": 20_000, "ff": 1, "dsp": 1, "bram": 1}
    assert resources.lacking(BOARDS["arty"], need) == ["lut"]

"""Which configuration is chosen for which board, and what is refused before synthesis."""

import dataclasses
import json

import numpy as np
import pytest

from boards import fit, resources
from boards.catalogue import BOARDS
from golden.errors import WeftError
from golden.quantize import Options, quantize
from golden.zoo import load

SIZES = {
    "xc7": {4: (9000, 3000, 4, 3), 8: (12000, 4000, 8, 3), 64: (30000, 16000, 64, 9)},
    "ecp5": {4: (14000, 3000, 4, 8), 64: (42000, 16000, 64, 20)},
    "ice40": {4: (9000, 3000, 4, 16)},
    "gowin": {4: (9000, 3000, 4, 8)},
}


@pytest.fixture(scope="module")
def plan():
    return quantize(load("microgpt"), Options())


@pytest.fixture(autouse=True)
def sizes(monkeypatch):
    names = list(resources.NAMES)
    rows = {f: {n: dict(zip(names, need, strict=True)) for n, need in of.items()}
            for f, of in SIZES.items()}  # fmt: skip
    monkeypatch.setattr(fit, "sizes", lambda: rows)


@pytest.mark.parametrize(
    ("board", "multipliers"), [("arty", 8), ("arty-100", 64), ("ulx3s", 64), ("orangecrab", 4)]
)
def test_the_most_multipliers_that_fit(plan, board, multipliers):
    assert fit.choose(BOARDS[board], plan) == multipliers


@pytest.mark.parametrize(
    ("board", "problem"),
    [
        (
            "icebreaker",
            "microgpt does not fit 1BitSquared iCEBreaker: it needs 9,000 look-up tables of 5,280; "
            "the nearest board that can is BOARD=arty",
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
    fit.check(BOARDS["arty"], plan, 8)
    with pytest.raises(WeftError, match="needs 30,000 look-up tables of 20,800; the nearest"):
        fit.check(BOARDS["arty"], plan, 64)


def test_weights_that_do_not_fit(plan):
    embed, *others = plan.prologue.stages
    table = np.zeros((20_000, embed.tokens.shape[1]), dtype=np.int64)
    stages = (dataclasses.replace(embed, tokens=table), *others)
    large = dataclasses.replace(plan, prologue=dataclasses.replace(plan.prologue, stages=stages))
    with pytest.raises(WeftError, match=r"needs 7\d block RAMs of 50; .* is BOARD=arty-100"):
        fit.choose(BOARDS["arty"], large)


def test_what_is_committed_names_every_family():
    table = json.loads(fit.SIZES.read_text())
    assert set(table["sizes"]) == set(SIZES)
    assert all(set(n) == set(resources.NAMES) for rows in table["sizes"].values()
               for n in rows.values())  # fmt: skip


def test_a_netlist_is_counted(tmp_path):
    cells = {"LUT4": 10, "CCU2C": 3, "TRELLIS_FF": 7, "MULT18X18D": 2, "TRELLIS_DPR16X4": 2}
    (tmp_path / "stat.json").write_text(json.dumps({"design": {"num_cells_by_type": cells}}))
    assert resources.used("ecp5", tmp_path) == {"lut": 28, "ff": 7, "dsp": 2, "bram": 0}


def test_look_up_tables_leave_room_for_place_and_route():
    need = {"lut": 20_000, "ff": 1, "dsp": 1, "bram": 1}
    assert resources.lacking(BOARDS["arty"], need) == ["lut"]

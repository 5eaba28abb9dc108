"""Cells that the open tools for the 7 series do not master are refused."""

import json

import pytest

from boards.limits import check_xc7
from golden.errors import WeftError

DSP = {"AREG": 1, "BREG": 1, "MREG": 1, "PREG": 1}
WIDTHS = {f"{way}_WIDTH_{port}": 36 for way in ("READ", "WRITE") for port in "AB"}
RAM = WIDTHS | {"DOA_REG": 0, "DOB_REG": 0}


def netlist(tmp_path, kind, parameters):
    parameters = {key: f"{value:032b}" for key, value in parameters.items()}
    cells = {"x.y": {"type": kind, "parameters": parameters}}
    path = tmp_path / "top.json"
    path.write_text(json.dumps({"modules": {
        "top": {"attributes": {"top": "1"}, "cells": cells},
        "MMCME2_ADV": {"attributes": {"blackbox": "1"}, "cells": {"m": {"type": "MMCME2_ADV"}}},
    }}))  # fmt: skip
    return path


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("DSP48E1", DSP),
        ("RAMB36E1", RAM),
        ("RAMB36E1", RAM | {"WRITE_WIDTH_B": 0}),
        ("RAMB18E1", RAM | {"READ_WIDTH_A": 9}),
        ("LUT6", {}),
    ],
)
def test_cells_that_are_right(tmp_path, kind, parameters):
    check_xc7(netlist(tmp_path, kind, parameters))


@pytest.mark.parametrize(
    ("kind", "parameters", "fault"),
    [
        *(("DSP48E1", DSP | {key: 0}, f"{key} is off") for key in DSP),
        ("RAMB36E1", RAM | {"READ_WIDTH_A": 9}, "1 or 9 bits wide"),
        ("RAMB36E1", RAM | {"WRITE_WIDTH_B": 1}, "1 or 9 bits wide"),
        ("RAMB36E1", RAM | {"DOA_REG": 1}, "its output register is on"),
        ("RAMB18E1", RAM | {"DOB_REG": 1}, "its output register is on"),
        ("MMCME2_ADV", {}, "it may not lock"),
    ],
)
def test_cells_that_are_wrong(tmp_path, kind, parameters, fault):
    with pytest.raises(WeftError, match=f"do not master {kind} x.y: .*{fault}"):
        check_xc7(netlist(tmp_path, kind, parameters))

"""The table of stages on screens of any width."""

from io import StringIO

import pytest
from rich.console import Console

from sim.show import COLUMNS, TABLE_WIDTH, fitting_table

SMALL = {"cycles": 18.0, "busy": 4.0, "starved": 167.3, "blocked": 0.0, "macs": 256, "bound": 4.0}
LARGE = {name: 1000.0 * value for name, value in SMALL.items()}
UNITS = ("activation", "linear", "residual")
NAME = "layer0.residual_attention"


def lines(width, numbers, terminal=True):
    """The table as it is printed: title, an empty line, headings, a rule, rows, an empty line."""
    report = {"stages": [{"name": NAME, "unit": unit, **numbers} for unit in UNITS]}
    console = Console(
        file=StringIO(), force_terminal=terminal, width=width, soft_wrap=True, color_system=None
    )
    console.print(fitting_table(report, console))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize("numbers", [SMALL, LARGE])
@pytest.mark.parametrize("width", [60, 80, 94, 110, 200])
def test_a_terminal_sees_whole_rows(width, numbers):
    title, _, headings, _, *rows, _ = lines(width, numbers)
    assert max(map(len, (headings, *rows))) <= width
    assert [row.split()[0] for row in rows] == [NAME] * 3
    there = headings.split()
    assert there == [column for column in COLUMNS if column in there]
    assert {"stage", "cycles", "bound"} <= set(there)
    lacking = [column for column in COLUMNS if column not in there]
    told = f"; a wider screen shows {', '.join(lacking)} too" if lacking else ""
    assert title == "cycles a token, by stage" + told


def test_80_columns_leave_out_the_least():
    assert lines(80, SMALL)[2].split() == ["stage", "unit", "cycles", "busy", "MACs", "bound"]


def test_a_file_gets_every_column():
    for width in (80, TABLE_WIDTH):
        assert lines(width, SMALL, terminal=False)[2].split() == list(COLUMNS)

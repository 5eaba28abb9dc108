"""``python -m sim memory``: the models of an external memory under the same traffic."""

from __future__ import annotations

import json
from typing import Annotated

from rich import box
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from golden import checked
from golden.errors import check_writable, write_whole
from sim import tools
from sim.build import BUILD
from sim.memory.compare import compare
from sim.memory.models import MEMORIES
from sim.memory.patterns import patterns
from sim.report import VERSION
from sim.show import TABLE_WIDTH

REPORT = BUILD / "memory" / "report.json"
HEADINGS = ("pattern", "beats", "LiteDRAM", "fast", "difference", "bytes a cycle", "of bound")


def memory(
    memory: Annotated[
        str | None, checked.choice(of=MEMORIES, help="Of which board; all if none.")
    ] = None,
) -> None:
    """Compare LiteDRAM's controller with the fast model of it, pattern by pattern, in cycles."""
    check_writable(REPORT)
    console = Console(highlight=False, soft_wrap=True)
    console.width = max(console.width, TABLE_WIDTH)
    chosen = MEMORIES if memory is None else (memory,)
    found = []
    for name in chosen:
        found.append(compare(name, tqdm(patterns(name), name, leave=False, disable=None)))
        console.print(_table(found[-1]))
    report = {"version": VERSION, "tools": tools.versions(), "memories": found}
    write_whole(REPORT, (json.dumps(report, indent=2) + "\n").encode())
    console.print(f"cycles of the port's clock; every beat was compared; {REPORT}", markup=False)


def _table(report: dict) -> Table:
    bound = report["bound_bytes_per_cycle"]
    title = (
        f"{report['memory']}: beats of {report['beat_bytes']} bytes, {report['clock_mhz']} MHz, "
        f"bound {bound:.3f} bytes a cycle ({bound * report['clock_mhz']:,.1f} MB/s)"
    )
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading == "pattern" else "right")
    for row in report["patterns"]:
        numbers = (row["beats"], row["cycles"]["litedram"], row["cycles"]["fast"])
        difference = f"{row['difference_percent']:+.3f} %"
        if row["same_events"]:
            difference = "none"
        rate, share = f"{row['bytes_per_cycle']:.3f}", f"{row['of_bound']:.1%}"
        table.add_row(row["name"], *(f"{n:,}" for n in numbers), difference, rate, share)
    return table

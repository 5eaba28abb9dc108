"""The pictures of the README: what ``make sim`` shows, the plan that it runs, the units at work."""

from __future__ import annotations

import re
from io import BytesIO, StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from golden.cards import Work
from golden.datapath import make_datapath
from golden.diagram import make_diagram
from golden.draw import draw
from golden.draw_datapath import draw_datapath
from sim.build import BUILD, Design, Target, build, make_design
from sim.engines import DEFAULT, Trace
from sim.report import make_report
from sim.session import run
from sim.show import TABLE_WIDTH, print_summary
from sim.waves import make
from sim.waves.signals import signals_of
from sim.workload import Sampling, make_requests

NAMES = 20
IN_A_ROW = 10
"""Names on a line of the picture, which has no room for a line each."""


def readme_pictures() -> dict[str, bytes]:
    """``sim.svg``, ``microgpt.svg``, ``datapath.svg``, ``timeline.svg``, of the default model."""
    design, sampling = make_design(Target()), Sampling()
    requests = make_requests(design.checkpoint, sampling, NAMES)
    outcome = run(design, build(design, DEFAULT), requests, BUILD / "results" / "run")
    report = make_report(Target(), design, DEFAULT, sampling, requests, outcome)
    seen = Work.by_stage(report["stages"])
    plan, datapath = BytesIO(), BytesIO()
    draw_datapath(datapath, make_datapath(design.plan, design.schedule), "svg")
    draw(plan, make_diagram(design.plan, design.schedule, seen), "svg")
    return {
        "sim.svg": terminal(report).encode(),
        "microgpt.svg": plan.getvalue(),
        "datapath.svg": datapath.getvalue(),
        "timeline.svg": timeline(design, sampling),
    }


def timeline(design: Design, sampling: Sampling) -> bytes:
    """What ``make wave`` paints."""
    simulation = make.build_for_waves(design, DEFAULT)
    (request,) = make_requests(design.checkpoint, sampling, 1, tokens=make.TOKENS)
    with TemporaryDirectory(prefix="weft-") as folder:
        path = Path(folder) / "wave.fst"
        make.record(design, simulation, [request], Trace(path, 0, None))
        written = make.write_all(path, signals_of(design, design.plan.name))
        return next(file for file in written.files if file.suffix == ".svg").read_bytes()


def terminal(report: dict) -> str:
    """What a run prints, as an SVG; the names in rows."""
    console = Console(record=True, file=StringIO(), width=TABLE_WIDTH, highlight=False)
    console.print("$ make sim", markup=False)
    for k in range(0, len(report["text"]), IN_A_ROW):
        console.print("  ".join(report["text"][k : k + IN_A_ROW]), markup=False)
    print_summary(report, "build/sim/microgpt/report.json", console)
    form = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    return console.export_svg(title="Weft", code_format=form)  # no font from elsewhere

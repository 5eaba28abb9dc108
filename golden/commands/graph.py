"""``python -m golden graph``: a model's stages, formats, units and cycles as a picture."""

import json
from collections.abc import Mapping
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Annotated

from golden import checked, zoo
from golden.balancer import DEFAULT_MULTIPLIERS, make_schedule
from golden.cards import Work, mermaid
from golden.commands import options
from golden.datapath import make_datapath
from golden.diagram import make_diagram
from golden.errors import WeftError, check_writable, write_whole
from golden.numbers import MANTISSA_BITS
from golden.plan import Plan
from golden.quantize import WEIGHT_BITS, Options, quantize
from golden.resize import resized
from golden.schedule import Schedule

FOLDER = Path("build/graph")


def graph(
    model: options.Model = options.MODEL,
    checkpoint_file: options.CheckpointFile = None,
    schedule: options.Schedule = None,
    multipliers: options.Multipliers = DEFAULT_MULTIPLIERS,
    streams: options.Streams = 1,
    numbers: options.Numbers = None,
    weight_bits: options.WeightBits = WEIGHT_BITS,
    scales: options.Scales = None,
    cache_bits: options.CacheBits = MANTISSA_BITS,
    context: options.Context = None,
    window: options.Window = None,
    report: Annotated[
        Path | None,
        checked.file(help="Busy cycles; build/sim/<model>/report.json if it fits, when not given"),
    ] = None,
    output: Annotated[
        Path | None,
        checked.file(
            ends=(".svg",),
            help="The plan; .png, .mmd and the datapath go beside it. build/graph/<model>.svg",
        ),
    ] = None,
) -> None:
    """Draw the stages of a model with formats, units and cycles; and the datapath they run on."""
    output = output or FOLDER / f"{model}.svg"
    files = {form: output.with_suffix(f".{form}") for form in ("svg", "png", "mmd")}
    for form in ("svg", "png"):
        files[f"datapath {form}"] = output.with_name(f"{output.stem}-datapath.{form}")
    for file in files.values():
        check_writable(file)
    checkpoint = resized(zoo.load(model, checkpoint_file), context, window)
    plan = quantize(checkpoint, Options(numbers, weight_bits, scales, cache_bits))
    chosen = make_schedule(plan, schedule, multipliers, streams)
    if report is not None:
        _, seen = read_report(report)
    else:
        usual = Path("build/sim") / model / "report.json"
        seen = fitting_cycles(usual, plan, chosen)
    pictures = _pictures(plan, chosen, seen)
    _write_all({files[form]: content for form, content in pictures.items()})
    for file in files.values():
        print(file)


def read_report(path: Path) -> tuple[dict, dict[str, Work]]:
    """What a simulation was of (its plan's digest and its options), and what it says by stage.

    Raises
    ------
    WeftError
        If the file cannot be read or is no such report.
    """
    try:
        report = json.loads(path.read_text())
        design = {"plan_digest": report["plan_digest"], **report["options"]}
        return design, Work.by_stage(report["stages"])
    except OSError as error:
        raise WeftError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError):
        raise WeftError(
            f"{path} is no report of a simulation; "
            "expected JSON with plan_digest, options, and stages with name, busy, macs and bound"
        ) from None


def fitting_cycles(path: Path, plan: Plan, schedule: Schedule) -> dict[str, Work]:
    """What a simulation says by stage if ``path`` is a report of this very design; else none."""
    try:
        design, seen = read_report(path)
    except WeftError:
        return {}  # nobody asked for it
    expected = {
        "plan_digest": plan.digest(),
        "numbers": plan.numbers,
        "schedule": schedule.name,
        "multipliers": schedule.multipliers,
        "lanes": None,
        "streams": schedule.streams,
        "weights": schedule.weights,
    }
    return seen if expected.items() <= design.items() else {}


def _pictures(plan: Plan, schedule: Schedule, seen: Mapping[str, Work]) -> dict[str, bytes]:
    """The picture in every form."""
    from golden.draw import draw  # matplotlib takes longer to load than all the rest
    from golden.draw_datapath import draw_datapath

    diagram = make_diagram(plan, schedule, seen)
    svg, png = BytesIO(), BytesIO()
    draw(svg, diagram, "svg")
    draw(png, diagram, "png")
    text = mermaid(plan, schedule, seen)
    made = {"svg": svg.getvalue(), "png": png.getvalue(), "mmd": text.encode()}
    datapath = make_datapath(plan, schedule)
    for form in ("svg", "png"):
        file = BytesIO()
        draw_datapath(file, datapath, form)
        made[f"datapath {form}"] = file.getvalue()
    return made


def _write_all(contents: Mapping[Path, bytes]) -> None:
    """Write all files, or leave none of them."""
    with ExitStack() as undo:
        for path, content in contents.items():
            write_whole(path, content)
            undo.callback(path.unlink)
        undo.pop_all()

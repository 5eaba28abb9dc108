"""``python -m golden graph``: a model's stages, formats, units and cycles as a picture."""

import json
from io import BytesIO
from pathlib import Path
from typing import Annotated

from golden import checked, zoo
from golden.balancer import DEFAULT_MULTIPLIERS, make_schedule
from golden.cards import mermaid
from golden.commands import options
from golden.diagram import make_diagram
from golden.errors import WeftError, check_writable, write_whole
from golden.quantize import WEIGHT_BITS, Options, quantize

FOLDER = Path("build/graph")


def graph(
    model: options.Model = options.MODEL,
    checkpoint_file: options.CheckpointFile = None,
    schedule: options.Schedule = "folded",
    multipliers: options.Multipliers = DEFAULT_MULTIPLIERS,
    streams: options.Streams = 1,
    numbers: options.Numbers = "fixed",
    weight_bits: options.WeightBits = WEIGHT_BITS,
    report: Annotated[
        Path | None,
        checked.file(help="Measured cycles; build/sim/<model>/report.json if there is one"),
    ] = None,
    output: Annotated[
        Path | None,
        checked.file(
            ends=(".svg",), help="The SVG; .png and .mmd go beside it. build/graph/<model>.svg"
        ),
    ] = None,
) -> None:
    """Draw the stages of a model, their formats, their units and the cycles that these need."""
    output = output or FOLDER / f"{model}.svg"
    files = {form: output.with_suffix(f".{form}") for form in ("svg", "png", "mmd")}
    for file in files.values():
        check_writable(file)
    checkpoint = zoo.load(model, checkpoint_file)
    plan = quantize(checkpoint, Options(numbers, weight_bits))
    chosen = make_schedule(plan, schedule, multipliers, streams)
    usual = Path("build/sim") / model / "report.json"
    if report is not None:
        measured = measured_cycles(report)
    elif usual.exists():
        measured = measured_cycles(usual, plan.digest(), schedule, multipliers)
    else:
        measured = {}

    from golden.draw import draw  # matplotlib takes longer to load than all the rest

    picture = make_diagram(plan, chosen, measured)
    for form in ("svg", "png"):
        content = BytesIO()
        draw(content, picture, form)
        write_whole(files[form], content.getvalue())
    write_whole(files["mmd"], mermaid(plan, chosen, measured).encode())
    for file in files.values():
        print(file)


def measured_cycles(
    path: Path, digest: str | None = None, schedule: str | None = None, multipliers: int = 0
) -> dict[str, float]:
    """Cycles by stage from the report of a simulation.

    With a ``digest``, the report must be of that plan, schedule and budget; else there are none.

    Raises
    ------
    WeftError
        If the file cannot be read or is no such report.
    """
    try:
        report = json.loads(path.read_text())
        options = report.get("options", {})
        same = (report.get("plan_digest"), options.get("schedule"), options.get("multipliers"))
        if digest is not None and same != (digest, schedule, multipliers):
            return {}
        return {stage["name"]: float(stage["cycles"]) for stage in report["stages"]}
    except OSError as error:
        raise WeftError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise WeftError(
            f"{path} is no report of a simulation; expected JSON with stages, names and cycles"
        ) from None

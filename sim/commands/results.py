"""``python -m sim results``: measure performance, correctness and scaling; write it down."""

import json
import sys
from io import BytesIO
from pathlib import Path
from typing import Annotated

import typer

from golden import checked
from golden.errors import check_writable, write_whole
from sim import results as measured
from sim.build import BUILD

DATA = BUILD / "results" / "results.json"
FIGURES = {"cycles": "results-cycles.svg", "scaling": "results-scaling.svg"}
"""Figures, beside the document in the folder ``figures``."""


def results(
    output: Annotated[
        Path, checked.file(ends=(".md",), help="The document; figures go into a folder beside it.")
    ] = Path("docs/results.md"),
    quick: Annotated[
        bool, typer.Option("--quick", help="Measure little: for a look at the document.")
    ] = False,
) -> None:
    """Measure performance, correctness and scaling, and write the document about them.

    Takes a few minutes.  The numbers are also in build/results/results.json.
    """
    folder = output.parent / "figures"
    for file in (output, DATA, *(folder / name for name in FIGURES.values())):
        check_writable(file)
    sizes = measured.QUICK if quick else measured.Sizes()
    found = measured.collect(sizes, say)
    write_whole(DATA, (json.dumps(found, indent=1) + "\n").encode())

    # matplotlib takes longer to load than all the rest
    from sim.results import document, figures, pictures

    drawn = {
        "cycles": figures.cycles_of_a_token(found["runs"][0]),
        "scaling": figures.scaling(found["scaling"]),
    }
    for name, figure in drawn.items():
        picture = BytesIO()
        figures.save(picture, figure)
        write_whole(folder / FIGURES[name], picture.getvalue())
    say("the pictures of the README")
    for name, picture in pictures.readme_pictures().items():
        write_whole(folder / name, picture)
    write_whole(output, document.document(found, FIGURES).encode())
    print(f"{output} ({found['seconds']:.0f} s)")


def say(what: str) -> None:
    """Tell what is being measured."""
    print(f"weft: {what} ...", file=sys.stderr, flush=True)

"""``python -m sim image``: a model's weights as an external memory holds them, in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from golden import checked
from golden.commands import options
from golden.errors import check_writable
from golden.numbers import MANTISSA_BITS
from golden.schedules.external import PORT_BITS
from hdl.external import image_file
from hdl.external.layout import Layout
from sim.build import BUILD, Target, quantised
from sim.progress import progress
from sim.setup.console import step

FOLDER = BUILD / "image"
SUFFIX = ".weft"
WIDEST = PORT_BITS[-1]

Port = Annotated[int, checked.choice(of=PORT_BITS, help="Bits of a beat of the memory's port.")]
Scales = Annotated[
    str | None,
    checked.choice(
        of=("row", "group"), help="Which weights share a scale; as the file has them if none."
    ),
]


def image(
    model: options.Model = "smollm2",
    checkpoint: options.CheckpointFile = None,
    port: Port = WIDEST,
    scales: Scales = None,
    cache_bits: options.CacheBits = MANTISSA_BITS,
    context: options.Context = None,
    window: options.Window = None,
    output: Annotated[
        Path | None, checked.file(ends=(SUFFIX,), help="In build/image/<model> if none.")
    ] = None,
) -> None:
    """Write the weights of a model of the llama family as an external memory holds them."""
    path = output or FOLDER / f"{model}{SUFFIX}"
    check_writable(path)
    target = Target(
        model, checkpoint, schedule="external", scales=scales, cache_bits=cache_bits,
        context=context, window=window,
    )  # fmt: skip
    with step(f"loading and quantising {model}"):
        loaded, plan = quantised(target)
    layout = Layout(plan, port)
    with step(f"writing {path}") as note:
        size = layout.weights_end * layout.port // 8
        header = image_file.write(path, layout, loaded.digest, progress(size, note))
    with step("reading it back") as note:
        written = image_file.opened(path)
        written.check(progress(size, note))
        written.check_layout(layout)
    print(f"{path}  {header.data_offset + header.data_bytes:,} bytes, plan {header.plan[:16]}")

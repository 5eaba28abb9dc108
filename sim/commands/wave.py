"""``python -m sim wave``: write a waveform, a GTKWave view of it, and the timeline of the units."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from golden import checked
from golden.errors import OptionError, check_writable
from golden.tokenizer import tokenizer_for
from sim.build import BUILD, Target, make_design
from sim.commands import options
from sim.engines import DEFAULT, Trace
from sim.show import Voice
from sim.waves.signals import signals_of
from sim.workload import Sampling, make_requests

if TYPE_CHECKING:
    from sim.waves import make


@options.with_target
def wave(
    target: Target,
    prompt: options.Prompt = "",
    names: options.Names = 1,
    tokens: options.Tokens = None,
    temperature: options.Temperature = options.SAMPLING.temperature,
    seed: options.Seed = options.SAMPLING.seed,
    engine: options.Engine = DEFAULT,
    trace: options.Form = None,
    start: Annotated[
        int,
        checked.whole("--from", least=0, most=options.MOST_CYCLES, help="First cycle to show."),
    ] = 0,
    cycles: Annotated[
        int | None,
        checked.whole(
            least=1, most=options.MOST_CYCLES, help="How many to show; three tokens if none."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        checked.file(ends=(".vcd", ".fst"), help="The waveform; the rest goes beside it."),
    ] = None,
) -> None:
    """Write a waveform, a GTKWave view of it, and the timeline of the units as SVG and PNG."""
    from sim.waves import make  # matplotlib takes longer to load than all the rest

    path = _file(target.model, engine, trace, output)
    check_writable(path)
    whole = start == 0 and cycles is None and tokens is None
    tokens = make.TOKENS if whole else tokens
    sampling = Sampling(temperature, seed)
    design = make_design(target)
    requests = make_requests(
        design.checkpoint, sampling, max(names, target.streams), prompt, tokens
    )
    window = Trace(path, start, cycles)
    simulation = make.build_for_waves(design, engine)
    if cycles is None and not whole:
        window = make.choose_window(design, simulation, requests, path, start)
    with Voice(tokenizer_for(design.checkpoint), requests, target.streams) as voice:
        outcome = make.record(design, simulation, requests, window, voice.say)
    written = make.write_all(path, signals_of(design, target.model))
    _tell(written, outcome.simulated_cycles)


def _file(model: str, engine: str, form: str | None, output: Path | None) -> Path:
    """The waveform's file; its suffix is its format."""
    usual = "vcd" if engine == "amaranth" else "fst"
    path = output or BUILD / "wave" / model / f"wave.{form or usual}"
    if form is not None and path.suffix.lower() != f".{form}":
        raise OptionError("output", f"is {path}; expected a .{form}, as the trace is {form}")
    options.check_form(engine, path)
    return path


def _tell(written: make.Written, cycles: int) -> None:
    timeline = written.timeline
    per_token = timeline.cycles_per_token
    speed = "no whole token" if per_token is None else f"{per_token:,.1f} cycles a token"
    print(f"\ncycles {timeline.first:,} to {timeline.end - 1:,} of {cycles:,}: {speed}")
    for file in written.files:
        print(f"  {file}")
    view = next(file for file in written.files if file.suffix == ".gtkw")
    print(f"gtkwave {view}")

"""Regressions with cocotb: a core, driven at its streams, on Verilator or Icarus.

cocotb's own runner builds and starts them, with two changes that make Verilator four times as fast:
only the top's ports are public, and beats at taps are written by the simulator
(:class:`sim.bench.Probe`) into a file that is read when the run is over.
"""

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cocotb_tools.runner

from golden.errors import WeftError, make_folder_for
from hdl.memory import Memories
from sim import payload, tools
from sim.bench import Probe
from sim.cocotb_bench import core as bench
from sim.engines import Words, cache, process, verilator, verilog
from sim.engines.image import write_image
from sim.recorder import Design

SIMULATORS = ("verilator", "icarus")

TIMESCALE = ("1ns", "1ns")

RECORD = "record.txt"
"""File in the run's folder that the simulator writes the recorder's lines to."""

_PORT = re.compile(r"^  (?:input|output) (?:\[\d+:0\] )?(\w+);$", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """What a regression gave.

    Parameters
    ----------
    design: names and payloads, to read the lines with.
    tokens: payloads in order.
    lines: the recorder's lines; :func:`sim.taps.decode` reads them.
    cycles, seconds: simulated, and how long that took, start of the simulator included.
    """

    design: Design
    tokens: list[dict]
    lines: bytes
    cycles: int
    seconds: float


class _Verilator(cocotb_tools.runner.Verilator):
    """cocotb's runner; signals are public only where a .vlt file says so."""

    def _build_command(self):
        verilate, _ = super()._build_command()
        verilate = [part for part in verilate if part != "--public-flat-rw"]
        return [verilate]


def build(simulator: str, factory: Callable[[Memories], Probe], key: str, folder: Path):
    """Build a probe, or find the one that was built before.

    Parameters
    ----------
    simulator
        One of :data:`SIMULATORS`.
    factory, key, folder
        As :meth:`sim.engines.Engine.build` takes them.

    Returns
    -------
    The design, and a folder that the runner can start tests from.

    Raises
    ------
    WeftError
        If there is no such simulator, or a tool is missing or fails.
    """
    if simulator not in SIMULATORS:
        known = ", ".join(SIMULATORS)
        raise WeftError(f"cocotb does not run {simulator!r} here; it runs {known}")
    located = tools.verilator() if simulator == "verilator" else tools.iverilog()
    flat = simulator == "icarus"
    generated = verilog.generate(factory, f"cocotb {key}", Path(folder), flat, write_to_file)
    version = f"{tools.version_of(located)} cocotb {tools.versions()['cocotb']}"
    name = cache.digest(generated.text, version, simulator, _source_digest())

    def make(temporary: Path) -> None:
        (temporary / "build").mkdir()
        try:
            _build(simulator, generated.path.resolve(), temporary / "build", Path(folder))
        except (RuntimeError, SystemExit) as error:
            said = process.tail((temporary / "build.log").read_text())
            raise WeftError(f"building for cocotb failed ({error}):", said) from None

    what = f"compiling the cocotb bench with {simulator.capitalize()}"
    return generated.design, cache.cached(Path(folder) / "cocotb" / name, make, what) / "build"


def _build(simulator: str, source: Path, folder: Path, shared: Path) -> None:
    sources: list = [source]
    options: list[str] = []
    if simulator == "verilator":
        control = folder / "ports.vlt"
        control.write_text(public_ports(source.read_text()))
        sources = [control, source]
        options = list(verilator.OPTIONS)
    with _environment():
        _runner(simulator).build(
            sources=sources,
            hdl_toplevel="top",
            build_dir=folder,
            build_args=options,
            timescale=TIMESCALE,
            log_file=folder.parent / "build.log",
        )
    if simulator == "verilator":
        verilator.compile_with_runtime(folder, shared / "verilator")
        program = folder / "top"
        program.rename(folder.parent / "top")
        shutil.rmtree(folder)
        folder.mkdir()
        (folder.parent / "top").rename(program)


def run(
    simulator: str,
    factory: Callable[[Memories], Probe],
    key: str,
    folder: Path,
    image: Mapping[str, Words],
    requests: Sequence[Mapping | int],
    run_folder: Path,
    *,
    tokens: Sequence[Mapping | int] | None = None,
    record: bool = True,
    idle: int = 0,
    pressure: int = 0,
    seed: int = 0,
    limit: int = 10_000_000,
) -> Outcome:
    """Run one regression.

    Parameters
    ----------
    simulator, factory, key, folder
        As :func:`build` takes them.
    image
        Contents of the core's memories.
    requests
        Payloads to send.
    run_folder
        Where files and logs are written.
    tokens
        What must come out, or None to take what comes.
    record, idle, pressure, seed
        As :func:`sim.bench.settings` takes them.
    limit
        Cycles after which the regression fails.

    Raises
    ------
    WeftError
        If it fails, with the end of cocotb's log.
    """
    design, built = build(simulator, factory, key, folder)
    run_folder = Path(run_folder).resolve()
    make_folder_for(run_folder / "job.json")
    for name in ("result.json", RECORD):
        (run_folder / name).unlink(missing_ok=True)
    write_image(image, design.memories, run_folder)
    chosen = {"record": int(record), "idle": idle, "pressure": pressure, "seed": seed}
    chosen |= {"requests": _packed(design.requests, requests), "limit": limit}
    chosen["tokens"] = None if tokens is None else _packed(design.tokens, tokens)
    (run_folder / "job.json").write_text(json.dumps(chosen))

    start = time.monotonic()
    _test(simulator, built, run_folder)
    seconds = time.monotonic() - start
    result = json.loads((run_folder / "result.json").read_text())
    found = [payload.unpack(design.tokens, bits) for bits in result["tokens"]]
    lines = (run_folder / RECORD).read_bytes()
    return Outcome(design, found, lines, result["cycles"], seconds)


def _test(simulator: str, built: Path, folder: Path) -> None:
    log = folder / "cocotb.log"
    try:
        with _environment():
            results = _runner(simulator).test(
                test_module=bench.__name__,
                hdl_toplevel="top",
                hdl_toplevel_lang="verilog",
                build_dir=built.resolve(),
                test_dir=folder,
                results_xml=str(folder / "results.xml"),
                extra_env={bench.JOB: str(folder / "job.json")},
                log_file=log,
                timescale=TIMESCALE if simulator == "icarus" else None,
            )
            count, failed = cocotb_tools.runner.get_results(results)
    except (RuntimeError, SystemExit) as error:
        count, failed = 0, f"none ran ({error})"
    if failed or not count:
        said = process.tail(log.read_text(errors="replace"), 25)
        raise WeftError(f"the cocotb regression failed on {simulator}; its log ends:", said)


def public_ports(source: str) -> str:
    """A Verilator control file that makes the ports of the module ``top`` public, nothing else."""
    ports = _PORT.findall(_top_module(source))
    lines = [f'public_flat_rw -module "top" -var "{port}"' for port in ports]
    return "\n".join(["`verilator_config", *lines, ""])


def write_to_file(source: str) -> str:
    """Let the recorder write to :data:`RECORD`: stdout belongs to cocotb's log."""
    top = _top_module(source)
    header, rest = top.split(";\n", 1)
    opened = f'  integer weft_record;\n  initial weft_record = $fopen("{RECORD}", "w");\n'
    edited = f"{header};\n{opened}{rest}".replace("$write(", "$fwrite(weft_record, ")
    return source.replace(top, edited, 1)


def _top_module(source: str) -> str:
    begin = source.index("\nmodule top(") + 1
    return source[begin : source.index("\nendmodule", begin)]


def _packed(layout: payload.Layout, values: Sequence[Mapping | int]) -> list[int]:
    return [value if isinstance(value, int) else payload.pack(layout, value) for value in values]


def _source_digest() -> str:
    return cache.digest(Path(__file__).read_bytes())


def _runner(simulator: str):
    return _Verilator() if simulator == "verilator" else cocotb_tools.runner.Icarus()


@contextmanager
def _environment() -> Iterator[None]:
    """The tools' environment for cocotb's runner, which takes it from the process."""
    before = dict(os.environ)
    os.environ.update(tools.environment())
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)

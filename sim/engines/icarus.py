"""Icarus Verilog: the bench as one flat module, interpreted, with four-valued logic."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from golden.errors import make_folder_for
from sim import tools
from sim.engines import Factory, Trace, Words, cache, process, verilog
from sim.engines.image import write_image

MAIN = Path(__file__).with_name("main.v")

FOREVER = (1 << 63) - 1


class Icarus:
    """The engine; see :class:`sim.engines.Engine`."""

    name = "icarus"

    def build(self, factory: Factory, key: str, folder: Path) -> "Simulation":
        tools.iverilog(), tools.vvp()
        return Simulation(verilog.generate(factory, key, folder, flat=True), Path(folder))


class Simulation:
    """A compiled bench; see :class:`sim.engines.Simulation`."""

    def __init__(self, generated: verilog.Generated, folder: Path):
        self.design = generated.design
        version = tools.version_of(tools.iverilog())
        name = cache.digest(generated.text, MAIN.read_bytes(), version)

        def make(temporary: Path) -> None:
            command = [tools.iverilog(), "-g2012", "-o", "sim.vvp", "-s", "main"]
            command += [MAIN, generated.path.resolve()]
            process.execute(command, temporary, "Icarus Verilog")

        what = "compiling the simulation with Icarus Verilog"
        self._program = cache.cached(folder / "icarus" / name, make, what) / "sim.vvp"

    def run(
        self,
        image: Mapping[str, Words],
        run_folder: Path,
        trace: Trace | None = None,
        max_cycles: int | None = None,
        memory: None = None,
    ) -> Iterator[str]:
        make_folder_for(Path(run_folder) / "log.txt")
        write_image(image, self.design.memories, run_folder)
        command = [tools.vvp(), "-n", self._program.resolve()]
        command += [f"+limit={FOREVER if max_cycles is None else max_cycles}"]
        if trace:
            make_folder_for(trace.path)
            command += [f"+trace={Path(trace.path).resolve()}", f"+from={trace.start}"]
            command += [f"+end={trace.end(FOREVER)}"]
            command += [f"-{trace.format}"]
        return process.stream(command, run_folder, "the simulation")


def create() -> Icarus:
    """The engine."""
    return Icarus()

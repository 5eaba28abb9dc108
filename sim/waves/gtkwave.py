"""The GTKWave view: stages in the order of the plan, states and tokens as words.

A save file, and beside it one file a translation (value -> text) that it refers to.
"""

from __future__ import annotations

from math import log2
from pathlib import Path

from golden.errors import write_whole
from hdl.observe import STATES
from sim.waves.dump import Dump
from sim.waves.signals import CYCLE, TOKENS, Signals, StageView, UnitView

BINARY, DECIMAL, SIGNED, WORDS = "@28", "@24", "@420", "@2024"
"""How a signal is shown; WORDS: through a translation."""

OPEN, CLOSE = ("@800200", "@c00200"), ("@1000200", "@1401200")
"""A group begins, and ends: one that is open, one that is shut."""

COMMENT = "@200"

STATE_COLOURS = {"starved": "gray20", "busy": "SeaGreen", "blocked": "firebrick"}

NOTHING = "?gray20?-"

WINDOW = (1720, 1060)
NAMES_WIDTH = 330
FRAME = 200
"""Pixels that GTKWave's zoom counts in."""


def write_view(path: Path, dump: Dump, signals: Signals, shown: tuple[int, int]) -> list[Path]:
    """Write the save file ``path`` and its translations; answers all files.

    Only signals that the dump has are listed. The view opens on the cycles ``shown``. Raises
    WeftError if a signal is missing without which there is nothing to tell.
    """
    dump.demand(signals.needed)
    view = _View(path, dump, signals, shown)
    view.tokens()
    view.units()
    for section in dict.fromkeys(stage.section for stage in signals.stages):
        view.section(section, [s for s in signals.stages if s.section == section])
    return view.write()


class _View:
    """The lines of the save file, and the translations, as they grow."""

    def __init__(self, path: Path, dump: Dump, signals: Signals, shown: tuple[int, int]):
        self._path, self._dump, self._signals, self._shown = Path(path), dump, signals, shown
        self._lines: list[str] = []
        self._folder = self._path.with_suffix(".words")
        self._words: dict[str, list[str]] = {  # texts by value
            "state": [f"?{STATE_COLOURS[s]}?{s}" for s in STATES],
            "token": list(signals.words),
        }
        self._none: dict[str, int] = {}  # what stands for nothing (hdl.observe.View)

    # What is shown ---------------------------------------------------------------------------

    def tokens(self) -> None:
        """The loop: the token that enters, the token that is sampled."""
        self._comment(self._signals.title)
        self._signal(BINARY, "top.clk", "clock")
        self._signal(DECIMAL, CYCLE, "cycle")
        self._group("generator")
        for stream, name in zip(TOKENS, ("accepted", "sampled"), strict=True):
            self._signal(WORDS, f"core.{stream}_token", f"{name} token", "token")
            for field in ("stream", "position"):
                self._signal(DECIMAL, f"core.{stream}_{field}", f"{name} {field}")
            for field in ("valid", "ready"):
                self._signal(BINARY, f"core.{stream}_{field}", f"{name} {field}")
        self._end("generator")

    def units(self) -> None:
        """What every unit does, and for which stage."""
        self._group("units")
        for unit in self._signals.units:
            self._unit(unit)
        self._end("units")

    def section(self, section: str, stages: list[StageView]) -> None:
        """The answers of a section's stages; layers after the first are shut."""
        shut = section.startswith("layer") and section != "layer0"
        self._group(section, shut)
        for stage in stages:
            self._stage(stage)
        self._end(section, shut)

    def _unit(self, unit: UnitView) -> None:
        self._signal(WORDS, unit.state, unit.name, "state")
        if unit.job:
            self._words[f"{unit.name}_job"] = list(unit.jobs)
            self._signal(WORDS, unit.job, f"{unit.name} job", f"{unit.name}_job")

    def _stage(self, stage: StageView) -> None:
        form = f", {stage.form}" if stage.form is not None else ""
        self._comment(f"{stage.name}  ({stage.unit}{form})")
        unit = next(unit for unit in self._signals.units if unit.name == stage.unit)
        if unit.job is None:
            self._signal(WORDS, unit.state, f"{stage.name} state", "state")
        for field in ("valid", "ready"):
            self._signal(BINARY, stage.signal(field), f"{stage.name} {field}")
        for field in ("stream", "layer", "position"):
            self._signal(DECIMAL, stage.signal(field), f"{stage.name} {field}")
        for field in ("value", "exponent"):
            self._signal(SIGNED, stage.signal(field), f"{stage.name} {field}")
        self._signal(WORDS, stage.signal("token"), f"{stage.name} token", "token")

    # How it is written -----------------------------------------------------------------------

    def _signal(self, flags: str, name: str, alias: str, words: str | None = None) -> None:
        """A signal under another name, if the dump has it."""
        if not self._dump.has(name):
            return
        self._lines.append(flags)
        if words:
            self._lines.append(f"^1 {self._file(words).resolve()}")
            self._none[words] = 1 << (self._dump.bits(name) - 1)
        self._lines.append(f"+{{{alias}}} {self._dump.full_name(name)}")

    def _comment(self, text: str) -> None:
        self._lines += [COMMENT, f"-{text}"]

    def _group(self, name: str, shut: bool = False) -> None:
        self._lines += [OPEN[shut], f"-{name}"]

    def _end(self, name: str, shut: bool = False) -> None:
        self._lines += [CLOSE[shut], f"-{name}"]

    def _file(self, words: str) -> Path:
        return self._folder / f"{words}.txt"

    def write(self) -> list[Path]:
        files = []
        for name, texts in self._words.items():
            files.append(self._file(name))
            entries = dict(enumerate(texts))
            if name != "state" and name in self._none:
                entries[self._none[name]] = NOTHING
            lines = "".join(f"{value} {text}\n" for value, text in entries.items())
            write_whole(files[-1], lines.encode())
        write_whole(self._path, "\n".join([*self._header(), *self._lines, ""]).encode())
        return [self._path, *files]

    def _header(self) -> list[str]:
        dump, path = self._dump.path.resolve(), self._path.resolve()
        return [
            f'[dumpfile] "{dump}"',
            f'[savefile] "{path}"',
            f"[timestart] {self._dump.time(self._shown[0])}",
            f"[size] {WINDOW[0]} {WINDOW[1]}",
            "[pos] -1 -1",
            f"*{self._zoom():.6f} -1" + " -1" * 26,
            f"[signals_width] {NAMES_WIDTH}",
            "[sst_expanded] 0",
        ]

    def _zoom(self) -> float:
        """GTKWave's zoom: minus log2 of the time that a frame of FRAME pixels stands for."""
        time = self._dump.time(self._shown[1]) - self._dump.time(self._shown[0])
        return -log2(max(time * FRAME / (WINDOW[0] - NAMES_WIDTH - 100), 1))

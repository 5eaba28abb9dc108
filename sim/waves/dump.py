"""A waveform file, read as one number a cycle for every signal."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pywellen

from golden.errors import WeftError
from sim.clock import PERIOD_NS, RESET_CYCLES

UNDEFINED = -1
"""What a signal is worth in a cycle in which it has no value."""


class Dump:
    """An open waveform file of any engine.

    Parameters
    ----------
    path: a .vcd or .fst file of the bench.

    Members
    -------
    first, end: the cycles in it; ``end`` itself is outside.

    Raises
    ------
    WeftError
        If there is no such file, it cannot be read, or nothing was written into it.
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        if not self.path.is_file():
            raise WeftError(f"the simulation wrote no waveform {self.path}")
        try:
            self._file = pywellen.Waveform(str(self.path))
            found = {_plain(var.full_name): var for var in self._file.all_vars()}
        except BaseException as error:  # pywellen's panics are no Exceptions
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            raise WeftError(f"the waveform {self.path} cannot be read: {error}") from None
        self._found = found
        nanosecond = 10 ** (-9 - self._file.timescale.unit.to_exponent())
        self._period = PERIOD_NS * nanosecond // self._file.timescale.factor
        ticks = [time for time, value in self._changes("top.clk") if isinstance(value, int)]
        if len(ticks) < 2:
            raise WeftError(f"the waveform {self.path} is empty: its clock never ticks")
        self.first, self.end = max(self._cycle(ticks[0]), 0), self._cycle(ticks[-1]) + 1

    def has(self, name: str) -> bool:
        """Whether a signal is in the file; ``name`` counts from the scope of the bench or core."""
        return self._find(name) is not None

    def demand(self, names: Iterable[str]) -> None:
        """Raise WeftError if signals are missing, naming the first."""
        missing = [name for name in names if not self.has(name)]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise WeftError(f"the waveform {self.path} lacks the signal {missing[0]}{more}")

    def full_name(self, name: str) -> str:
        """The signal as the file calls it, with the range that GTKWave adds to a vector."""
        var = self._var(name)
        return var.full_name + (f"[{var.bitwidth - 1}:0]" if var.bitwidth > 1 else "")

    def bits(self, name: str) -> int:
        """Width of a signal."""
        return self._var(name).bitwidth or 1

    def values(self, name: str) -> np.ndarray:
        """The signal in every cycle from ``first`` to ``end``, unsigned; UNDEFINED where it is."""
        values = np.full(self.end - self.first, UNDEFINED, dtype=np.int64)
        for time, value in self._changes(name):
            at = max(self._cycle(time) - self.first, 0)
            values[at:] = value if isinstance(value, int) else UNDEFINED
        return values

    def time(self, cycle: int) -> int:
        """When a cycle begins, in units of the file."""
        return (cycle + RESET_CYCLES - 1) * self._period

    def _cycle(self, time: int) -> int:
        return time // self._period - (RESET_CYCLES - 1)

    def _changes(self, name: str):
        signal = self._var(name).signal
        return (signal[k] for k in range(len(signal)))

    def _var(self, name: str) -> pywellen.Var:
        self.demand([name])
        return self._find(name)

    def _find(self, name: str) -> pywellen.Var | None:
        """The shortest match: the same net may show again in inner scopes."""
        ends = [full for full in self._found if full == name or full.endswith(f".{name}")]
        return self._found[min(ends, key=len)] if ends else None


def _plain(name: str) -> str:
    r"""A name without the signs of escaped identifiers: ``main.top.\core.x`` is main.top.core.x."""
    return name.replace("\\", "")

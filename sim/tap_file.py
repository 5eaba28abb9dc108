"""Golden and hardware taps side by side in one NumPy file."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np

from golden.errors import OptionError, check_writable, write_whole
from sim.compare import Checker


def check_tap_file(path: Path) -> None:
    """Raise a WeftError, before any work, if ``path`` is no .npz file that can be written."""
    if path.suffix != ".npz":
        raise OptionError("taps", f"is {path}; expected the name of a file that ends in .npz")
    check_writable(path)


def write_taps(path: Path, checker: Checker) -> None:
    """Write every compared vector, by the name of its stage, as in the report.

    ``<key>`` is ``prologue.embed``, ``layer3.q``, ``layer0.attention.scores``...
    ``<key>.golden`` and ``<key>.hardware`` are mantissas [tokens, elements]; ``<key>.token`` is
    (sequence, position) [tokens, 2].  Scores and weights have as many elements as positions were
    attended to: their rows are filled with zeros behind them, and ``<key>.elements`` counts.
    """
    arrays = {}
    for at, rows in checker.kept.items():
        key = checker.plan.place(*at)
        arrays[f"{key}.token"] = np.array([token for token, _, _ in rows])
        arrays[f"{key}.elements"] = np.array([len(golden) for _, golden, _ in rows])
        arrays[f"{key}.golden"] = _stacked([golden for _, golden, _ in rows])
        arrays[f"{key}.hardware"] = _stacked([hardware for _, _, hardware in rows])
    buffer = BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_whole(path, buffer.getvalue())


def _stacked(rows: list[np.ndarray]) -> np.ndarray:
    result = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
    for k, row in enumerate(rows):
        result[k, : len(row)] = row
    return result

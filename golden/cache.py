"""The folder for what is fetched once and kept: tools, and the weights of published models."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The project's folder."""

VARIABLE = "WEFT_CACHE"
"""Names another folder than ``.tools``; several clones may share one."""


def folder(root: Path = ROOT) -> Path:
    """The folder: ``WEFT_CACHE`` if that is set, else ``.tools`` in the project."""
    return Path(os.environ.get(VARIABLE) or root / ".tools").expanduser().absolute()

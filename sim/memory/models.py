"""The models of memories: what a C++ main gives to ``weft::open_memory``."""

from __future__ import annotations

import tomllib
from pathlib import Path

from golden.errors import WeftError, write_whole
from golden.schedules.external import PORT_BITS
from sim.engines import cache
from sim.memory import library

FOLDER = Path(__file__).parent
"""Where the headers are: ``-I`` for mains that include ``open.h``."""

MODELS = ("fast", "litedram")
MEMORIES = tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))

BYTES_PER_CYCLE = {"arty": 14.233, "ulx3s": 3.765}
"""What a memory gives a cycle when it is read from one end to the other (docs/memory.md)."""


def parameters(memory: str) -> dict[str, int]:
    """What the fast model is told of a memory; ``timing.h`` says what the names mean."""
    return tomllib.loads(_file(memory).read_text())


def path(model: str, memory: str) -> Path:
    """The file that ``weft::open_memory`` opens; LiteDRAM's model is made first if need be.

    Raises
    ------
    WeftError
        If there is no such model or memory, or LiteDRAM's cannot be made.
    """
    file = _file(memory)
    if model not in MODELS:
        raise WeftError(f"there is no memory model {model!r}; there are {', '.join(MODELS)}")
    return file if model == "fast" else library.build(memory)


def fast_of_width(memory: str, bits: int, folder: Path) -> Path:
    """As ``path("fast", memory)``, but with a port of another width that has the same timing.

    It is a file in ``folder``.  No chip is like that: cycles of such a port say nothing of a board.
    """
    if bits not in PORT_BITS:
        raise WeftError(f"a memory port has {', '.join(map(str, PORT_BITS))} bits, not {bits}")
    changed = parameters(memory) | {"beat_bytes": bits // 8}
    text = "".join(f"{name} = {number}\n" for name, number in changed.items()).encode()
    file = folder / f"{memory}-{cache.digest(text)}.toml"
    write_whole(file, text)
    return file


def _file(memory: str) -> Path:
    if memory not in MEMORIES:
        raise WeftError(f"there is no memory {memory!r}; there are {', '.join(MEMORIES)}")
    return FOLDER / f"{memory}.toml"

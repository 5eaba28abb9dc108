"""The names that Weft's own checkpoint is trained on, and how any list of names is read."""

import stat
from pathlib import Path

from golden.errors import WeftError

TEXTS = {
    "stories15m": ("story.txt",),
    None: ("narrative.txt", "expository.txt"),
}
"""English that models of text are measured on, by preset (None: any other). See ``README.md``."""

NAMES = Path(__file__).with_name("names.txt")
"""The carried list: 32,000 given names, the most frequent first. See ``README.md`` beside it."""

MOST_BYTES = 1 << 26
"""Of a list: a million names have about 8 MB, and all of it is held in memory."""

HOLD_OUT = 20
"""Of the carried list, every 20th name is kept from training, to judge what was learnt."""


def text_files(model: str) -> list[Path]:
    """The carried texts that a model is measured on."""
    return [Path(__file__).with_name(name) for name in TEXTS.get(model, TEXTS[None])]


def load_names(path: str | Path = NAMES) -> list[str]:
    """Read a list of names (or of any short texts): UTF-8, one a line; blank lines do not count.

    Raises
    ------
    WeftError
        As load_text, or if there is no name in it.
    """
    lines = [line.strip() for line in load_text(path, "a text file of names").split("\n")]
    names = [line for line in lines if line]
    if not names:
        raise WeftError(f"{path} holds no names; expected one name a line")
    return names


def load_text(path: str | Path, expected: str = "a text file") -> str:
    """Read a text in UTF-8; ``expected`` is what a message says it should be.

    Raises
    ------
    WeftError
        If the file is missing, unreadable, no ordinary file, too large or not UTF-8.
    """
    path = Path(path)
    try:
        found = path.stat()
        # A device or a pipe may never end.
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
            raise WeftError(f"{path} is no ordinary file; expected {expected}")
        if found.st_size > MOST_BYTES:
            raise WeftError(
                f"{path} has {found.st_size:,} bytes; expected {expected} with {MOST_BYTES:,} "
                "at most"
            )
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise WeftError(
            f"cannot read {path}: {error.strerror or error}; expected {expected}"
        ) from None
    except UnicodeDecodeError as error:
        raise WeftError(
            f"{path} is not UTF-8 text (byte {error.start}); expected {expected}"
        ) from None


def split(names: list[str], every: int = HOLD_OUT) -> tuple[list[str], list[str]]:
    """Divide names into those to train on and those held out: the ``every``-th by position.

    In a list that is sorted by frequency, both parts hold frequent and rare names alike. With
    ``every`` 0 nothing is held out.
    """
    if every == 0:
        return list(names), []
    held_out = names[every - 1 :: every]
    return [name for i, name in enumerate(names, 1) if i % every], held_out

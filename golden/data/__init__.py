"""The names that Weft's own checkpoint is trained on, and how any list of names is read."""

import stat
from pathlib import Path

from golden.errors import WeftError

NAMES = Path(__file__).with_name("names.txt")
"""The carried list: 32,000 given names, the most frequent first. See ``README.md`` beside it."""

MOST_BYTES = 1 << 26
"""Of a list: a million names have about 8 MB, and all of it is held in memory."""

HOLD_OUT = 20
"""Of the carried list, every 20th name is kept from training, to judge what was learnt."""


def load_names(path: str | Path = NAMES) -> list[str]:
    """Read a list of names (or of any short texts): UTF-8, one a line; blank lines do not count.

    Raises
    ------
    WeftError
        If the file is missing, unreadable, no ordinary file, too large, not UTF-8 or without any
        name.
    """
    path = Path(path)
    try:
        found = path.stat()
        # A device or a pipe may never end.
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
            raise WeftError(f"{path} is no ordinary file; expected a text file of names")
        if found.st_size > MOST_BYTES:
            raise WeftError(
                f"{path} has {found.st_size:,} bytes; expected a text file of names with "
                f"{MOST_BYTES:,} at most"
            )
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise WeftError(
            f"cannot read {path}: {error.strerror or error}; expected a text file of names"
        ) from None
    except UnicodeDecodeError as error:
        raise WeftError(
            f"{path} is not UTF-8 text (byte {error.start}); expected one name a line"
        ) from None
    names = [line.strip() for line in text.split("\n") if line.strip()]
    if not names:
        raise WeftError(f"{path} holds no names; expected one name a line")
    return names


def split(names: list[str], every: int = HOLD_OUT) -> tuple[list[str], list[str]]:
    """Divide names into those to train on and those held out: the ``every``-th by position.

    In a list that is sorted by frequency, both parts hold frequent and rare names alike. With
    ``every`` 0 nothing is held out.
    """
    if every == 0:
        return list(names), []
    held_out = names[every - 1 :: every]
    return [name for i, name in enumerate(names, 1) if i % every], held_out

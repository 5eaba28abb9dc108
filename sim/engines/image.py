"""Contents of memories: checked, and written as the files that ``$readmemh`` reads."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from golden.errors import WeftError, write_whole
from golden.words import counted
from hdl.memory import verilog_name


def write_image(image: Mapping, memories: Mapping[str, tuple[int, int]], folder: Path) -> None:
    """Write ``<memory>.hex`` for every memory; a file that has these contents already is left.

    Raises
    ------
    WeftError
        If a memory has no contents, or too many words.
    """
    for name, (width, depth) in memories.items():
        words = words_of(image, name, depth)
        path = Path(folder) / f"{verilog_name(name)}.hex"
        text = hex_lines(words, width, depth)
        if not path.is_file() or path.read_bytes() != text:
            write_whole(path, text)


def words_of(image: Mapping, name: str, depth: int):
    """The words of a memory that an image must have."""
    if name not in image:
        raise WeftError(f"the image has no words for the memory {name}; it has {_names(image)}")
    words = image[name]
    if len(words) > depth:
        raise WeftError(f"memory {name}: {counted(len(words), 'word')} given and it holds {depth}")
    return words


def hex_lines(words, width: int, depth: int) -> bytes:
    """``depth`` lines of as many digits as ``width`` bits need; absent words are zero."""
    digits = -(-width // 4)
    size = -(-width // 8)  # bytes of a word
    if isinstance(words, np.ndarray) and words.dtype != object and width <= 64:
        raw = _bytes_of_array(words, width, size)
    else:
        mask = (1 << width) - 1
        raw = b"".join((int(word) & mask).to_bytes(size, "big") for word in words)
    text = raw.hex("\n", size).encode() + b"\n" if raw else b""
    if digits % 2:  # drop the first digit of every line
        rows = np.frombuffer(text, dtype=np.uint8).reshape(-1, 2 * size + 1)
        text = rows[:, 1:].tobytes()
    return text + (b"0" * digits + b"\n") * (depth - len(words))


def _bytes_of_array(words: np.ndarray, width: int, size: int) -> bytes:
    kind = np.uint64 if words.dtype == np.uint64 else np.int64
    bits = words.astype(kind).view(np.uint64) & np.uint64((1 << width) - 1)
    return bits.astype(">u8").view(np.uint8).reshape(-1, 8)[:, 8 - size :].tobytes()


def _names(image: Mapping) -> str:
    return ", ".join(sorted(image)) or "nothing"

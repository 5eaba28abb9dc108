"""The tokenizer that a GGUF file brings along."""

from __future__ import annotations

from golden.bpe import PIECES, BytePairTokenizer, byte_level
from golden.errors import WeftError

KEY = "tokenizer.ggml."
CONTROL, USER = 3, 4
"""Types of tokens that are looked for in a text before anything else."""


def vocabulary(metadata: dict) -> tuple[str, ...]:
    """The pieces by id, as they are in the file; a WeftError if there are none."""
    return tuple(_texts(metadata, "tokens"))


def tokenizer(metadata: dict) -> BytePairTokenizer:
    """Byte-level BPE out of the fields of a file, special tokens included.

    Raises
    ------
    WeftError
        If a field is missing or of the wrong form, or the tokenizer is of another kind.
    """
    kind, split = metadata.get(f"{KEY}model"), metadata.get(f"{KEY}pre")
    if kind != "gpt2" or split not in PIECES:
        raise WeftError(
            f"its tokenizer is {kind!r} with pre-tokenizer {split!r}; expected 'gpt2' with one of "
            f"{', '.join(map(repr, PIECES))}"
        )
    pieces, merges = _texts(metadata, "tokens"), []
    for merge in _texts(metadata, "merges"):
        pair = tuple(merge.split(" "))
        if len(pair) != 2:
            raise WeftError(f"field {KEY}merges holds {merge!r}; expected two pieces")
        merges.append(pair)
    types = metadata.get(f"{KEY}token_type", [0] * len(pieces))
    if not isinstance(types, list) or len(types) != len(pieces):
        raise WeftError(f"field {KEY}token_type does not list one number a token")
    special = [piece for piece, kind in zip(pieces, types, strict=True) if kind in (CONTROL, USER)]
    start, stop = (_token(metadata, name, len(pieces)) for name in ("bos", "eos"))
    return byte_level(pieces, merges, special, split, 0 if start is None else start, stop)


def _texts(metadata: dict, name: str) -> list[str]:
    found = metadata.get(KEY + name)
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise WeftError(f"field {KEY}{name} is missing or no list of texts")
    return found


def _token(metadata: dict, name: str, count: int) -> int | None:
    token = metadata.get(f"{KEY}{name}_token_id")
    if token is not None and (type(token) is not int or not 0 <= token < count):
        raise WeftError(f"field {KEY}{name}_token_id is {token!r}; expected 0 to {count - 1}")
    return token

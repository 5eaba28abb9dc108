"""The tokenizer that a GGUF file brings along."""

from __future__ import annotations

from golden.bpe import PIECES, BytePairTokenizer, by_score, byte_level
from golden.chat_template import ChatTemplate
from golden.errors import WeftError
from golden.words import shown

KEY = "tokenizer.ggml."
TEMPLATE = "tokenizer.chat_template"
NORMAL, CONTROL, USER = 1, 3, 4
"""Types of tokens: what merging may make; what is looked for in a text before anything else."""

SPACE = "▁"
"""How pieces with scores write a space."""


def vocabulary(metadata: dict) -> tuple[str, ...]:
    """The pieces by id, as they are in the file; a WeftError if there are none."""
    return tuple(_texts(metadata, "tokens"))


def tokenizer(metadata: dict) -> BytePairTokenizer:
    """The tokenizer that the fields of a file describe, special tokens included.

    ``gpt2`` is BPE over bytes with a list of merges, ``llama`` BPE over characters with scores.

    Raises
    ------
    WeftError
        If a field is missing or of the wrong form, or the tokenizer is of another kind.
    """
    kind, split = metadata.get(f"{KEY}model"), metadata.get(f"{KEY}pre")
    if kind != "llama" and (kind != "gpt2" or split not in PIECES):
        raise WeftError(
            f"its tokenizer is {shown(kind)} with pre-tokenizer {shown(split)}; expected 'llama', "
            f"or 'gpt2' with one of {', '.join(map(repr, PIECES))}"
        )
    pieces = _texts(metadata, "tokens")
    types = _numbers(metadata, "token_type", len(pieces))
    special = [piece for piece, kind in zip(pieces, types, strict=True) if kind in (CONTROL, USER)]
    start, stop = (_token(metadata, name, len(pieces)) for name in ("bos", "eos"))
    template = _template(metadata, pieces, start, stop)
    start = 0 if start is None else start
    if kind == "gpt2":
        made = byte_level(pieces, _merges(metadata), special, split, start, stop)
    else:
        scores = _numbers(metadata, "scores", len(pieces))
        normal = [token for token, kind in enumerate(types) if kind == NORMAL]
        prefix = bool(metadata.get(f"{KEY}add_space_prefix", True))
        made = by_score(pieces, scores, normal, special, SPACE, prefix, start, stop)
    made.opens, made.template = bool(metadata.get(f"{KEY}add_bos_token", True)), template
    return made


def _template(metadata: dict, pieces: list[str], start, stop) -> ChatTemplate | None:
    """The chat template, if the file has one."""
    source = metadata.get(TEMPLATE)
    if source is None:
        return None
    if not isinstance(source, str):
        raise WeftError(f"field {TEMPLATE} is {shown(str(source))}; expected a text")
    named = {"bos_token": start, "eos_token": stop}
    return ChatTemplate(source, {k: pieces[v] for k, v in named.items() if v is not None})


def _merges(metadata: dict) -> list[tuple[str, str]]:
    merges = [tuple(merge.split(" ")) for merge in _texts(metadata, "merges")]
    for merge in merges:
        if len(merge) != 2:
            raise WeftError(
                f"field {KEY}merges holds {shown(' '.join(merge))}; expected two pieces"
            )
    return merges


def _numbers(metadata: dict, name: str, count: int) -> list:
    found = metadata.get(KEY + name)
    if not isinstance(found, list) or len(found) != count or isinstance((*found, "")[0], str):
        raise WeftError(f"field {KEY}{name} is missing or does not list one number a token")
    return found


def _texts(metadata: dict, name: str) -> list[str]:
    found = metadata.get(KEY + name)
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise WeftError(f"field {KEY}{name} is missing or no list of texts")
    return found


def _token(metadata: dict, name: str, count: int) -> int | None:
    token = metadata.get(f"{KEY}{name}_token_id")
    if token is not None and (type(token) is not int or not 0 <= token < count):
        raise WeftError(f"field {KEY}{name}_token_id is {shown(token)}; expected 0 to {count - 1}")
    return token

"""Models of llama2.c (Karpathy): ``.bin`` files of its first format, and their tokenizers.

Such a file is seven 32-bit numbers and then float32 weights, kind after kind. Pairs that rotary
positions turn are neighbours there, as in :class:`~golden.config.ModelConfig`.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from golden.bpe import BytePairTokenizer, by_score
from golden.config import ModelConfig
from golden.errors import WeftError
from golden.model import Checkpoint
from golden.tokenizer import numbered
from golden.zoo.floats import frozen

HEADER = "<7i"
LATER_FORMAT = 0x616B3432
"""How files of the later formats begin."""

START, BYTES = 1, 3
"""Ids of the token that stands between texts, and of the first of the 256 bytes."""

ORDER = (
    "norm_attention", "attn_wq", "attn_wk", "attn_wv", "attn_wo",
    "norm_mlp", "mlp_gate", "mlp_fc2", "mlp_fc1",
)  # fmt: skip
"""Kinds of weights in the file, each for all layers, between embedding and last norm."""


def load(path: Path, tokenizer: Path | None = None, name: str | None = None) -> Checkpoint:
    """Read a model and its tokenizer, ``tokenizer.bin`` beside it unless another file is given.

    Without a tokenizer, tokens are words: their ids.

    Raises
    ------
    WeftError
        If a file is missing, damaged or of another format, naming it and what is wrong.
    """
    path = Path(path)
    beside = path.parent / "tokenizer.bin"
    tokenizer = tokenizer or (beside if beside.is_file() else None)
    config, tensors = _reading(path, _read)
    pieces, made = numbered(config.n_vocab), None
    if tokenizer is not None:
        pieces, made = _reading(
            tokenizer, lambda file, size: _tokenizer(file, size, config.n_vocab)
        )
    with _named(path):
        return Checkpoint(config, tensors, pieces, name or path.stem, tokenizer=made)


def _reading(path: Path, read):
    """``read(file, size)`` of a file."""
    with _named(path):
        if path.exists() and not path.is_file() and not path.is_dir():
            raise WeftError("it is no ordinary file")
        with path.open("rb") as file:
            return read(file, os.fstat(file.fileno()).st_size)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Complaints about a file are told with its name."""
    try:
        yield
    except OSError as error:
        raise WeftError(
            f"cannot read {path}: {error.strerror or error}; expected a file of llama2.c"
        ) from None
    except WeftError as error:
        raise WeftError(f"the file {path} cannot be used: {error}") from None


def _read(file: BinaryIO, size: int) -> tuple[ModelConfig, dict[str, np.ndarray]]:
    header = file.read(struct.calcsize(HEADER))
    if len(header) < struct.calcsize(HEADER):
        raise WeftError(f"it has {size} bytes; expected a model of llama2.c, whose header has 28")
    if int.from_bytes(header[:4], "little") == LATER_FORMAT:
        raise WeftError("it has a later format of llama2.c; expected the first one, in float32")
    dim, hidden, n_layer, n_head, n_kv_head, vocab, length = struct.unpack(HEADER, header)
    if min(dim, hidden, n_layer, n_head, n_kv_head, abs(vocab), length) < 1:
        raise WeftError("its header holds a size below 1; expected a model of llama2.c")
    config = ModelConfig(
        n_layer=n_layer,
        n_head=n_head,
        d_model=dim,
        d_ff=hidden,
        n_vocab=abs(vocab),
        n_ctx=length,
        position="rotary",
        activation="silu",
        norm_embedding=False,
        norm_head=True,
        n_kv_head=n_kv_head,
        gated=True,
        norm_gain=True,
        tied_head=vocab > 0,
    )
    angles = length * config.d_head  # tables of cosines and sines, which are not needed
    expected = len(header) + 4 * (_parameters(config) + angles)
    if size != expected:
        raise WeftError(
            f"it has {size:,} bytes, but its header describes {expected:,}: it is damaged, was not "
            "copied whole, or is no model of llama2.c"
        )
    return config, _tensors(file, config, angles)


def _parameters(config: ModelConfig) -> int:
    """``config.parameters``, without listing the layers: there may be absurdly many."""
    one, two = (replace(config, n_layer=n).parameters for n in (1, 2))
    return one + (config.n_layer - 1) * (two - one)


def _tensors(file: BinaryIO, config: ModelConfig, angles: int) -> dict[str, np.ndarray]:
    """All tensors, read in the order of the file."""
    shapes = config.shapes
    layers = range(config.n_layer)
    names = ["wte", *(f"layer{i}.{kind}" for kind in ORDER for i in layers), "norm_head"]
    tensors = {name: _floats(file, name, shapes[name]) for name in names}
    if not config.tied_head:
        file.seek(4 * angles, os.SEEK_CUR)
        tensors["lm_head"] = _floats(file, "lm_head", shapes["lm_head"])
    return tensors


def _floats(file: BinaryIO, name: str, shape: tuple[int, ...]) -> np.ndarray:
    values = np.empty(shape, "<f4")
    if file.readinto(values) != values.nbytes:
        raise WeftError(f"tensor {name} ends too early; expected {math.prod(shape):,} numbers")
    return frozen(values.astype(np.float32, copy=False))


def _tokenizer(file: BinaryIO, size: int, count: int) -> tuple[tuple[str, ...], BytePairTokenizer]:
    """Pieces by id and the tokenizer: longest length, then score, length and bytes of each."""
    file.read(4)
    pieces, scores = [], []
    for token in range(count):
        entry = file.read(8)
        if len(entry) < 8:
            raise WeftError(f"it lists {token:,} tokens; expected {count:,}, one a row of wte")
        score, length = struct.unpack("<fi", entry)
        if not 0 <= length <= size - file.tell():
            raise WeftError(f"token {token} would have {length:,} bytes; the file has {size:,}")
        pieces.append(_piece(token, file.read(length)))
        scores.append(score)
    if file.tell() != size:
        raise WeftError(f"it has {size - file.tell():,} bytes after {count:,} tokens")
    normal = range(BYTES + 256, count)
    return tuple(pieces), by_score(pieces, scores, normal, (), " ", True, START, START)


def _piece(token: int, text: bytes) -> str:
    if BYTES <= token < BYTES + 256:  # some files list the byte itself
        return f"<0x{token - BYTES:02X}>"
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise WeftError(f"token {token} is not UTF-8 text") from None

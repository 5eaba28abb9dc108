"""A checkpoint: a shape, and named float arrays that fit it.

:mod:`golden.config` says which shapes there are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from golden.blocks import Blocks, Rows
from golden.config import ModelConfig
from golden.errors import WeftError
from golden.words import counted, listed, shortened

if TYPE_CHECKING:
    from golden.tokenizer import Tokenizer

__all__ = ["Checkpoint", "ModelConfig", "check_names"]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A model with its weights and vocabulary. Nothing in it can be changed.

    Parameters
    ----------
    config : ModelConfig
    tensors : mapping of str to float32 array
        Exactly the tensors of ``config.shapes``. Arrays that could still be written are copied.
    vocabulary : tuple of str
        The text of each token, by id. A model of characters lists them in the order of their ids
        and ends with ``"<BOS>"``, the token that starts and ends a text.
    name : str
        What reports call the model.
    blocks : mapping of str to Blocks or Rows
        Tensors that are quantised in the file, as they are there; ``tensors`` has their values.
    tokenizer : Tokenizer or None
        The one that the file brings along; ``None`` where the vocabulary tells.

    Raises
    ------
    WeftError
        See :meth:`validate`.
    """

    config: ModelConfig
    tensors: Mapping[str, np.ndarray]
    vocabulary: tuple[str, ...]
    name: str
    blocks: Mapping[str, Blocks | Rows] = field(default_factory=dict)
    tokenizer: Tokenizer | None = None

    def __post_init__(self):
        self.validate()
        frozen = {name: _read_only(self.tensors[name]) for name in self.config.shapes}
        object.__setattr__(self, "tensors", MappingProxyType(frozen))
        object.__setattr__(self, "blocks", MappingProxyType(dict(self.blocks)))
        object.__setattr__(self, "vocabulary", tuple(self.vocabulary))

    def validate(self) -> None:
        """Check that names, shapes and types of the tensors and the vocabulary fit the config.

        Raises
        ------
        WeftError
            For the first tensor that is missing, unexpected, of another shape or type than
            expected, or that holds a NaN or an infinity (naming its index); or for a vocabulary of
            the wrong length or with a token listed twice.
        """
        shapes = self.config.shapes
        check_names(self.tensors, shapes)
        for name, shape in shapes.items():
            _check_tensor(name, self.tensors[name], shape)
        for name, blocks in self.blocks.items():
            if blocks.shape != shapes.get(name):
                raise WeftError(
                    f"the quantised tensor {name} has shape {blocks.shape}; "
                    f"expected {shapes.get(name)}"
                )
        if len(self.vocabulary) != self.config.n_vocab:
            raise WeftError(
                f"the vocabulary lists {counted(len(self.vocabulary), 'token')}; "
                f"expected {self.config.n_vocab}, one a row of tensor wte"
            )
        for twice in _duplicates(self.vocabulary):
            raise WeftError(f"the vocabulary lists {twice!r} twice; expected distinct tokens")

    @property
    def head(self) -> np.ndarray:
        """The weights of the head, [n_vocab, d_model]: ``wte`` where they are tied."""
        return self.tensors["wte" if self.config.tied_head else "lm_head"]

    @property
    def digest(self) -> str:
        """SHA-256 over the config and all tensors, in hexadecimal: the identity of the weights.

        It depends on values only, not on the file format, the name or the machine's byte order.
        """
        state = hashlib.sha256(json.dumps(self.config.identity, sort_keys=True).encode())
        for name in sorted(self.tensors):
            state.update(f"\n{name} {self.tensors[name].shape}\n".encode())
            state.update(self.tensors[name].astype("<f4").tobytes())
        return state.hexdigest()


def check_names(present: Mapping, expected: Mapping) -> None:
    """Raise a WeftError that names the first tensor that is missing or unexpected."""
    for name in expected:
        if name not in present:
            raise WeftError(f"tensor {name} is missing; expected the tensors {listed(expected)}")
    for name in present:
        if name not in expected:
            raise WeftError(
                f"tensor {shortened(name)} is unexpected; expected the tensors {listed(expected)}"
            )


def _check_tensor(name: str, tensor: np.ndarray, shape: tuple[int, ...]) -> None:
    if tensor.shape != shape:
        raise WeftError(f"tensor {name} has shape {tensor.shape}; expected {shape}")
    if tensor.dtype != np.float32:
        raise WeftError(f"tensor {name} has type {tensor.dtype}; expected float32")
    finite = np.isfinite(tensor)
    if not finite.all():
        index = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise WeftError(
            f"tensor {name} holds {tensor[index]} at index {list(index)}; expected finite weights "
            "that float32 can hold"
        )


def _read_only(tensor: np.ndarray) -> np.ndarray:
    """The tensor itself if nobody can write to it, else a copy of it."""
    if tensor.flags.owndata and not tensor.flags.writeable:
        return tensor
    tensor = tensor.copy(order="C")
    tensor.flags.writeable = False
    return tensor


def _duplicates(items: tuple[str, ...]) -> Iterator[str]:
    seen = set()
    for item in items:
        if item in seen:
            yield item
        seen.add(item)

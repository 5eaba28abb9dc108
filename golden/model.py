"""The model family and a checkpoint: a shape, and named float arrays that fit it.

Names of tensors are those of Karpathy's microGPT; every weight is ``[outputs, inputs]``. The family
is decoder-only: RMSNorm without gains, linear layers without biases, a head of its own.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType

import numpy as np

from golden.errors import WeftError
from golden.words import counted

POSITIONS = ("learned", "none")
ACTIVATIONS = ("relu", "gelu")


@dataclass(frozen=True)
class ModelConfig:
    """Shape and options of a model.

    Parameters
    ----------
    n_layer, n_head, d_model, d_ff, n_vocab : int
        Layers, attention heads, width of the residual stream, width of the MLP, number of tokens.
    n_ctx : int or None
        Longest sequence, in tokens. ``None`` is unlimited, which needs a window and no learned
        positions.
    position : str
        ``"learned"`` (one row of ``wpe`` a position) or ``"none"``.
    window : int or None
        Attention sees the last ``window`` positions, the current one included; that is also the
        number of cache slots. Positions keep counting. ``None`` is full causal attention.
    activation : str
        ``"relu"`` or ``"gelu"`` (the exact form, with erf).
    norm_eps : float
        Added to the mean square in every RMSNorm.
    norm_embedding, norm_head : bool
        Whether there is a norm after the embedding, and one before the head.

    Raises
    ------
    WeftError
        If a value is out of range or two of them contradict each other.
    """

    n_layer: int
    n_head: int
    d_model: int
    d_ff: int
    n_vocab: int
    n_ctx: int | None
    position: str = "learned"
    window: int | None = None
    activation: str = "relu"
    norm_eps: float = 1e-5
    norm_embedding: bool = True
    norm_head: bool = False

    def __post_init__(self):
        for name in ("n_layer", "n_head", "d_model", "d_ff", "n_vocab", "n_ctx", "window"):
            # Of a single token there is nothing to choose from, nor a bit to tell it by.
            least = 2 if name == "n_vocab" else 1
            self._check_count(name, least, optional=name in ("n_ctx", "window"))
        self._check_choice("position", POSITIONS)
        self._check_choice("activation", ACTIVATIONS)
        for name in ("norm_embedding", "norm_head"):
            self._check_choice(name, (True, False))
        if not (isinstance(self.norm_eps, float) and 0 < self.norm_eps < math.inf):
            raise WeftError(f"norm_eps is {self.norm_eps!r}; expected a positive number")
        if self.d_model % self.n_head:
            raise WeftError(
                f"d_model {self.d_model} is not divisible by n_head {self.n_head}; "
                "every head needs the same number of elements"
            )
        if self.n_ctx is None and (self.window is None or self.position == "learned"):
            raise WeftError(
                "n_ctx is None (unlimited), which needs a window and position 'none'; "
                "expected a number of tokens"
            )
        if self.n_ctx is not None and self.window is not None and self.window > self.n_ctx:
            raise WeftError(f"window {self.window} is larger than n_ctx {self.n_ctx}")

    def _check_count(self, name: str, least: int, optional: bool) -> None:
        value = getattr(self, name)
        if optional and value is None:
            return
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise WeftError(f"{name} is {value!r}; expected a whole number of at least {least}")

    def _check_choice(self, name: str, choices: tuple) -> None:
        value = getattr(self, name)
        if value not in choices:
            raise WeftError(f"{name} is {value!r}; expected one of {', '.join(map(repr, choices))}")

    @property
    def d_head(self) -> int:
        """Elements of one attention head."""
        return self.d_model // self.n_head

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """Shape of every tensor by name, in the order of microGPT's state dict."""
        d, ff = self.d_model, self.d_ff
        shapes = {"wte": (self.n_vocab, d)}
        if self.position == "learned":
            shapes["wpe"] = (self.n_ctx, d)
        shapes["lm_head"] = (self.n_vocab, d)
        for i in range(self.n_layer):
            shapes |= {f"layer{i}.attn_{name}": (d, d) for name in ("wq", "wk", "wv", "wo")}
            shapes |= {f"layer{i}.mlp_fc1": (ff, d), f"layer{i}.mlp_fc2": (d, ff)}
        return shapes

    @property
    def parameters(self) -> int:
        """Number of trained values."""
        return sum(rows * columns for rows, columns in self.shapes.values())


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

    Raises
    ------
    WeftError
        See :meth:`validate`.
    """

    config: ModelConfig
    tensors: Mapping[str, np.ndarray]
    vocabulary: tuple[str, ...]
    name: str

    def __post_init__(self):
        self.validate()
        frozen = {name: _read_only(self.tensors[name]) for name in self.config.shapes}
        object.__setattr__(self, "tensors", MappingProxyType(frozen))
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
        if len(self.vocabulary) != self.config.n_vocab:
            raise WeftError(
                f"the vocabulary lists {counted(len(self.vocabulary), 'token')}; "
                f"expected {self.config.n_vocab}, one a row of tensor wte"
            )
        for twice in _duplicates(self.vocabulary):
            raise WeftError(f"the vocabulary lists {twice!r} twice; expected distinct tokens")

    @property
    def digest(self) -> str:
        """SHA-256 over the config and all tensors, in hexadecimal: the identity of the weights.

        It depends on values only, not on the file format, the name or the machine's byte order.
        """
        state = hashlib.sha256(json.dumps(asdict(self.config), sort_keys=True).encode())
        for name in sorted(self.tensors):
            state.update(f"\n{name} {self.tensors[name].shape}\n".encode())
            state.update(self.tensors[name].astype("<f4").tobytes())
        return state.hexdigest()


def check_names(present: Mapping, expected: Mapping) -> None:
    """Raise a WeftError that names the first tensor that is missing or unexpected."""
    for name in expected:
        if name not in present:
            raise WeftError(f"tensor {name} is missing; expected the tensors {', '.join(expected)}")
    for name in present:
        if name not in expected:
            raise WeftError(
                f"tensor {name} is unexpected; expected the tensors {', '.join(expected)}"
            )


def _check_tensor(name: str, tensor: np.ndarray, shape: tuple[int, ...]) -> None:
    if tensor.shape != shape:
        raise WeftError(f"tensor {name} has shape {tensor.shape}; expected {shape}")
    if tensor.dtype != np.float32:
        raise WeftError(f"tensor {name} has type {tensor.dtype}; expected float32")
    bad = np.argwhere(~np.isfinite(tensor))
    if len(bad):
        index = tuple(int(i) for i in bad[0])
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

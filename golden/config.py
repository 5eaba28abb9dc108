"""The shape and the options of a model of the family: decoder-only transformers with RMSNorm.

Names of tensors are those of Karpathy's microGPT; a weight is ``[outputs, inputs]``, a bias is
``[outputs]`` and a gain ``[d_model]``.
"""

import math
from dataclasses import asdict, dataclass, fields

from golden.errors import WeftError
from golden.words import shown

POSITIONS = ("learned", "rotary", "none")
ACTIVATIONS = ("relu", "gelu", "silu")
LINEARS = ("attn_wq", "attn_wk", "attn_wv", "attn_wo", "mlp_gate", "mlp_fc1", "mlp_fc2")
"""The linear layers that may have a bias."""

MOST_POSITIONS = 1 << 32
"""A position has 32 bits at the most."""

LATER = ("n_kv_head", "rope_theta", "gated", "norm_gain", "tied_head", "biases")
"""Options that came after the first checkpoints: at their defaults they do not show in a digest."""


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
        ``"learned"`` (one row of ``wpe`` a position), ``"rotary"`` (RoPE: queries and keys turn
        with their position, each pair of neighbouring elements by an angle of its own) or
        ``"none"``.
    window : int or None
        Attention sees the last ``window`` positions, the current one included; that is also the
        number of cache slots. Positions keep counting. ``None`` is full causal attention.
    activation : str
        ``"relu"``, ``"gelu"`` (the exact form, with erf) or ``"silu"``.
    norm_eps : float
        Added to the mean square in every RMSNorm.
    norm_embedding, norm_head : bool
        Whether there is a norm after the embedding, and one before the head.
    n_kv_head : int or None
        Heads of keys and values; each serves ``n_head / n_kv_head`` neighbouring query heads.
        ``None``: as many as ``n_head``.
    rope_theta : float
        Base of the rotary angles: pair i turns by ``rope_theta ** (-2 * i / d_head)`` a position.
    gated : bool
        Whether the activation of ``mlp_gate`` multiplies ``mlp_fc1`` (SwiGLU with ``"silu"``),
        instead of standing between ``mlp_fc1`` and ``mlp_fc2``.
    norm_gain : bool
        Whether every norm multiplies its elements by trained gains.
    tied_head : bool
        Whether the head's weights are the embedding ``wte``, so that there is no ``lm_head``.
    biases : tuple of str
        Linear layers, among ``LINEARS``, that add a bias in every layer.

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
    n_kv_head: int | None = None
    rope_theta: float = 10000.0
    gated: bool = False
    norm_gain: bool = False
    tied_head: bool = False
    biases: tuple[str, ...] = ()

    def __post_init__(self):
        self._check_values()
        if self.d_model % self.n_head:
            raise WeftError(
                f"d_model {self.d_model} is not divisible by n_head {self.n_head}; "
                "every head needs the same number of elements"
            )
        if self.n_head % self.kv_heads:
            raise WeftError(
                f"n_head {self.n_head} is not divisible by n_kv_head {self.n_kv_head}; "
                "every head of keys serves the same number of queries"
            )
        if self.position == "rotary" and self.d_head % 2:
            raise WeftError(
                f"a head has {self.d_head} elements (d_model {self.d_model} / n_head "
                f"{self.n_head}); rotary positions turn pairs: expected an even number"
            )
        if self.n_ctx is None and (self.window is None or self.position == "learned"):
            raise WeftError(
                "n_ctx is None (unlimited), which needs a window and no learned positions; "
                "expected a number of tokens"
            )
        if self.n_ctx is not None and self.window is not None and self.window > self.n_ctx:
            raise WeftError(f"window {self.window} is larger than n_ctx {self.n_ctx}")

    def _check_values(self) -> None:
        """Each value on its own."""
        for name in ("n_layer", "n_head", "d_model", "d_ff", "n_vocab"):
            # Of a single token there is nothing to choose from, nor a bit to tell it by.
            self._check_count(name, least=2 if name == "n_vocab" else 1)
        for name in ("n_ctx", "window", "n_kv_head"):
            if getattr(self, name) is not None:
                self._check_count(name, least=1)
        self._check_choice("position", POSITIONS)
        self._check_choice("activation", ACTIVATIONS)
        for name in ("norm_embedding", "norm_head", "gated", "norm_gain", "tied_head"):
            self._check_choice(name, (True, False))
        if self.n_ctx is not None and self.n_ctx > MOST_POSITIONS:
            raise WeftError(f"n_ctx is {self.n_ctx:,}; expected at most {MOST_POSITIONS:,}")
        for name in ("norm_eps", "rope_theta"):
            value = getattr(self, name)
            if not (isinstance(value, float) and 0 < value < math.inf):
                raise WeftError(f"{name} is {shown(value)}; expected a positive number")
        if self.rope_theta < 1:
            raise WeftError(f"rope_theta is {self.rope_theta!r}; expected at least 1")
        expected = tuple(name for name in self.linears if name in self.biases)
        if self.biases != expected:
            raise WeftError(
                f"biases is {self.biases!r}; expected some of {', '.join(self.linears)}, in order"
            )

    def _check_count(self, name: str, least: int) -> None:
        value = getattr(self, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise WeftError(
                f"{name} is {shown(value)}; expected a whole number of at least {least}"
            )

    def _check_choice(self, name: str, choices: tuple) -> None:
        value = getattr(self, name)
        if value not in choices:
            raise WeftError(
                f"{name} is {shown(value)}; expected one of {', '.join(map(repr, choices))}"
            )

    @property
    def d_head(self) -> int:
        """Elements of one attention head."""
        return self.d_model // self.n_head

    @property
    def kv_heads(self) -> int:
        """Heads of keys and values."""
        return self.n_kv_head or self.n_head

    @property
    def linears(self) -> tuple[str, ...]:
        """The linear layers of a layer."""
        return tuple(name for name in LINEARS if self.gated or name != "mlp_gate")

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every tensor by name, in the order of microGPT's state dict."""
        d, ff, d_kv = self.d_model, self.d_ff, self.kv_heads * self.d_head
        linears = dict.fromkeys(LINEARS[:4], (d, d)) | dict.fromkeys(LINEARS[4:], (ff, d))
        linears |= {"attn_wk": (d_kv, d), "attn_wv": (d_kv, d), "mlp_fc2": (d, ff)}
        shapes = {"wte": (self.n_vocab, d)}
        if self.position == "learned":
            shapes["wpe"] = (self.n_ctx, d)
        if not self.tied_head:
            shapes["lm_head"] = (self.n_vocab, d)
        if self.norm_gain and self.norm_embedding:
            shapes["norm_embedding"] = (d,)
        for i in range(self.n_layer):
            shapes |= {f"layer{i}.{name}": linears[name] for name in self.linears}
            shapes |= {f"layer{i}.{name}.bias": linears[name][:1] for name in self.biases}
            if self.norm_gain:
                shapes |= {f"layer{i}.norm_attention": (d,), f"layer{i}.norm_mlp": (d,)}
        if self.norm_gain and self.norm_head:
            shapes["norm_head"] = (d,)
        return shapes

    @property
    def parameters(self) -> int:
        """Number of trained values."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    @property
    def identity(self) -> dict[str, object]:
        """All options by name, without those of ``LATER`` that are at their defaults."""
        defaults = {field.name: field.default for field in fields(self)}
        return {
            name: value
            for name, value in asdict(self).items()
            if name not in LATER or value != defaults[name]
        }

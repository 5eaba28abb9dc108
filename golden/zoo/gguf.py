"""Models of the llama family out of GGUF files: weights, shape and tokenizer in one.

Rows of q and k lie in these files so that the pairs which rotary positions turn are neighbours
(2i, 2i + 1). That is the order of :class:`~golden.config.ModelConfig`, so nothing is moved, and
quantised rows stay as they are: ``Checkpoint.blocks`` holds them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from golden.config import ModelConfig
from golden.errors import WeftError
from golden.model import Checkpoint, check_names
from golden.words import shown
from golden.zoo.floats import frozen
from golden.zoo.gguf_file import GgufFile
from golden.zoo.gguf_tokenizer import tokenizer, vocabulary

ARCHITECTURE = "llama"
OUTSIDE = {"wte": "token_embd.weight", "norm_head": "output_norm.weight"}
HEAD = "output.weight"
INSIDE = {
    "norm_attention": "attn_norm",
    "attn_wq": "attn_q",
    "attn_wk": "attn_k",
    "attn_wv": "attn_v",
    "attn_wo": "attn_output",
    "norm_mlp": "ffn_norm",
    "mlp_gate": "ffn_gate",
    "mlp_fc1": "ffn_up",
    "mlp_fc2": "ffn_down",
}
"""What the tensors of a layer are called in such files."""


def load(path: Path, name: str | None = None) -> Checkpoint:
    """Read a model; its name is the file's unless one is given.

    F32, F16, BF16, Q8_0, Q4_0 and Q4_1 are read. The whole header is checked against the model and
    the length of the file before any weight is read.

    Raises
    ------
    WeftError
        If the file is missing, damaged, or no model of the family, naming the file and the tensor.
    """
    path = Path(path)
    try:
        with GgufFile(path) as file:
            config = _config(file)
            names = {tensor: file_name(tensor) for tensor in config.shapes}
            _check_tensors(file, config, names)
            words = vocabulary(file.metadata)
            read = {tensor: file.read(there) for tensor, there in names.items()}
            return Checkpoint(
                config,
                {tensor: frozen(values) for tensor, (values, _) in read.items()},
                words,
                name or path.stem,
                blocks={tensor: blocks for tensor, (_, blocks) in read.items() if blocks},
                tokenizer=tokenizer(file.metadata),
            )
    except OSError as error:
        raise WeftError(
            f"cannot read the checkpoint {path}: {error.strerror or error}; expected a GGUF file"
        ) from None
    except WeftError as error:
        raise WeftError(f"the checkpoint {path} cannot be used: {error}") from None


def file_name(tensor: str) -> str:
    """What a tensor of ours is called in a GGUF file."""
    if layered := re.fullmatch(r"layer(\d+)\.(\w+?)(\.bias)?", tensor):
        layer, inside, bias = layered.groups()
        return f"blk.{layer}.{INSIDE[inside]}{bias or '.weight'}"
    return OUTSIDE.get(tensor, HEAD)


def _config(file: GgufFile) -> ModelConfig:
    """The model that metadata and names of tensors describe."""
    metadata = file.metadata
    architecture = metadata.get("general.architecture")
    if architecture != ARCHITECTURE:
        raise WeftError(f"its architecture is {shown(architecture)}; expected {ARCHITECTURE!r}")
    n_layer = _field(metadata, "block_count", int)
    if n_layer > len(file.tensors):
        raise WeftError(
            f"field llama.block_count says {n_layer:,} layers, but there are "
            f"{len(file.tensors):,} tensors"
        )
    n_head = _field(metadata, "attention.head_count", int)
    if OUTSIDE["wte"] not in file.tensors:
        raise WeftError(f"tensor {OUTSIDE['wte']} is missing; expected the embedding")
    config = ModelConfig(
        n_layer=n_layer,
        n_head=n_head,
        d_model=_field(metadata, "embedding_length", int),
        d_ff=_field(metadata, "feed_forward_length", int),
        n_vocab=file.tensors[OUTSIDE["wte"]].shape[0],
        n_ctx=_field(metadata, "context_length", int),
        position="rotary",
        activation="silu",
        norm_eps=_field(metadata, "attention.layer_norm_rms_epsilon", float),
        norm_embedding=False,
        norm_head=True,
        n_kv_head=_field(metadata, "attention.head_count_kv", int, n_head),
        rope_theta=_field(metadata, "rope.freq_base", float, 10000.0),
        gated=True,
        norm_gain=True,
        tied_head=HEAD not in file.tensors,
        biases=tuple(n for n in INSIDE if f"blk.0.{INSIDE[n]}.bias" in file.tensors),
    )
    _check_options(metadata, config)
    return config


def _field(metadata: dict, key: str, kind: Callable, default=None):
    """A field of the architecture, of a type; the default if it is absent and there is one."""
    value = metadata.get(f"{ARCHITECTURE}.{key}", default)
    if type(value) is not kind:
        said = "is missing" if value is None else f"is {shown(str(value))}"
        expected = "a whole number" if kind is int else "a number with a fraction (float32)"
        raise WeftError(f"field {ARCHITECTURE}.{key} {said}; expected {expected}")
    return value


def _check_options(metadata: dict, config: ModelConfig) -> None:
    """Refuse what would change the function of the model and is not in its config."""
    expected = {
        "rope.dimension_count": config.d_head,
        "attention.key_length": config.d_head,
        "attention.value_length": config.d_head,
        "vocab_size": config.n_vocab,
        "rope.scaling.type": "none",
        "expert_count": 0,
    }
    if f"{ARCHITECTURE}.rope.scaling.type" not in metadata:  # llama.cpp takes that as linear
        expected |= {"rope.scaling.factor": 1.0, "rope.scale_linear": 1.0}
    for key, value in expected.items():
        found = metadata.get(f"{ARCHITECTURE}.{key}", value)
        if found != value:
            raise WeftError(f"field {ARCHITECTURE}.{key} is {shown(found)}; expected {value!r}")


def _check_tensors(file: GgufFile, config: ModelConfig, names: dict[str, str]) -> None:
    """Check that the file's tensors are those of the model."""
    check_names(file.tensors, dict.fromkeys(names.values()))
    for tensor, shape in config.shapes.items():
        found = file.tensors[names[tensor]].shape
        if found != shape:
            raise WeftError(f"tensor {names[tensor]} has shape {found}; expected {shape}")

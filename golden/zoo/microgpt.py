"""microGPT checkpoints as safetensors files, in and out.

Any weights of the family are welcome: the shapes tell the layers, the width, the context, the
vocabulary and the width of the MLP; the file's metadata tells what shapes cannot: ``n_head``
(default 4), ``vocab`` (the characters in the order of their ids, without BOS, which comes last;
default a to z) and ``activation`` (default relu).
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.numpy

from golden.errors import WeftError
from golden.model import Checkpoint, ModelConfig, check_names
from golden.tokenizer import BOS, is_character_vocabulary
from golden.words import counted, shown
from golden.zoo.floats import DTYPES, float32

COMMITTED = Path(__file__).with_suffix(".safetensors")
"""The checkpoint that Weft carries, made by ``python -m golden train`` without any option."""

ALPHABET = "abcdefghijklmnopqrstuvwxyz"

Shapes = dict[str, tuple[int, ...]]


def load(path: Path | None = None) -> Checkpoint:
    """Read a checkpoint; that of Weft if no path is given.

    float16 and bfloat16 weights are widened to float32, which is exact; float64, NumPy's own, is
    rounded to it. Names, types and shapes are
    checked in the header, before any weight is read.

    Raises
    ------
    WeftError
        If the file is missing, damaged or not a microGPT, naming the file and the tensor.
    """
    path = COMMITTED if path is None else Path(path)
    try:
        # safe_open says little about files that are not there.
        with path.open("rb"), safetensors.safe_open(path, framework="numpy") as file:
            config, vocabulary = _read_header(file)
        tensors = {
            name: float32(**tensor) for name, tensor in safetensors.deserialize(path.read_bytes())
        }
        name = "microgpt" if path == COMMITTED else path.stem
        return Checkpoint(config, tensors, vocabulary, name)
    except OSError as error:
        raise WeftError(
            f"cannot read the checkpoint {path}: {error.strerror or error}; "
            "expected a safetensors file"
        ) from None
    except safetensors.SafetensorError as error:
        raise WeftError(
            f"the checkpoint {path} is damaged or not a safetensors file ({error})"
        ) from None
    except WeftError as error:
        raise WeftError(f"the checkpoint {path} does not fit: {error}") from None


def to_bytes(checkpoint: Checkpoint, **metadata: str) -> bytes:
    """A checkpoint as the contents of a safetensors file: the same bytes for the same weights.

    Parameters
    ----------
    checkpoint : Checkpoint
        A model of the microGPT family.
    metadata : str
        More entries for the file's metadata, such as how the weights were made.

    Raises
    ------
    WeftError
        If the model is not of the microGPT family, and so could not be read back.
    """
    config = checkpoint.config
    readable = (
        config.position == "learned"
        and is_character_vocabulary(checkpoint.vocabulary)
        and config == _config(config.shapes, str(config.n_head), config.activation)
    )
    if not readable:
        raise WeftError(
            f"the model {checkpoint.name} is no microGPT and cannot be written as one; "
            "expected characters, learned positions, no window and microGPT's norms"
        )
    vocab = "".join(checkpoint.vocabulary[:-1])
    metadata |= {"n_head": str(config.n_head), "vocab": vocab, "activation": config.activation}
    return _in_order(safetensors.numpy.save(dict(checkpoint.tensors), metadata))


def _in_order(file: bytes) -> bytes:
    """A safetensors file with a sorted header: the library writes metadata in random order."""
    end = 8 + int.from_bytes(file[:8], "little")
    header = json.dumps(json.loads(file[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + file[end:]


def _read_header(file: safetensors.safe_open) -> tuple[ModelConfig, tuple[str, ...]]:
    """The model and its vocabulary, once all that the header says fits together."""
    shapes: Shapes = {}
    for tensor in file.keys():  # noqa: SIM118 (safe_open is no mapping)
        header = file.get_slice(tensor)
        if header.get_dtype() not in DTYPES:
            raise WeftError(
                f"tensor {tensor} has type {header.get_dtype()}; "
                f"expected one of {', '.join(DTYPES)}"
            )
        shapes[tensor] = tuple(header.get_shape())
    metadata = file.metadata() or {}
    config = _config(shapes, metadata.get("n_head", "4"), metadata.get("activation", "relu"))
    _check_shapes(shapes, config.shapes)
    return config, _vocabulary(metadata.get("vocab", ALPHABET), config.n_vocab)


def _config(shapes: Mapping[str, tuple[int, ...]], n_head: str, activation: str) -> ModelConfig:
    """The model whose tensors have these shapes, as far as its dimensions tell."""
    layers = {name.split(".")[0] for name in shapes if re.fullmatch(r"layer\d+\..*", name)}
    for tensor in ("wte", "wpe", "layer0.mlp_fc1"):
        if tensor not in shapes:
            raise WeftError(f"tensor {tensor} is missing; expected the tensors of a microGPT")
        if len(shapes[tensor]) != 2 or 0 in shapes[tensor]:
            raise WeftError(
                f"tensor {tensor} has shape {shapes[tensor]}; expected two dimensions, none zero"
            )
    if not re.fullmatch(r"[1-9][0-9]{0,8}", n_head):
        raise WeftError(
            f"its metadata n_head is {shown(n_head)}; expected a whole number of at least 1"
        )
    return ModelConfig(
        n_layer=len(layers),
        n_head=int(n_head),
        d_model=shapes["wte"][1],
        d_ff=shapes["layer0.mlp_fc1"][0],
        n_vocab=shapes["wte"][0],
        n_ctx=shapes["wpe"][0],
        activation=activation,
    )


def _check_shapes(shapes: Shapes, expected: Mapping[str, tuple[int, int]]) -> None:
    check_names(shapes, expected)
    for tensor, shape in expected.items():
        if shapes[tensor] != shape:
            raise WeftError(f"tensor {tensor} has shape {shapes[tensor]}; expected {shape}")


def _vocabulary(characters: str, n_vocab: int) -> tuple[str, ...]:
    if len(characters) != n_vocab - 1:
        raise WeftError(
            f"tensor wte has {counted(n_vocab, 'row')}, but its metadata vocab lists "
            f"{counted(len(characters), 'character')} (a to z if absent); "
            f"expected {n_vocab - 1}, and BOS, which is not listed"
        )
    return (*characters, BOS)

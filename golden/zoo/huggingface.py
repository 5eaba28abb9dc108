"""Models of the llama family as Hugging Face's folders: ``config.json`` and safetensors files.

Rotary positions turn the halves of a head against each other there (i with i + d_head / 2); rows of
q and k are moved so that such pairs become neighbours, which changes no score.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import safetensors
from tokenizers import Tokenizer

from golden.bpe import BytePairTokenizer
from golden.chat_template import ChatTemplate
from golden.config import LINEARS, ModelConfig
from golden.errors import WeftError
from golden.model import Checkpoint, check_names
from golden.tokenizer import numbered
from golden.words import shown
from golden.zoo.floats import DTYPES, float32, frozen

CONFIG, WEIGHTS, INDEX, TOKENIZER, TOKENIZER_CONFIG = (
    "config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
)
MOST_TEXT = 1 << 26
"""Bytes that a JSON file may have."""

OUTSIDE = {"wte": "model.embed_tokens", "norm_head": "model.norm", "lm_head": "lm_head"}
INSIDE = {
    "norm_attention": "input_layernorm",
    "attn_wq": "self_attn.q_proj",
    "attn_wk": "self_attn.k_proj",
    "attn_wv": "self_attn.v_proj",
    "attn_wo": "self_attn.o_proj",
    "norm_mlp": "post_attention_layernorm",
    "mlp_gate": "mlp.gate_proj",
    "mlp_fc1": "mlp.up_proj",
    "mlp_fc2": "mlp.down_proj",
}
"""What the tensors of a layer are called in such files."""

COMPUTED = r"model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq"
"""Angles that some files list, though ``rope_theta`` tells them."""


def load(path: Path, name: str | None = None) -> Checkpoint:
    """Read a model from its folder, or from a safetensors file with ``config.json`` beside it.

    The model's name is the folder's unless one is given. Names, types and shapes are checked in
    the headers, before any weight is read.

    Raises
    ------
    WeftError
        If a file is missing, damaged or no model of the family, naming it and the tensor.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    try:
        options = read_json(folder / CONFIG)
        files = _files(folder, None if path.is_dir() else path)
        config = model_config(options, {tensor for file in files for tensor in _header(file)[1]})
        names = {tensor: file_name(tensor) for tensor in config.shapes}
        _check_tensors(config, names, files)
        read = {key: values for file in files for key, values in _read(file, names.values())}
        tensors = {ours: _moved(config, ours, read.pop(there)) for ours, there in names.items()}
        vocabulary, tokenizer = read_tokenizer(folder / TOKENIZER, options, config.n_vocab)
        name = name or folder.resolve().name
        return Checkpoint(config, tensors, vocabulary, name, tokenizer=tokenizer)
    except OSError as error:
        raise WeftError(
            f"cannot read the checkpoint {error.filename or path}: {error.strerror or error}; "
            f"expected a folder with {CONFIG} and {WEIGHTS}"
        ) from None
    except WeftError as error:
        raise WeftError(f"the checkpoint {path} cannot be used: {error}") from None


def file_name(tensor: str) -> str:
    """What a tensor of ours is called in such a file."""
    if layered := re.fullmatch(r"layer(\d+)\.(\w+?)(\.bias)?", tensor):
        layer, inside, bias = layered.groups()
        return f"model.layers.{layer}.{INSIDE[inside]}{bias or '.weight'}"
    return f"{OUTSIDE[tensor]}.weight"


def read_json(path: Path) -> dict:
    """A JSON file that holds an object."""
    if path.stat().st_size > MOST_TEXT:
        raise WeftError(f"{path.name} has {path.stat().st_size:,} bytes; expected a short text")
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise WeftError(f"{path.name} is no JSON text of an object")
    return found


def _files(folder: Path, file: Path | None) -> list[Path]:
    """The safetensors files of a model, in order."""
    if file is not None or not (folder / INDEX).is_file():
        return [file or folder / WEIGHTS]
    shards = read_json(folder / INDEX).get("weight_map")
    names = list(shards.values()) if isinstance(shards, dict) else []
    if not names or not all(isinstance(n, str) and re.fullmatch(r"[\w-][\w.-]*", n) for n in names):
        raise WeftError(f"{INDEX} names no files beside it as its weight_map")
    return [folder / name for name in sorted(set(names))]


def _header(path: Path) -> tuple[int, dict[str, dict]]:
    """Where the data begin and the entries of a safetensors file, which the library has checked."""
    try:
        # The library says little about files that are not there.
        with path.open("rb") as file, safetensors.safe_open(path, framework="numpy"):
            length = int.from_bytes(file.read(8), "little")
            entries = json.loads(file.read(length))
    except safetensors.SafetensorError as error:
        raise WeftError(f"{path.name} is damaged or no safetensors file ({error})") from None
    entries.pop("__metadata__", None)
    return 8 + length, {n: e for n, e in entries.items() if not re.fullmatch(COMPUTED, n)}


def model_config(options: dict, places: Collection[str]) -> ModelConfig:
    """The model that ``config.json`` and the names of the tensors describe."""
    _check_options(options)
    n_layer, n_head = _count(options, "num_hidden_layers"), _count(options, "num_attention_heads")
    if n_layer > len(places):
        raise WeftError(
            f"{CONFIG}: num_hidden_layers is {n_layer:,}; it has {len(places):,} tensors"
        )
    rope = options.get("rope_parameters") or {}  # an object, as was checked
    return ModelConfig(
        n_layer=n_layer,
        n_head=n_head,
        d_model=_count(options, "hidden_size"),
        d_ff=_count(options, "intermediate_size"),
        n_vocab=_count(options, "vocab_size"),
        n_ctx=_count(options, "max_position_embeddings"),
        position="rotary",
        activation="silu",
        norm_eps=_number(options, "rms_norm_eps", 1e-6),
        norm_embedding=False,
        norm_head=True,
        n_kv_head=_count(options, "num_key_value_heads", n_head),
        rope_theta=_number(rope if "rope_theta" in rope else options, "rope_theta", 10000.0),
        gated=True,
        norm_gain=True,
        tied_head=options.get("tie_word_embeddings") is True,
        biases=tuple(n for n in LINEARS if f"model.layers.0.{INSIDE[n]}.bias" in places),
    )


def _check_options(options: dict) -> None:
    """Refuse what would change the function of the model and is not in its config."""
    found = {
        "model_type": (options.get("model_type"), "llama"),
        "hidden_act": (options.get("hidden_act", "silu"), "silu"),
    }
    for name in ("rope_scaling", "rope_parameters"):
        scaling = options.get(name) or {}
        if not isinstance(scaling, dict):
            raise WeftError(f"{CONFIG}: {name} is {shown(scaling)}; expected an object")
        kind = scaling.get("rope_type", scaling.get("type")) or "default"
        found[f"the type of {name}"] = kind, "default"
        found[f"the factor of {name}"] = scaling.get("factor") or 1, 1
    if "head_dim" in options and options["head_dim"] is not None:
        width = _count(options, "hidden_size") // _count(options, "num_attention_heads")
        found["head_dim"] = options["head_dim"], width
    for name, (value, expected) in found.items():
        if value != expected:
            raise WeftError(f"{CONFIG}: {name} is {shown(value)}; expected {expected!r}")


def _count(options: dict, key: str, default: int | None = None) -> int:
    value = options.get(key)
    value = default if value is None else value
    if type(value) is not int or value < 1:
        raise WeftError(f"{CONFIG}: {key} is {shown(value)}; expected a whole number of at least 1")
    return value


def _number(options: dict, key: str, default: float) -> float:
    value = options.get(key, default)
    if type(value) not in (int, float) or abs(value) > 1e30:
        raise WeftError(f"{CONFIG}: {key} is {shown(value)}; expected a number")
    return float(value)


def _check_tensors(config: ModelConfig, names: dict[str, str], files: list[Path]) -> None:
    """Check that the tensors in the headers are those of the model."""
    entries: dict[str, dict] = {}
    for file in files:
        for name, entry in _header(file)[1].items():
            if name in entries:
                raise WeftError(f"tensor {name} is there twice, once in {file.name}")
            entries[name] = entry
    if config.tied_head:  # some files list the embedding a second time
        entries.pop(f"{OUTSIDE['lm_head']}.weight", None)
    check_names(entries, dict.fromkeys(names.values()))
    for ours, there in names.items():
        entry, shape = entries[there], config.shapes[ours]
        if entry["dtype"] not in DTYPES:
            raise WeftError(
                f"tensor {there} has type {entry['dtype']}; expected one of {', '.join(DTYPES)}"
            )
        if tuple(entry["shape"]) != shape:
            raise WeftError(f"tensor {there} has shape {tuple(entry['shape'])}; expected {shape}")


def _read(path: Path, wanted):
    """(name, float32 array) of the wanted tensors of a file."""
    start, entries = _header(path)
    with path.open("rb") as file:
        for name in entries.keys() & set(wanted):
            begin, end = entries[name]["data_offsets"]
            file.seek(start + begin)
            data = file.read(end - begin)
            yield name, float32(entries[name]["dtype"], entries[name]["shape"], data)


def _moved(config: ModelConfig, name: str, values: np.ndarray) -> np.ndarray:
    """A tensor with its rows in our order."""
    order = row_order(config, name, len(values))
    return frozen(values[order] if np.any(np.diff(order) != 1) else values)


def row_order(config: ModelConfig, name: str, rows: int) -> np.ndarray:
    """Which rows of a tensor in such files are ours, in our order; q and k are not as they were."""
    order, kind = np.arange(rows), name.partition(".")[2].removesuffix(".bias")
    if kind not in ("attn_wq", "attn_wk"):
        return order
    return order.reshape(-1, 2, config.d_head // 2).swapaxes(1, 2).ravel()


def read_tokenizer(path: Path, options: dict, n_vocab: int):
    """Pieces by id and the tokenizer; without a file, tokens are words: their ids."""
    if not path.is_file():
        return numbered(n_vocab), None
    try:
        library = Tokenizer.from_str(json.dumps(read_json(path)))
    except WeftError:
        raise
    except Exception as error:  # the library raises nothing more precise
        raise WeftError(f"{path.name} is no tokenizer ({error})") from None
    pieces = {token: piece for piece, token in library.get_vocab(with_added_tokens=True).items()}
    if max(pieces, default=0) >= n_vocab:
        raise WeftError(f"{path.name} has token {max(pieces):,}; expected {n_vocab - 1:,} at most")
    starts, ends = (_tokens(options, f"{name}_token_id", n_vocab) for name in ("bos", "eos"))
    start, stop = (next(iter(tokens), None) for tokens in (starts, ends))
    vocabulary = tuple(pieces.get(token, f"<unused {token}>") for token in range(n_vocab))
    made = BytePairTokenizer(library, start or 0, stop, unused=n_vocab)
    made.ends = ends
    beside = path.with_name(TOKENIZER_CONFIG)
    if beside.is_file():
        _apply(made, read_json(beside), {"bos_token": start, "eos_token": stop}, vocabulary)
    return vocabulary, made


def _apply(made: BytePairTokenizer, options: dict, named: dict, vocabulary: Sequence[str]) -> None:
    """What ``tokenizer_config.json`` says: how prompts begin, and how conversations are written."""
    if options.get("add_bos_token") is False:
        made.opens = False
    source = options.get("chat_template")
    if isinstance(source, list):  # several, by name
        entries = [each for each in source if isinstance(each, dict)]
        source = {each.get("name"): each.get("template") for each in entries}.get("default")
    if source is None:
        return
    if not isinstance(source, str):
        raise WeftError(f"{TOKENIZER_CONFIG}: chat_template is {shown(str(source))}; expected text")
    tokens = {}
    for name, token in named.items():
        said = options.get(name)
        said = said.get("content") if isinstance(said, dict) else said
        if isinstance(said, str) or token is not None:
            tokens[name] = said if isinstance(said, str) else vocabulary[token]
    made.template = ChatTemplate(source, tokens)


def _tokens(options: dict, key: str, n_vocab: int) -> tuple[int, ...]:
    """Tokens that ``config.json`` names: none, one or a list."""
    value = options.get(key)
    tokens = value if isinstance(value, list) else [] if value is None else [value]
    for token in tokens:
        if type(token) is not int or not 0 <= token < n_vocab:
            raise WeftError(f"{CONFIG}: {key} is {shown(value)}; expected 0 to {n_vocab - 1}")
    return tuple(tokens)

"""Models of the llama family out of files of any kind: the name tells which."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from golden.errors import WeftError
from golden.model import Checkpoint
from golden.words import shortened
from golden.zoo import gguf, huggingface, llama2c, onnx_int8

READERS: dict[str, Callable[[Path], Checkpoint]] = {
    ".gguf": gguf.load,
    ".bin": llama2c.load,
    ".safetensors": huggingface.load,
    ".onnx": onnx_int8.load,
}


def load(path: Path) -> Checkpoint:
    """Read a model from a file, by the end of its name, or from a folder of Hugging Face's.

    Raises
    ------
    WeftError
        If the name ends otherwise, or the file holds no model of the family.
    """
    path = Path(path)
    expected = f"a file that ends in {', '.join(READERS)}, or a folder with {huggingface.CONFIG}"
    try:
        folder = path.is_dir()
    except OSError as error:
        raise WeftError(
            f"cannot read the checkpoint {shortened(str(path))}: {error.strerror or error}; "
            f"expected {expected}"
        ) from None
    kind = path.suffix.lower()
    if folder:
        return huggingface.load(path)
    if kind not in READERS:
        raise WeftError(
            f"the checkpoint {shortened(str(path))} is of an unknown kind; expected {expected}"
        )
    return READERS[kind](path)

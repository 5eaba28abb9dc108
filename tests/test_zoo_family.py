import re
from pathlib import Path

import pytest

from golden import zoo
from golden.errors import WeftError
from tests import gguf_files, test_zoo_huggingface, test_zoo_llama2c
from tests.llama import random_llama


@pytest.fixture
def files(tmp_path):
    """One model of each kind, called small."""
    folder = test_zoo_huggingface.write(tmp_path / "small")
    return {
        "folder": folder,
        "safetensors": folder / "model.safetensors",
        "bin": test_zoo_llama2c.write(tmp_path / "small.bin"),
        "gguf": gguf_files.write(tmp_path / "small.gguf", random_llama(gguf_files.GROUPED), "Q4_1"),
    }


@pytest.mark.parametrize("preset", ["smollm2", "stories15m"])
def test_the_name_tells_the_kind(files, preset):
    for path in files.values():
        assert zoo.load(preset, path).name == "small"


def test_large_letters_tell_it_as_well(files):
    path = files["gguf"]
    assert zoo.load("smollm2", path.rename(path.with_name("LARGE.GGUF"))).name == "LARGE"


@pytest.mark.parametrize("model", ["microgpt", "smollm2"])
def test_a_name_that_is_too_long(model):
    with pytest.raises(WeftError) as caught:
        zoo.load(model, Path("x" * 300 + ".safetensors"))
    assert re.match("cannot read the checkpoint x+.*: File name too long; exp", str(caught.value))


def test_unknown_kinds(tmp_path):
    with pytest.raises(WeftError, match=r"x.pt is of an unknown kind; expected a file that"):
        zoo.load("smollm2", tmp_path / "x.pt")

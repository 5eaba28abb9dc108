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


def test_unknown_kinds(tmp_path):
    with pytest.raises(WeftError, match=r"x.pt is of an unknown kind; expected a file that"):
        zoo.load("smollm2", tmp_path / "x.pt")

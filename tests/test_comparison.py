"""golden/comparison.py and the table that `make accuracy` makes of it."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from golden import data, zoo
from golden import quantize as module
from golden.accuracy import Means, measure
from golden.commands import texts
from golden.comparison import Comparison, formats, with_head_of_rows
from golden.errors import WeftError
from golden.quantize import Options, quantize
from golden.reference import sequence_logits
from golden.traffic import cache_bytes, weight_bytes
from golden.zoo.gguf import load
from tests.gguf_files import GROUPED, write
from tests.llama import random_llama
from tests.random_models import CONFIGS, random_checkpoint
from tests.test_golden_main import golden, refused

TEXT = "hello world, the old cat trod red lace\n" * 3


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write(tmp_path_factory.mktemp("gguf") / "model.gguf", random_llama(GROUPED), "Q4_1")


@pytest.fixture(scope="module")
def checkpoint(file):
    return load(file)


@pytest.fixture(scope="module")
def some_texts(checkpoint):
    rng = np.random.default_rng(6)
    return {
        "one": [rng.integers(0, 37, 17), rng.integers(0, 37, 9)],
        "two": [rng.integers(0, 37, 12)],
    }


def close_to(accuracy):
    """The same numbers, but for the last digits."""
    return {
        name: pytest.approx(value) if isinstance(value, float) else value
        for name, value in accuracy.to_dict().items()
    }


def flat(some_texts):
    return [sequence for text in some_texts.values() for sequence in text]


def test_a_plan_is_measured_as_alone(checkpoint, some_texts):
    seen = []
    plan = quantize(checkpoint, Options(scales="group", cache_bits=8))
    comparison = Comparison(checkpoint, some_texts, seen.append)
    result = comparison.of_plan(plan)
    assert sum(seen) == 2 * (16 + 8 + 11)
    wanted = measure(checkpoint, plan, flat(some_texts))
    assert result.total.to_dict() == close_to(wanted)
    assert (result.weights, result.cache_bits, result.position) == ("4-bit groups", 8, 15)
    assert result.weight_bytes == weight_bytes(plan)
    assert result.cache_bytes == cache_bytes(plan, 15)
    for name, text in some_texts.items():
        alone = measure(checkpoint, plan, text)
        assert result.texts[name].to_dict() == close_to(alone)
    loss = result.total.nll_difference
    assert result.perplexity_change == pytest.approx(math.exp(loss) - 1)


def test_the_float_model_differs_by_nothing_from_itself(checkpoint, some_texts):
    result = Comparison(checkpoint, some_texts).of_floats("float32", checkpoint)
    assert (result.total.kl, result.total.top1, result.perplexity_change) == (0, 1, 0)
    assert (result.weights, result.cache_bits) == ("float32", 32)


def test_only_embedding_and_head_are_rounded(checkpoint, some_texts):
    other = with_head_of_rows(checkpoint)
    changed = [name for name, tensor in checkpoint.tensors.items()
               if not np.array_equal(tensor, other.tensors[name])]  # fmt: skip
    assert changed == ["wte"]
    error = np.abs(other.tensors["wte"] - checkpoint.tensors["wte"])
    peaks = np.abs(checkpoint.tensors["wte"]).max(axis=1, keepdims=True)
    assert (error <= peaks / 127 * 0.51).all()
    result = Comparison(checkpoint, some_texts).of_floats("head", other)
    assert 0 < result.total.kl < 0.01
    separate = random_llama(replace(GROUPED, tied_head=False))
    rounded = with_head_of_rows(separate).tensors
    assert not np.array_equal(rounded["lm_head"], separate.tensors["lm_head"])


def test_a_corrupted_weight_shows(checkpoint, some_texts):
    comparison = Comparison(checkpoint, some_texts)
    good = comparison.of_plan(quantize(checkpoint, Options(scales="group")))
    tensors = dict(checkpoint.tensors)
    tensors["layer0.mlp_fc2"] = np.roll(tensors["layer0.mlp_fc2"], 1, axis=0)
    spoilt = replace(checkpoint, tensors=tensors, blocks={})
    bad = comparison.of_plan(quantize(spoilt, Options(scales="row")))
    assert bad.total.kl > 10 * good.total.kl


def test_which_formats_a_model_has(checkpoint, monkeypatch):
    def names(model):
        return [(options.scales, options.cache_bits) for options in formats(model)]

    small = [("matrix", 16), ("group", 16), ("group", 8), ("row", 16), ("row", 8)]
    assert names(checkpoint) == small
    assert names(random_checkpoint(CONFIGS["microgpt"])) == [("matrix", 16)]
    monkeypatch.setattr(module, "LARGE", 0)
    assert names(checkpoint) == small[1:]
    assert names(replace(checkpoint, blocks={})) == small[3:]


def test_means_of_parts_are_means_of_the_whole():
    rng = np.random.default_rng(8)
    exact, other = rng.standard_normal((2, 20, 7))
    targets = rng.integers(0, 7, 20)
    whole, parts = Means(), Means()
    whole.add(exact, other, targets)
    for rows in (slice(3), slice(3, 20)):
        part = Means()
        part.add(exact[rows], other[rows], targets[rows])
        parts += part
    assert parts.accuracy(1).to_dict() == close_to(whole.accuracy(1))


# Texts ------------------------------------------------------------------------------------------


def test_texts_are_cut_to_the_context(checkpoint, tmp_path, monkeypatch):
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    ids = checkpoint.tokenizer.encode(TEXT)
    assert len(ids) > 40
    found = texts.english(checkpoint, path)
    assert [text[0] for text in found] == [checkpoint.tokenizer.start] * len(found)
    assert np.concatenate([text[1:] for text in found]).tolist() == ids
    assert {len(text) for text in found[:-1]} == {17}
    sequence_logits(checkpoint, found[0][:-1])
    monkeypatch.setattr(texts, "LONGEST", 5)
    assert max(map(len, texts.english(checkpoint, path))) == 6


def test_every_preset_has_texts():
    for model in zoo.PRESETS:
        for path in data.text_files(model):
            assert len(data.load_text(path).split()) > 600
    words = [len(data.load_text(path).split()) for path in data.text_files("smollm2")]
    assert sum(words) > 2000
    assert [path.name for path in data.text_files("stories15m")] == ["story.txt"]


def test_there_must_be_something_to_predict(checkpoint):
    with pytest.raises(WeftError, match="there is no token to predict"):
        Comparison(checkpoint, {"none": [np.array([1])]})


# The command ------------------------------------------------------------------------------------


def test_the_command_compares_all_formats(capsys, file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT)
    arguments = ["accuracy", "--model", "smollm2", "--checkpoint", file, "--data", "text.txt"]
    status, out, _ = golden(capsys, *arguments)
    assert status == 0
    assert "groups" in out
    assert "tokens of text.txt" in out
    report = json.loads((tmp_path / "build/accuracy/smollm2.json").read_text())
    rows = report["formats"]
    found = [(row["weights"], row["cache_bits"]) for row in rows]
    assert found == [
        ("float32", 32), ("8 bits", 16), ("4-bit groups", 16), ("4-bit groups", 8),
        ("8-bit rows", 16), ("8-bit rows", 8), ("float32, 8-bit head", 32),
    ]  # fmt: skip
    assert (report["scales"], report["cache_bits"], report["numbers"]) == ("matrix", 16, "block")
    assert report["kl"] == rows[1]["kl"] > rows[2]["kl"] > rows[0]["kl"] == 0
    assert rows[2]["texts"]["text.txt"]["tokens"] == report["tokens"]
    table = (tmp_path / "build/accuracy/smollm2.md").read_text().splitlines()
    assert len(table) == 2 + len(rows)
    assert len({line.count("|") for line in table}) == 1
    assert f"{rows[2]['kl']:.5f}" in table[4]


def test_the_command_measures_one_format_that_is_chosen(capsys, file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT)
    arguments = ["--checkpoint", file, "--data", "text.txt", "--scales", "row", "--cache-bits", 8]
    status, out, _ = golden(capsys, "accuracy", "--model", "smollm2", *arguments)
    assert status == 0
    assert "scales a row, 8-bit keys and values" in out
    report = json.loads((tmp_path / "build/accuracy/smollm2.json").read_text())
    assert (report["scales"], report["cache_bits"]) == ("row", 8)
    assert "formats" not in report
    assert list(tmp_path.glob("build/accuracy/*.md")) == []


def test_a_text_that_is_missing(capsys, file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["--model", "smollm2", "--checkpoint", file, "--data", "none.txt"]
    sentence = refused(capsys, "accuracy", *arguments)
    assert "cannot read none.txt: No such file or directory; expected a text file" in sentence

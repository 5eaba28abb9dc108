import json
from dataclasses import replace

import numpy as np
import pytest

from golden import accuracy, data, zoo
from golden.accuracy import log_softmax, measure, sampled_texts
from golden.errors import WeftError
from golden.quantize import Options, quantize
from golden.reference import sequence_logits
from golden.tokenizer import CharacterTokenizer
from golden.train import sequence
from tests.random_models import BASE, CONFIGS, random_checkpoint, random_tokens
from tests.test_golden_main import golden, refused


@pytest.fixture(scope="module")
def microgpt():
    return zoo.load("microgpt")


@pytest.fixture(scope="module")
def names(microgpt):
    """Sixty held-out names, frequent and rare."""
    held_out = data.split(data.load_names())[1]
    tokenizer = CharacterTokenizer(microgpt.vocabulary)
    return [sequence(tokenizer, name, 16) for name in held_out[:: len(held_out) // 60][:60]]


@pytest.mark.parametrize("numbers", ["fixed", "block"])
def test_the_committed_model_keeps_its_accuracy(microgpt, names, numbers):
    result = measure(microgpt, quantize(microgpt, Options(numbers)), names)
    assert result.sequences == 60
    assert result.tokens == sum(len(name) - 1 for name in names)
    assert abs(result.nll_difference) <= 0.01
    assert 0 < result.kl < 0.002
    assert result.top1 > 0.95
    assert result.saturated == ()
    assert 2 < result.nll_float < 2.6


def test_a_corrupted_weight_shows(microgpt, names):
    plan = quantize(microgpt)
    (logits, sample) = plan.epilogue.stages
    weights = logits.weights.copy()
    weights[0] = -128
    broken = replace(plan.epilogue, stages=(replace(logits, weights=weights), sample))
    good = measure(microgpt, plan, names[:10])
    bad = measure(microgpt, replace(plan, epilogue=broken), names[:10])
    assert bad.kl > 10 * good.kl
    assert bad.nll_difference > 0.05


def test_identical_models_differ_by_nothing(monkeypatch):
    checkpoint = random_checkpoint(BASE)
    monkeypatch.setattr(
        accuracy, "integer_logits", lambda plan, tokens, _: sequence_logits(checkpoint, tokens)
    )
    result = measure(checkpoint, quantize(checkpoint), random_tokens(BASE, 3))
    assert result.nll_difference == pytest.approx(0, abs=1e-6)
    assert result.kl == pytest.approx(0, abs=1e-6)
    assert result.top1 == 1


def test_more_bits_are_closer():
    checkpoint, texts = random_checkpoint(CONFIGS["window"]), random_tokens(BASE, 3)
    kl = [measure(checkpoint, quantize(checkpoint, Options(weight_bits=b)), texts).kl
          for b in (4, 8, 16)]  # fmt: skip
    assert kl[0] > 10 * kl[1] > 100 * kl[2]


def test_saturation_is_reported():
    checkpoint = random_checkpoint(BASE)
    plan = quantize(checkpoint)
    stages = list(plan.template.stages)
    narrow = replace(stages[1].format, width=6)
    stages[1] = replace(stages[1], format=narrow)
    layer = replace(plan.template, stages=tuple(stages))
    result = measure(checkpoint, replace(plan, layers=(layer,)), random_tokens(BASE, 1))
    assert result.saturated == ("layer0.q",)


def test_log_softmax():
    x = np.array([[1000.0, 1000.0, 1000.0 + np.log(2)]])
    np.testing.assert_allclose(np.exp(log_softmax(x)), [[0.25, 0.25, 0.5]])


def test_progress_sees_every_text(microgpt, names):
    seen = []
    measure(microgpt, quantize(microgpt), names[:3], lambda t: (seen.append(x) or x for x in t))
    assert len(seen) == 3


@pytest.mark.parametrize("texts", [[], [[5]]])
def test_nothing_to_predict(microgpt, texts):
    with pytest.raises(WeftError, match="there is no token to predict"):
        measure(microgpt, quantize(microgpt), texts)


def test_sampled_texts():
    checkpoint = random_checkpoint(CONFIGS["window"])
    one, again = sampled_texts(checkpoint, 5), sampled_texts(checkpoint, 5)
    np.testing.assert_array_equal(one, again)
    assert np.shape(one) == (5, 9)
    short = random_checkpoint(replace(BASE, n_ctx=3))
    assert np.shape(sampled_texts(short, 2)) == (2, 4)


def test_the_command_writes_a_table_and_a_report(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, _ = golden(capsys, "accuracy", "--names", 5, "--numbers", "block")
    assert status == 0
    assert "perplexity" in out
    assert "5 texts held out of names.txt" in out
    report = json.loads((tmp_path / "build/accuracy/microgpt.json").read_text())
    assert report["sequences"] == 5
    assert (report["numbers"], report["weight_bits"]) == ("block", 8)
    assert report["top1"] > 0.9


def test_the_command_says_where_texts_come_from(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, _ = golden(capsys, "accuracy", "--model", "ailang", "--names", 3)
    assert status == 0
    assert "3 texts sampled from the float model" in out
    report = json.loads((tmp_path / "build/accuracy/ailang.json").read_text())
    assert report["texts"].startswith("sampled from the float model")
    (tmp_path / "list.txt").write_text("anna\nbob\n")
    status, out, _ = golden(capsys, "accuracy", "--data", "list.txt")
    assert status == 0
    assert "9 tokens of 2 texts of list.txt" in out


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--model nope", "--model is 'nope'; expected one of microgpt, ailang"),
        ("--numbers float", "--numbers is 'float'; expected one of fixed, block"),
        ("--weight-bits 99", "--weight-bits is 99; expected a whole number from 2 to 16"),
        ("--names 0", "--names is 0"),
        ("--names 100001", "--names is 100001; expected a whole number from 1 to 100000"),
        ("--data missing.txt", "cannot read missing.txt"),
        ("--model ailang --data x.txt", "is no model of characters"),
        ("--model ailang --numbers block", "--numbers is 'block', but GELU needs static formats"),
        ("--output .", "--output is '.'; expected the name of a file that ends in .json"),
        ("--output /proc/x.json", "cannot write x.json in the folder /proc"),
    ],
)
def test_mistakes(capsys, tmp_path, monkeypatch, options, sentence):
    monkeypatch.chdir(tmp_path)
    assert sentence in refused(capsys, "accuracy", *options.split())

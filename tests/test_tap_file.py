"""TAPS=: what both models have at every tap, in one file."""

from types import SimpleNamespace

import numpy as np
import pytest

from golden.errors import WeftError
from golden.generate import generate
from sim.tap_file import check_tap_file, write_taps
from sim.workload import Sampling, make_requests
from tests.models import microgpt

MADE = microgpt()


@pytest.fixture(scope="module")
def steps():
    request, *_ = make_requests(MADE.checkpoint, Sampling(1.0, 11), 1)
    return list(generate(MADE.plan, request))


@pytest.fixture
def written(steps, tmp_path):
    """The file of a run whose hardware is one more than the integer model everywhere."""
    kept = {}
    for step in steps:
        for at, vector in step.taps.items():
            golden = vector.mantissa.ravel()
            row = ((step.sequence, step.position), golden, golden + 1)
            kept.setdefault(at, []).append(row)
    path = tmp_path / "taps.npz"
    write_taps(path, SimpleNamespace(plan=MADE.plan, kept=kept))
    with np.load(path) as content:
        return dict(content)


def test_names_are_those_of_the_report(written):
    names = {MADE.plan.place(layer, stage.name) for layer, stage in MADE.plan.stages()}
    inner = {"layer0.attention.scores", "layer0.attention.weights"}
    found = {key.rpartition(".")[0] for key in written}
    assert found - {"epilogue.sample"} == (names | inner) - {"epilogue.sample"}


def test_both_sides_and_the_token_of_every_row(written, steps):
    logits = written["epilogue.logits.golden"]
    assert logits.shape == (len(steps), MADE.plan.n_vocab)
    assert (written["epilogue.logits.hardware"] == logits + 1).all()
    places = [[step.sequence, step.position] for step in steps]
    assert written["epilogue.logits.token"].tolist() == places


def test_what_grows_with_the_position_is_filled_with_zeros(written):
    scores = written["layer0.attention.scores.golden"]
    heads = MADE.checkpoint.config.n_head
    counts = written["layer0.attention.scores.elements"]
    assert counts.tolist() == [heads * (t + 1) for t in range(len(scores))]
    assert not scores[0, counts[0] :].any()
    assert scores.shape[1] == counts[-1]


@pytest.mark.parametrize("name", ["taps.txt", "taps"])
def test_another_kind_of_file_is_refused(name, tmp_path):
    with pytest.raises(WeftError, match=r"expected the name of a file that ends in \.npz"):
        check_tap_file(tmp_path / name)

"""Requests: what a user may ask for, and the rows of the core's port."""

import re

import pytest

from golden.errors import WeftError
from golden.generate import Request
from golden.noise import noise_scale
from sim.workload import ENDLESS_TOKENS, Sampling, make_requests, request_rows
from tests.models import preset

MODEL = preset("microgpt")


@pytest.mark.parametrize("temperature", [0, 0.0, 1 / 64, 0.5, 8, 8.0])
def test_temperatures(temperature):
    (request,) = make_requests(MODEL, Sampling(temperature), 1)
    assert request.noise_scale == noise_scale(temperature)
    assert (request.noise_scale == 0) == (temperature == 0)
    assert request.noise_scale < 1 << 15


@pytest.mark.parametrize("temperature", [-0.1, 1 / 65, 8.01, float("nan"), float("inf")])
def test_temperatures_out_of_range(temperature):
    with pytest.raises(WeftError, match=r"temperature is .*; expected 0 \(greedy\) or 1/64 to 8"):
        Sampling(temperature)


@pytest.mark.parametrize("seed", [-1, 1 << 32])
def test_seeds_out_of_range(seed):
    with pytest.raises(WeftError, match=rf"seed is {seed}; expected 0 to 4294967295"):
        Sampling(seed=seed)


def test_sequences_are_numbered_and_share_the_rest():
    requests = make_requests(MODEL, Sampling(1.0, (1 << 32) - 1), 3, "em", tokens=4)
    assert [r.sequence for r in requests] == [0, 1, 2]
    assert {r.prompt for r in requests} == {(26, 4, 12)}
    assert {(r.count, r.seed, r.stop) for r in requests} == {(4, (1 << 32) - 1, 26)}


def test_ends():
    assert make_requests(MODEL, Sampling(), 1)[0].count == 16
    (endless,) = make_requests(preset("ailang"), Sampling(), 1)
    assert endless.count == ENDLESS_TOKENS


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"names": 0}, "names is 0; expected at least 1"),
        ({"names": 1, "tokens": 0}, "tokens is 0; expected at least 1"),
        ({"names": 1, "prompt": "a" * 16}, "has 17 tokens with the start token; .* 16 positions"),
        ({"names": 1, "prompt": "aÄ"}, "Ä"),
        ({"names": 4097}, "names is 4,097; expected at most 4,096 with a prompt of 1 token, start"),
        ({"names": 1366, "prompt": "ab"}, "expected at most 1,365 with a prompt of 3 tokens"),
    ],
)
def test_what_cannot_be_asked_for(options, told):
    with pytest.raises(WeftError, match=told):
        make_requests(MODEL, Sampling(), **options)


def test_a_long_prompt_is_not_told_whole():
    with pytest.raises(WeftError) as caught:
        make_requests(MODEL, Sampling(), 1, "a" * 10_000)
    assert re.fullmatch(r"the prompt 'a{80}'\.\.\. has 10,001 tokens .{,80}", str(caught.value))


def test_the_longest_prompt_fits():
    (request,) = make_requests(MODEL, Sampling(), 1, "a" * 15)
    assert len(request.prompt) == 16


def test_rows():
    asked = [Request((1, 2, 3), 4, 5, 6, 7, stop=8), Request((9,), 1)]
    rows = list(request_rows(asked))
    assert [row["token"] for row in rows] == [1, 2, 3, 9]
    assert [row["first"] for row in rows] == [1, 0, 0, 1]
    assert [row["last"] for row in rows] == [0, 0, 1, 1]
    assert {(r["count"], r["sequence"], r["seed"]) for r in rows[:3]} == {(4, 5, 6)}
    assert [(r["noise_scale"], r["stop"], r["has_stop"]) for r in rows[2:]] == [
        (7, 8, 1),
        (0, 0, 0),
    ]

"""A run from requests to what is told about it."""

import pytest
from tokenizers.pre_tokenizers import ByteLevel

from golden.bpe import by_score, byte_level
from golden.generate import Request, generate
from golden.tokenizer import tokenizer_for
from sim.bench import REQUESTS
from sim.session import BATCH, run
from sim.show import Voice
from sim.workload import Sampling, make_requests
from tests.models import built, microgpt, preset

MADE = microgpt()


def simulate(requests, folder, **options):
    return run(MADE, built(MADE, quick=False), requests, folder, **options)


def test_tokens_are_said_as_they_come(tmp_path):
    said = []
    requests = make_requests(MADE.checkpoint, Sampling(0.8, 3), 4)
    outcome = simulate(requests, tmp_path, say=said.append)
    assert said == [token for _, token in outcome.tokens]
    cycles = [cycle for cycle, _ in outcome.tokens]
    assert cycles == sorted(cycles)
    texts = ["", "", "", ""]
    for token in said:
        if token["token"] != 26:
            texts[token["sequence"]] += MADE.checkpoint.vocabulary[token["token"]]
    wanted = [
        [step.sampled for step in generate(MADE.plan, r) if step.sampled not in (None, 26)]
        for r in requests
    ]
    assert texts == [tokenizer_for(MADE.checkpoint).decode(ids) for ids in wanted]


def test_counters_cover_every_job_and_fit_the_run(tmp_path):
    outcome = simulate([Request((26, 1, 2), 5, seed=1)], tmp_path)
    jobs = {(u.name, j) for u in MADE.schedule.units for j in range(len(MADE.schedule.jobs(u)))}
    assert set(outcome.counters) == jobs
    for busy, blocked in outcome.counters.values():
        assert 0 < busy + blocked < outcome.simulated_cycles
    assert outcome.wall_seconds > 0


def test_compared_elements_are_counted_between_batches(tmp_path):
    outcome = simulate([Request((k,), 16, k) for k in range(27)], tmp_path)
    assert len(outcome.tokens) == 27 * 16 > 2 * BATCH
    steps = [step for k in range(27) for step in generate(MADE.plan, Request((k,), 16, k))]
    elements = sum(v.mantissa.size for step in steps for v in step.taps.values())
    assert outcome.checker.compared == elements + len(steps)  # and every accepted token


def test_saturation_of_the_integer_model_is_gathered(tmp_path):
    requests = [Request((k,), 8, k) for k in range(20)]
    outcome = simulate(requests, tmp_path)
    wanted = set().union(*(s.saturated for r in requests for s in generate(MADE.plan, r)))
    assert outcome.checker.saturated == wanted


def test_the_image_of_the_design_is_not_changed(tmp_path):
    before = set(MADE.image)
    simulate([Request((26,), 1)], tmp_path)
    assert set(MADE.image) == before
    assert REQUESTS not in MADE.image


@pytest.mark.parametrize(
    ("model", "prompt", "said"),
    [("microgpt", "ka", "kab\n"), ("ailang", "banore kukoda", "banore kukoda banore \n")],
)
def test_text_is_shown_with_its_spaces(capsys, model, prompt, said):
    checkpoint = preset(model)
    tokenizer = tokenizer_for(checkpoint)
    requests = make_requests(checkpoint, Sampling(), 1, prompt)
    token = tokenizer.encode("b" if model == "microgpt" else "banore")[0]
    Voice(tokenizer, requests, streams=1).say({"sequence": 0, "token": token, "last": 1})
    assert capsys.readouterr().out == said


def test_a_character_of_several_tokens_is_shown_when_it_is_whole(capsys):
    tokenizer = byte_level(["<s>", *sorted(ByteLevel.alphabet())], [], ["<s>"], "smollm", 0, 0)
    ids = tokenizer.encode("é✓")
    requests = [Request((0, *ids), 9)]
    voice = Voice(tokenizer, requests, streams=1)
    shown = []
    for token in [*ids, ids[0]]:  # and a part of one at the end
        voice.say({"sequence": 0, "token": token, "last": 0})
        shown.append(capsys.readouterr().out)
    assert shown == ["é✓", "é", "", "", "✓", ""]
    voice.say({"sequence": 0, "token": 0, "last": 1})
    assert capsys.readouterr().out == "\ufffd\n"
    Voice(tokenizer, requests, streams=1, echo=False).say({"sequence": 0, "token": 0, "last": 1})
    assert capsys.readouterr().out == "\n"


BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
PIECES = ["<unk>", "<s>", "</s>", *BYTES, " ", "a", " a"]
SCORED = by_score(PIECES, [0.0] * len(PIECES), range(259, 262), (), " ", True, 1, 1)


@pytest.mark.parametrize("prompt", ["", "a", "é", "🙂 a"])
@pytest.mark.parametrize("text", ["a a", "é🙂 aé", "🙂", " a"])
def test_text_of_bytes_is_shown_as_the_report_has_it(capsys, prompt, text):
    begun, ids = SCORED.encode(prompt), SCORED.encode(prompt + text)
    assert ids[: len(begun)] == begun
    voice = Voice(SCORED, [Request((1, *begun), 40)], streams=1)
    for token in ids[len(begun) :]:
        voice.say({"sequence": 0, "token": token, "last": 0})
    assert capsys.readouterr().out == SCORED.decode(ids) == prompt + text

"""Cores whose weights, keys and values live in an external memory: every value, and every cycle."""

from dataclasses import replace
from pathlib import Path

import pytest

from golden.config import LINEARS
from golden.generate import Request, generate, generate_all
from golden.noise import noise_scale
from golden.zoo.gguf import load
from hdl.external.layout import Layout
from sim import session
from sim.external import External
from sim.mismatch import Mismatch
from tests import gguf_files
from tests.external_cores import GROUPS, OPEN, PLAYED, Case, prefill, token_cycles
from tests.llama import BASE, random_llama
from tests.models import some_requests

CASES = {
    "rows, heads that share keys": OPEN,
    "groups, window, keys of 8 bits, head of its own, biases": PLAYED,
    "rows of 16 bits, odd sizes": Case(
        replace(BASE, n_head=5, n_kv_head=5, d_model=30, d_ff=7, n_vocab=13, n_layer=3,
                tied_head=False), "row", 16, cache_bits=8, memory="ulx3s",
    ),
    "rows of 16 bits, odd sizes, biases": Case(
        replace(BASE, n_head=5, n_kv_head=5, d_model=30, d_ff=7, n_vocab=13, biases=LINEARS), "row",
        16, memory="ulx3s",
    ),
    "rows of 32 bits, biases of attention": Case(
        replace(BASE, n_head=6, n_kv_head=1, d_model=36, biases=LINEARS[:4]), "row", 32,
        played=True,
    ),
    "rows, biases of queries, keys and values": Case(
        replace(BASE, n_head=7, n_kv_head=1, d_model=42, biases=LINEARS[:3]), "row", 128, 8,
    ),
    "rows, three heads for one": Case(
        replace(BASE, n_head=9, n_kv_head=3, d_model=36, d_ff=50, n_vocab=21, n_layer=1), "row", 64,
        played=True,
    ),
    "groups of a wide port, one head of keys": Case(
        replace(BASE, n_head=2, n_kv_head=1, d_model=64, d_ff=32, n_vocab=29), "group", 128, 8,
    ),
    "groups of a narrow port, window": Case(
        replace(GROUPS, n_layer=2, window=3, n_vocab=5, tied_head=True), "group", 32,
        memory="ulx3s",
    ),
}  # fmt: skip
QUIET = {}
RESTLESS = {"idle": 40, "pressure": 60, "weight_idle": 90}
"""Requests, tokens and (where it is played) memory are held back."""

NORMAL = (
    "rows, heads that share keys",
    "groups, window, keys of 8 bits, head of its own, biases",
)


def marked(name):
    return name if name in NORMAL else pytest.param(name, marks=pytest.mark.slow)


@pytest.mark.parametrize("settings", [QUIET, RESTLESS], ids=["quiet", "restless"])
@pytest.mark.parametrize("name", [marked(name) for name in CASES])
def test_every_value(name, settings, tmp_path, monkeypatch):
    monkeypatch.setattr(session, "BATCH", 3)
    case = CASES[name]
    made = case.design(seed=len(name))
    requests = some_requests(made.plan, 5, seed=len(name))
    outcome = case.run(made, requests, tmp_path, seed=3, **settings)
    wanted = [s.sampled for s in generate_all(made.plan, requests) if s.sampled is not None]
    assert [t["token"] for _, t in outcome.tokens] == wanted
    assert outcome.checker.mismatches == 0
    elements = sum(x.mantissa.size for s in generate_all(made.plan, requests)
                   for x in s.taps.values())  # fmt: skip
    assert outcome.checker.compared == elements + outcome.checker.tokens
    print(name, outcome.simulated_cycles, list(token_cycles(outcome).items())[:3])


@pytest.mark.slow
def test_icarus(tmp_path):
    # Four-valued: nothing undefined reaches a tap.
    config = replace(BASE, n_layer=1, n_head=2, n_kv_head=1, d_model=8, d_ff=6, n_vocab=5)
    case = Case(config, "row", 64, played=True, engine="icarus")
    outcome = case.run(case.design(), [Request((1, 2), 2)], tmp_path)
    assert len(outcome.tokens) == 2


@pytest.mark.parametrize("seed", [1, 2])
def test_other_weights_of_one_shape(seed, tmp_path):
    made = OPEN.design(seed=seed)
    assert made.key() == OPEN.design().key()
    assert OPEN.run(made, some_requests(made.plan, 3, seed), tmp_path).tokens


def test_a_file_with_biases(tmp_path):
    # Groups and biases of a GGUF file, on the gateware of random ones of that shape.
    source = random_llama(replace(PLAYED.config, n_ctx=16, window=None), 9)
    c = load(gguf_files.write(tmp_path / "some.gguf", source, "Q4_1"))
    made = PLAYED.design(replace(c, config=replace(c.config, n_ctx=None, window=5)))
    assert made.key() == PLAYED.design().key()
    biases = [s for _, s in made.plan.stages() if s.kind == "bias"]
    assert len(biases) == len(LINEARS) * PLAYED.config.n_layer
    assert PLAYED.run(made, some_requests(made.plan, 3, 1), tmp_path).tokens


# Cycles --------------------------------------------------------------------------------------

PER_LAYER, ELSE = 1000, 600
"""Cycles that a token of these models may take beside those of the memory: latencies of units."""


def test_cycles(tmp_path):
    made = OPEN.design()
    plan, layout = made.plan, Layout(made.plan, OPEN.port)
    outcome = OPEN.run(made, [Request((1, 2, 3, 4, 5, 6), 10)], tmp_path)
    cycles, prompt = token_cycles(outcome), list(prefill(outcome).values())
    waits = PER_LAYER * len(plan.layers) + ELSE
    for position, taken in cycles.items():
        bound = made.external.bound(plan, [position])
        assert bound <= taken <= bound + waits
    head = layout.head.weights.size / made.external.bytes_per_cycle
    assert max(prompt) + head <= min(cycles.values())
    for position, taken in enumerate(prompt):
        bound = made.external.bound(plan, [position], sampled=False)
        assert bound <= taken <= bound + waits
    print("cycles", cycles, "prefill", prompt, "bound", made.external.bound(plan, [5]))


# A start in the middle -----------------------------------------------------------------------

PROMPT = (1, 2, 3, 4, 5, 6, 7, 3, 1)


def whole_and_begun(case, start, folder, **settings):
    """Outcomes of a prompt that is simulated from its first token, and from ``start`` on."""
    made = case.design()
    request = Request(PROMPT, 6, noise_scale=noise_scale(1.0), seed=5)
    starts = [request, replace(request, start=start)]
    return [case.run(made, [each], folder, keep=True, **settings) for each in starts]


def kept(outcome, start):
    """What the hardware had at every tap from a position on."""
    return {
        (key, token): hardware.tolist()
        for key, rows in outcome.checker.kept.items()
        for token, _, hardware in rows
        if token[1] >= start
    }


STANDSTILL = 2
"""Cycles by which a token is faster that does not follow another at once."""


@pytest.mark.parametrize("start", [1, 3, 7, 8])
def test_a_start_behind_the_window(start, tmp_path):
    whole, begun = whole_and_begun(PLAYED, start, tmp_path)
    assert kept(whole, start) == kept(begun, start)
    assert begun.checker.tokens == whole.checker.tokens - start
    assert begun.simulated_cycles < whole.simulated_cycles
    wanted, took = ({**prefill(x), **token_cycles(x)} for x in (whole, begun))
    assert list(took) == list(wanted)[start:]
    assert wanted.pop(start) - took.pop(start) == STANDSTILL
    assert all(wanted[position] == cycles for position, cycles in took.items())


@pytest.mark.parametrize("start", [1, 5, 8])
def test_a_start_in_a_full_cache(start, tmp_path):
    # Refreshes of the open memory fall elsewhere: cycles are compared with the played one, above.
    whole, begun = whole_and_begun(OPEN, start, tmp_path, pressure=30)
    assert kept(whole, start) == kept(begun, start)
    assert token_cycles(begun).keys() == token_cycles(whole).keys()


def test_several_starts_one_after_the_other(tmp_path):
    made = PLAYED.design()
    plain = Request(PROMPT[:4], 1)  # within the window: nothing that lies there is written over
    requests = [replace(plain, start=k, sequence=n) for n, k in enumerate((3, 1, 0, 2))]
    outcome = PLAYED.run(made, requests, tmp_path, weight_idle=50)
    assert outcome.checker.tokens == 1 + 3 + 4 + 2
    wanted = [s.sampled for s in generate(made.plan, plain)][-1]
    assert [t["token"] for _, t in outcome.tokens] == [wanted] * 4


# What must be noticed ------------------------------------------------------------------------


def flip(beats, beat, bit):
    """The beats of a memory with a bit of one of them inverted."""
    beats[beat] ^= 1 << bit
    return beats


def tensor(layout, stage, layer=0):
    """The first beat of a stage's biases or codes, of groups behind a tile's head."""
    found = next(t for t in layout.tensors if t.stage.name == stage and t.layer == layer)
    return found.first + getattr(found.form, "head_beats", 0)


@pytest.mark.parametrize("stage", ["q", "q_bias", "fc2", "fc2_bias", "logits"])
def test_a_wrong_weight_is_noticed(stage, tmp_path, monkeypatch):
    words, layout = session.memory_words, Layout(PLAYED.design().plan, PLAYED.port)
    at = tensor(layout, stage) + (stage == "logits")  # whose rows have one beat of scales

    def wrong(*given):
        return {
            name: flip(beats, at, 2 + 24 * stage.endswith("bias"))
            for name, beats in words(*given).items()
        }

    monkeypatch.setattr(session, "memory_words", wrong)
    place = "epilogue" if stage == "logits" else "layer0"
    with pytest.raises(Mismatch, match=rf"stage {place}\.{stage} \(layer 0\), sequence 0") as told:
        PLAYED.run(PLAYED.design(), [Request((1,), 2)], tmp_path)
    assert told.value.place["element"] == 0


@pytest.mark.parametrize(("what", "stage"), [("keys", "attention.scores"), ("values", "attention")])
@pytest.mark.parametrize("layer", [0, 1])
def test_a_wrong_record_is_noticed(what, stage, layer, tmp_path, monkeypatch):
    made, beat = OPEN.design(), OPEN.port // 8
    layout, outside = Layout(made.plan, OPEN.port), External.outside
    at = getattr(layout, what)(layer, 1) + (what == "keys")

    def wrong(self, plan, folder, run_folder, caches):
        found = outside(self, plan, folder, run_folder, caches)
        (_, _), (file, first) = found.contents
        raw = bytearray(file.read_bytes())
        raw[at * beat - first + 1] ^= 0x20  # a high bit of the first element, in slot 0
        Path(file).write_bytes(raw)
        return found

    monkeypatch.setattr(External, "outside", wrong)
    where = rf"stage layer0\.{stage} \(layer {layer}\), sequence 0, position 2"
    with pytest.raises(Mismatch, match=where):
        OPEN.run(made, [Request((1, 2, 3), 2, start=2)], tmp_path)

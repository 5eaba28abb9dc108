"""The comparison finds every kind of difference, and says where it is."""

import random
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from golden import tables
from golden.errors import WeftError
from golden.generate import generate_all
from golden.stages import attention
from sim import session
from sim.bench import REQUESTS, SETTINGS, requests, settings
from sim.compare import Checker, Mismatch
from sim.session import run
from sim.taps import decode
from sim.workload import Sampling, make_requests, request_rows
from tests.models import built, microgpt

MADE = microgpt()
NAMES = make_requests(MADE.checkpoint, Sampling(1.0, 11), 3, prompt="ka")
VALUES = r"the integer model has -?\d+, the hardware -?\d+"
WHERE = r"\(layer 0\), sequence \d+, position \d+, element \d+, cycle \d+: "


@pytest.fixture(scope="module")
def simulation():
    return built(MADE, quick=False)


@pytest.fixture(scope="module")
def lines(simulation, tmp_path_factory):
    """The lines of a run without any difference."""
    return recorded(simulation, NAMES, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def first_name(simulation, tmp_path_factory):
    """The lines of a run of the first name alone."""
    return recorded(simulation, NAMES[:1], tmp_path_factory.mktemp("run"))


def recorded(simulation, asked, folder):
    rows = list(request_rows(asked))
    image = {**MADE.image, REQUESTS: requests(simulation.design, rows), SETTINGS: settings()}
    return [line for line in simulation.run(image, folder) if line[0] == "@"]


def judge(simulation, lines, asked=NAMES, batch=10_000, plan=MADE.plan):
    """Feed recorded lines to a checker, ``batch`` lines between two comparisons."""
    checker = Checker(plan, MADE.schedule, asked, simulation.design)
    for k, line in enumerate(lines):
        checker.feed(line)
        if k % batch == batch - 1:
            checker.check()
    checker.finish()
    return checker


def tap(simulation, name):
    """The first characters of a tap's lines."""
    return f"@{[n for n, _ in simulation.design.taps].index(name):03x}"


def flipped(line, bit):
    """The line with one bit of its payload changed, the lowest being 0."""
    digits = line.rindex(" ") + 1
    value = int(line[digits:], 16) ^ 1 << bit
    return line[:digits] + f"{value:0{len(line) - digits}x}"


@pytest.mark.parametrize("batch", [1, 7, 50, 10_000])
def test_no_difference(simulation, lines, batch):
    # With one line a batch, every vector and every attention is cut where it hurts.
    checker = judge(simulation, lines, batch=batch)
    assert checker.compared == judge(simulation, lines).compared > 5000
    assert {key[0] for key in checker.spans} == {name for name, _ in simulation.design.taps}


CORRUPT = {
    "attention.exp2_0": r"layer0\.attention\.weights",
    "attention.reciprocal": r"layer0\.attention",
    "attention.parameters": r"layer0\.attention\.scores",
    "norm.parameters": r"prologue\.norm_embedding",
    "norm.root": r"(prologue|layer0)\.norm_\w+",
    "linear.weights": r"layer0\.[qkv]",
    "linear.parameters": r"layer0\.q",
    "embed.tokens": r"prologue\.embed",
    "embed.positions": r"prologue\.embed",
    "sample.noise.shift": r"epilogue\.sample",
    "sample.noise.gumbel0": r"epilogue\.sample",
}
BITS = {
    "linear.parameters": 12,
    "attention.parameters": 5,
    "norm.parameters": 25,
    "norm.root": 30,
    "sample.noise.gumbel0": 24,
}


@pytest.mark.parametrize("name", CORRUPT)
def test_wrong_words_are_found(simulation, tmp_path, name):
    width = simulation.design.memories[name][0]
    bit = BITS.get(name, 12 if width > 20 else 2)
    words = [int(word) ^ 1 << bit for word in MADE.image[name]]
    wrong = replace(MADE, image={**MADE.image, name: words})
    with pytest.raises(Mismatch, match=f"stage {CORRUPT[name]} {WHERE}{VALUES}") as told:
        run(wrong, simulation, NAMES, tmp_path)
    assert told.value.exit_status == 1


TABLES = {
    "exp2": tables.exp2(),
    "reciprocal": tables.reciprocal(),
    "root": tables.root(MADE.checkpoint.config.d_model),
    "gumbel": tables.gumbel(),
}


def one_wrong(table, index, wrong):
    """Base and slope of a table, one of whose bases is wrong."""
    base, slope = table._pairs
    base = base.copy()
    base[index] = wrong
    return base, slope


@pytest.fixture
def used(monkeypatch):
    """The entries of every table that the integer model uses for the first name."""
    found, lookup, weights = {}, tables.Table.lookup, attention.softmax_weights

    def note(table, x):
        found.setdefault(table.name, []).extend(np.ravel(np.asarray(x) >> table.low_bits).tolist())

    def noting(table, x):
        if table is not TABLES["exp2"]:
            note(table, x)
        return lookup(table, x)

    def noting_weights(scores):
        # So far below the maximum that nothing is left of it, an entry does not count.
        below = (scores.max(axis=0) - scores)[weights(scores) > 0]
        note(TABLES["exp2"], below & ((1 << tables.SCORE_FRACTION) - 1))
        return weights(scores)

    with monkeypatch.context() as patch:
        patch.setattr(tables.Table, "lookup", noting)
        patch.setattr(attention, "softmax_weights", noting_weights)
        list(generate_all(MADE.plan, NAMES[:1]))
    return {name: Counter(found[table.name]) for name, table in TABLES.items()}


@pytest.mark.parametrize("name", TABLES)
def test_every_single_table_entry_that_is_used_counts(
    simulation, first_name, used, monkeypatch, name
):
    # Wrong in the integer model, so that no simulation is needed for each: a difference is one.
    table = TABLES[name]
    judge(simulation, first_name, NAMES[:1])
    for index in used[name]:
        # Noise shows in the token only: too much of it wins, too little makes the winner lose.
        for wrong in (1 << 40, -1 << 24) if name == "gumbel" else (512 << table.shift,):
            monkeypatch.setitem(table.__dict__, "_pairs", one_wrong(table, index, wrong))
            try:
                judge(simulation, first_name, NAMES[:1])
            except Mismatch:
                break
        else:
            pytest.fail(f"entry {index} of {name} may be wrong")
        monkeypatch.undo()


@pytest.mark.parametrize("name", ["attention.exp2_0", "attention.reciprocal", "norm.root"])
def test_one_wrong_table_entry_is_found(simulation, used, tmp_path, name):
    table = name.split(".")[1].split("_")[0]
    ((index, _),) = used[table].most_common(1)
    words = list(map(int, MADE.image[name]))
    words[index] &= -1 << TABLES[table].base_bits
    wrong = replace(MADE, image={**MADE.image, name: words})
    with pytest.raises(Mismatch, match=f"stage {CORRUPT[name]} {WHERE}{VALUES}"):
        run(wrong, simulation, NAMES[:1], tmp_path)


def test_one_wrong_weight_is_found_at_its_row(simulation, tmp_path):
    words = list(MADE.image["linear.weights"])
    words[-1] ^= 1  # the last word is of the head: rows 24 to 26, columns 0 to 15
    wrong = replace(MADE, image={**MADE.image, "linear.weights": words})
    with pytest.raises(Mismatch, match=rf"stage epilogue\.logits .*element 2[456].*{VALUES}"):
        run(wrong, simulation, NAMES, tmp_path)


def test_a_wrong_integer_model_is_found(simulation, lines):
    # hls4ml#459: a reference test that also passed with corrupted reference data.
    layer = MADE.plan.layers[0]
    stages = list(layer.stages)
    at = next(k for k, stage in enumerate(stages) if stage.name == "fc2")
    weights = stages[at].weights.copy()
    weights[3] += 40
    stages[at] = replace(stages[at], weights=weights)
    plan = replace(MADE.plan, layers=(replace(layer, stages=tuple(stages)),))
    where = r"stage layer0\.fc2 \(layer 0\), sequence \d+, position \d+, element 3, cycle \d+: "
    with pytest.raises(Mismatch, match=where + VALUES):
        judge(simulation, lines, plan=plan)


def test_a_flipped_bit_is_told_exactly(simulation, lines):
    name = tap(simulation, "layer0.fc1")
    at = [k for k, line in enumerate(lines) if line.startswith(name)][5 * 8 + 2]
    changed = [*lines[:at], flipped(lines[at], 16 + 3), *lines[at + 1 :]]
    mine = decode(simulation.design, lines)["layer0.fc1"].data[5 * 8 + 2, 1]
    where = (
        r"fc1 \(layer 0\), sequence \d, position \d, element 17, cycle \d+: the integer model has "
    )
    with pytest.raises(Mismatch, match=where + f"{mine}, the hardware {mine ^ 8}"):
        judge(simulation, changed)


def test_one_wrong_element_is_found_at_every_tap(simulation, first_name):
    for k, (name, layout) in enumerate(simulation.design.taps):
        at = next(n for n, line in enumerate(first_name) if line.startswith(f"@{k:03x}"))
        data = next(field for field in layout if field.path in ("data", "token"))
        for bit in range(data.offset, data.end, data.width):
            changed = list(first_name)
            changed[at] = flipped(changed[at], bit)
            with pytest.raises(Mismatch, match=rf"stage {name} .*, element \d+, cycle"):
                judge(simulation, changed, NAMES[:1])


def test_all_values_of_the_first_vector_that_differ_are_counted(simulation, lines):
    name = tap(simulation, "layer0.fc1")
    at = [k for k, line in enumerate(lines) if line.startswith(name)][2]
    changed = [*lines[:at], flipped(flipped(lines[at], 16 + 3), 3), *lines[at + 1 :]]
    with pytest.raises(Mismatch) as told:
        judge(simulation, [*changed[:-1], flipped(changed[-1], 0)])
    assert told.value.count == 2
    place = {"stage": "layer0.fc1", "layer": 0, "sequence": 0, "position": 0, "element": 16}
    assert place.items() <= told.value.place.items()


def test_the_earliest_difference_is_told(simulation, lines):
    found = [k for k, line in enumerate(lines) if line.startswith(tap(simulation, "layer0.v"))]
    changed = list(lines)
    changed[found[0]] = flipped(changed[found[0]], 4)
    changed[-1] = flipped(changed[-1], 0)
    with pytest.raises(Mismatch, match=r"layer0\.v \(layer 0\), sequence 0, position 0"):
        judge(simulation, changed)


def test_a_dropped_line_is_found_at_every_tap(simulation, lines):
    for k in range(len(simulation.design.taps)):
        mine = [n for n, line in enumerate(lines) if line.startswith(f"@{k:03x}")]
        for at in (mine[0], mine[len(mine) // 2], mine[-1]):
            with pytest.raises(Mismatch, match=r"stage|sequence|beats"):
                judge(simulation, lines[:at] + lines[at + 1 :])


def test_a_duplicated_line_or_vector_is_found_at_every_tap(simulation, lines):
    for k in range(len(simulation.design.taps)):
        mine = [n for n, line in enumerate(lines) if line.startswith(f"@{k:03x}")]
        at = mine[len(mine) // 2]
        with pytest.raises(Mismatch, match=r"stage|sequence"):
            judge(simulation, lines[: at + 1] + lines[at:])
        with pytest.raises(Mismatch, match=r"for the second time|beats"):
            judge(simulation, lines + [lines[n] for n in mine[-len(mine) // 13 :]])


@pytest.mark.parametrize("seed", range(4))
def test_any_damage_is_found(simulation, lines, seed):
    """Flips of data and tags; never an error of Python, and never a pass."""
    rng = random.Random(seed)
    layouts = [{f.path: f for f in layout} for _, layout in simulation.design.taps]
    for _ in range(60):
        at = rng.randrange(len(lines))
        layout = layouts[int(lines[at][1:4], 16)]
        paths = [p for p in layout if layout[p].width and p not in ("tag.sample", "tag.job")]
        field = layout[rng.choice(paths)]
        bit = rng.randrange(field.offset, field.end)
        changed = [*lines[:at], flipped(lines[at], bit), *lines[at + 1 :]]
        if field.path == "data" and padding(simulation, lines[at], bit, field):
            continue
        with pytest.raises(Mismatch, match=r"stage|sequence|beats"):
            judge(simulation, changed, batch=rng.choice([37, 10_000]))


def padding(simulation, line, bit, field):
    """Whether the bit belongs to logits 27: there are 27, in beats of 4."""
    last = decode(simulation.design, [line])["epilogue.logits"]
    return len(last) and last.last[0] and (bit - field.offset) // field.width == 3


def test_early_and_late_ends_are_found(simulation, lines):
    more = [*NAMES[:2], replace(NAMES[2], stop=None)]
    with pytest.raises(Mismatch, match=r"hardware ended sequence 2 early: .* goes on for \d+ tok"):
        judge(simulation, lines, more)
    less = [*NAMES[:2], replace(NAMES[2], count=1)]
    with pytest.raises(Mismatch, match=r"sequence 2, position 3, .*the integer model has nothing"):
        judge(simulation, lines, less)
    with pytest.raises(Mismatch, match=r"sequence 2, .*the integer model has nothing"):
        judge(simulation, lines, NAMES[:2])
    with pytest.raises(Mismatch, match="ended sequence 3 early"):
        judge(simulation, lines, [*NAMES, NAMES[0]])


def test_a_hang_is_cut_and_named(simulation, tmp_path, monkeypatch):
    # The projection is told that its input is longer than it is, and waits for ever.
    words = list(MADE.image["linear.parameters"])
    job = [name for _, name in MADE.schedule.jobs(MADE.schedule.unit("layer0", "q"))].index(
        "project"
    )
    words[job] ^= 1 << 8
    monkeypatch.setattr(session, "WATCHDOG", 3000)
    hung = replace(MADE, image={**MADE.image, "linear.parameters": words})
    named = rf"hung at cycle \d+: .*linear \(job {job}\) holds work, is blocked"
    with pytest.raises(WeftError, match=named) as told:
        run(hung, simulation, NAMES, tmp_path)
    assert not isinstance(told.value, Mismatch)
    assert int(re.search(r"cycle (\d+)", str(told.value))[1]) < 4000
    units = {unit.name for unit in MADE.schedule.units}
    states = {
        state: set(re.findall(rf"(\w+) \(job \d+\) [\w ,]*is {state}", str(told.value)))
        for state in ("blocked", "starved")
    }
    assert states == {"blocked": {"linear"}, "starved": units - {"linear"}}


def test_a_request_without_an_end_is_a_hang(simulation, tmp_path, monkeypatch):
    rows = [row | {"last": 0} for row in request_rows(NAMES[:1])]
    monkeypatch.setattr(session, "request_rows", lambda _: rows)
    monkeypatch.setattr(session, "WATCHDOG", 500)
    with pytest.raises(WeftError, match=r"hung at cycle .*sample \(job 0\) holds no work"):
        run(MADE, simulation, NAMES[:1], tmp_path)


def test_undefined_bits_are_told(simulation, lines):
    with pytest.raises(WeftError, match="an x is a bit that the gateware never defined"):
        judge(simulation, [lines[0][:-1] + "x", *lines[1:]])


def test_golden_forgets_and_still_counts(simulation, lines):
    checker = judge(simulation, lines, batch=100)
    assert sum(checker.golden.lengths.values()) == checker.tokens
    assert len(checker.golden.steps) < checker.tokens
    assert np.all([length > 3 for length in checker.golden.lengths.values()])

"""Float, integer and hardware side by side on the same tokens; and accuracy on held-out names."""

from __future__ import annotations

import math

import numpy as np
from tqdm import tqdm

from golden import data, noise, tables, zoo
from golden.accuracy import measure
from golden.generate import Request, generate
from golden.model import Checkpoint
from golden.noise import TEMPERATURE_FRACTION
from golden.quantize import Options, quantize
from golden.reference import Cache, step
from golden.tokenizer import tokenizer_for
from golden.train import sequence
from sim.build import Design, Target, build, make_design
from sim.results.hardware import SAMPLING, folder
from sim.session import run
from sim.workload import make_requests

NUMBERS = (("fixed", 8), ("fixed", 16), ("block", 8), ("block", 16))
TOP = 5
"""Logits that are shown."""


def side_by_side(names: int) -> dict:
    """Generate ``names`` names on the gateware, keep every tap, and look at all three models."""
    design = make_design(Target())
    requests = make_requests(design.checkpoint, SAMPLING, names)
    outcome = run(design, build(design, "verilator"), requests, folder("sides"), keep=True)
    steps = {(s.sequence, s.position): s for r in requests for s in generate(design.plan, r)}
    hardware = {
        (token, name): row for name, rows in outcome.checker.kept.items() for token, _, row in rows
    }
    record = {}
    for request in requests:
        taken = [s.token for key, s in steps.items() if key[0] == request.sequence]
        record |= float_record(design.checkpoint, request.sequence, taken)
    said = [payload for _, payload in outcome.tokens]
    return {
        "stages": stage_rows(design, steps, hardware, record),
        "example": example(design, steps, hardware, record, said),
        "names": [name_row(design, r, steps, said) for r in requests],
        "tokens": outcome.checker.tokens,
        "compared": outcome.checker.compared,
        "mismatches": 0,  # a run with one ends at the first
    }


def float_record(checkpoint: Checkpoint, number: int, tokens: list[int]) -> dict:
    """Results of the float model on ``tokens``: ((sequence, position), layer, stage) -> array."""
    record: dict = {}
    cache = Cache()
    for token in tokens:
        step(checkpoint, token, cache, record)
    return {((number, t), layer or 0, stage): x for (t, layer, stage), x in record.items()}


def in_float(design: Design, name: str, mantissa: np.ndarray, exponent: int) -> np.ndarray:
    """A tap's integers as the numbers that the float model has at that place.

    Queries and scores count powers of two (a factor of log2(e), and for queries 1 / sqrt(d_head));
    attention weights are not normalised; the integer model keeps both [slots, heads].
    """
    config = design.checkpoint.config
    x = np.ldexp(mantissa.astype(np.float64), exponent)
    if name == "q":
        return x * math.log(2) * math.sqrt(config.d_head)
    if name.startswith("attention."):
        x = x.reshape(-1, config.n_head).T
        return x * math.log(2) if name.endswith("scores") else x / x.sum(axis=1, keepdims=True)
    return x


FLOAT_NAMES = {"attention.scores": "scores", "attention.weights": "softmax"}
"""Taps that the float model calls otherwise."""


def stage_rows(design: Design, steps: dict, hardware: dict, record: dict) -> list[dict]:
    """For each tap, over all tokens: elements, differences, and the largest magnitude."""
    rows: dict[tuple[int, str], dict] = {}
    for token, item in steps.items():
        for (layer, name), vector in item.taps.items():
            exact = record.get((token, layer, FLOAT_NAMES.get(name, name)))
            measured = hardware.get((token, (layer, name)))
            if exact is None or measured is None:
                continue
            row = rows.setdefault(
                (layer, name),
                {"name": name, "elements": 0, "mismatches": 0, "peak": 0.0, "float": 0.0},
            )
            integer = vector.mantissa.ravel()
            mine = in_float(design, name, integer, vector.exponent)
            row["elements"] += integer.size
            row["mismatches"] += int((integer != measured).sum())
            row["peak"] = max(row["peak"], float(np.abs(exact).max()))
            row["float"] = max(row["float"], float(np.abs(mine - exact).max()))
    return list(rows.values())


def example(design: Design, steps: dict, hardware: dict, record: dict, said: list[dict]) -> dict:
    """One token looked at closely: the last of the first name."""
    tokenizer = tokenizer_for(design.checkpoint)
    last = max(token for token in steps if token[0] == 0)
    context = ["start", *(tokenizer.piece(steps[0, t].token) for t in range(1, last[1] + 1))]

    def three(token, name: str) -> dict:
        vector, key = steps[token].taps[0, name], (token, 0, FLOAT_NAMES.get(name, name))
        values = in_float(design, name, vector.mantissa.ravel(), vector.exponent)
        measured = hardware[token, (0, name)]
        return {
            "float": record[key].astype(float).tolist(),
            "integer": values.tolist(),
            "hardware": in_float(design, name, measured, vector.exponent).tolist(),
            "mantissa": vector.mantissa.ravel().tolist(),
            "measured": measured.tolist(),
            "exponent": vector.exponent,
        }

    logits = three(last, "logits")
    order = np.argsort(-np.array(logits["float"]), kind="stable")[:TOP]
    measured_sample = [payload["token"] for payload in said if payload["sequence"] == 0][-1]
    vocabulary = design.checkpoint.vocabulary
    return {
        "position": last[1],
        "context": context,
        "heads": design.checkpoint.config.n_head,
        "embed": three((0, 0), "embed"),
        "scores": three(last, "attention.scores"),
        "softmax": three(last, "attention.weights"),
        "logits": logits,
        "top": [{"id": int(k), "text": vocabulary[k]} for k in order],
        "sampled": vocabulary[steps[last].sampled],
        "measured_sample": vocabulary[measured_sample],
    }


def name_row(design: Design, request: Request, steps: dict, said: list[dict]) -> dict:
    """A name as each of the three models generates it on its own.

    ``lead``: where float and hardware part, by how much (in logits, noise included) the float model
    preferred its own choice; None where they agree.
    """
    tokenizer = tokenizer_for(design.checkpoint)
    integer = [s.sampled for key, s in steps.items() if key[0] == request.sequence]
    hardware = [p["token"] for p in said if p["sequence"] == request.sequence]
    exact, races = float_name(design.checkpoint, request)
    pairs = zip(exact, hardware, races, strict=False)
    leads = [float(race[mine] - race[other]) for mine, other, race in pairs if mine != other]
    by = {"float": exact, "integer": integer, "hardware": hardware}
    names = {model: tokenizer.decode(ids) for model, ids in by.items()}
    return names | {"lead": leads[0] if leads else None}


def float_name(checkpoint: Checkpoint, request: Request) -> tuple[list[int], list[np.ndarray]]:
    """What the float model samples with the noise of the integer model; logits plus noise."""
    cache, token, sampled, races = Cache(), request.prompt[0], [], []
    scale = request.noise_scale / 2**TEMPERATURE_FRACTION / 2**tables.GUMBEL_FRACTION
    count = min(request.count, checkpoint.config.n_ctx)
    while len(sampled) < count and (not sampled or token != request.stop):
        position = cache.position
        logits = step(checkpoint, token, cache)
        words = noise.random_words(request.seed, request.sequence, position, len(logits))
        races.append(logits + scale * noise.gumbel_noise(words))
        token = int(np.argmax(races[-1]))
        sampled.append(token)
    return sampled, races


def accuracy_rows(count: int) -> list[dict]:
    """Accuracy of microgpt on ``count`` held-out names with each kind of number."""
    checkpoint = zoo.load("microgpt")
    held_out = data.split(data.load_names())[1]
    chosen = np.linspace(0, len(held_out) - 1, min(count, len(held_out))).round().astype(int)
    tokenizer, n_ctx = tokenizer_for(checkpoint), checkpoint.config.n_ctx
    texts = [sequence(tokenizer, held_out[k], n_ctx) for k in chosen]
    rows = []
    for numbers, bits in NUMBERS:
        plan = quantize(checkpoint, Options(numbers, bits))
        show = f"weft: {numbers} numbers, {bits}-bit weights"
        result = measure(
            checkpoint, plan, texts, lambda x, s=show: tqdm(x, desc=s, leave=False, disable=None)
        )
        rows.append({"numbers": numbers, "weight_bits": bits} | result.to_dict())
    return rows

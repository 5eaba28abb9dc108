"""Section 2: hardware against the integer model, and the integer model against mathematics."""

from __future__ import annotations

import math

import numpy as np

from sim.results.markdown import count, rounded, signed, table

COLUMNS = ("float", "integer", "hardware")
HEADINGS = (">float32", ">integer", ">hardware")


def correctness(found: dict) -> str:
    """The section."""
    sides = found["sides"]
    example = sides["example"]
    names = sides["names"]
    last = example["position"]
    same = sum(row["integer"] == row["hardware"] for row in names)
    close = sum(row["float"] == row["hardware"] for row in names)
    elements = sum(row["elements"] for row in sides["stages"])
    wrong = sum(row["mismatches"] for row in sides["stages"])
    return f"""## 2. Correctness

Two questions, asked apart. Does the hardware compute what the integer model says? It must, bit
for bit. How far is the integer model from real arithmetic? That is the price of small numbers.

### Bit for bit

Every value at every stage (and inside attention: scores and weights) is recorded in the simulator
and compared with the integer model; a run ends at the first difference, naming stage, element and
cycle.

{runs_table(found)}
### One token, looked at closely

The name is *{names[0]["hardware"]}*, drawn with temperature 0.5. All hardware values below are
recorded taps; integers are shown as the numbers that they stand for. The float model is given the
same tokens.

**The embedding of token 0** (start of text, position 0): mantissas times
2^{example["embed"]["exponent"]}.

{embed_table(example)}
Largest difference: float to integer {rounded(largest(example["embed"], "float"))}, integer to
hardware {rounded(largest(example["embed"], "hardware"))}.

**Attention of head 0 at position {last}**: what the token compares itself with. The hardware
holds a score as a power of two (2^s, not e^s) and leaves the weights undivided until after the
weighted sum; both are brought to the form of the float model here.

{attention_table(example)}
Largest difference over all {example["heads"]} heads: scores
{rounded(largest(example["scores"], "float"))} (float to integer),
{rounded(largest(example["scores"], "hardware"))} (integer to hardware); softmax
{rounded(largest(example["softmax"], "float"))} and
{rounded(largest(example["softmax"], "hardware"))}.

**The logits at position {last}**, the largest by the float model:

{logits_table(example)}
Largest difference over all {len(example["logits"]["float"])}: float to integer
{rounded(largest(example["logits"], "float"))}, integer to hardware
{rounded(largest(example["logits"], "hardware"))}. The next token: {shown(example["sampled"])}
says the integer model, {shown(example["measured_sample"])} the hardware.

### Every stage, over {len(names)} names

{count(elements)} elements, {wrong} mismatches between hardware and integer model. The largest
difference between integer and float model stands beside the largest value there. Weights have 8
bits and activations 16, so the error is mostly that of the weights.

{stage_table(sides)}
### Whole names

Each model generates on its own, with the same noise. Hardware and integer model agree on {same} of
{len(names)}; the float model on {close}. {names_sentence(len(names) - close)}

{names_table(names)}
### Accuracy on held-out names

microgpt on {count(found["accuracy"][0]["sequences"])} names
({count(found["accuracy"][0]["tokens"])} predicted tokens) that it was not trained on. NLL: mean
negative log-likelihood in nats a token, lower is better. KL: how far the integer model's
distribution is from the float one. Top-1: how often both find the same letter most likely.
`fixed`: every value has a static format; `block`: every vector brings its exponent along.

{accuracy_table(found)}"""


def compared_runs(found: dict) -> list[dict]:
    """All runs in which hardware and integer model were compared."""
    verilator = {"engine": "verilator"}
    sides = {"name": f"microgpt, folded: {len(found['sides']['names'])} names"}
    long = {"name": f"{found['scaling']['model']}, folded"}
    return [
        *(verilator | run for run in found["runs"]),
        verilator | sides | found["sides"],
        *({"name": "microgpt, folded"} | row for row in found["engines"] if row["recorded"]),
        *(verilator | long | row for row in found["scaling"]["rows"]),
    ]


def runs_table(found: dict) -> str:
    """What was compared: a row a run, and the sums."""
    runs = compared_runs(found)
    keys = ("tokens", "compared", "mismatches")
    rows = [(run["name"], run["engine"], *(count(run[key]) for key in keys)) for run in runs]
    rows.append(("**all**", "", *(f"**{count(sum(run[key] for run in runs))}**" for key in keys)))
    return table(("configuration", "engine", ">tokens", ">values compared", ">mismatches"), rows)


def largest(three: dict, of: str) -> float:
    """The largest difference of ``of`` to the integer model."""
    return float(np.abs(np.subtract(three[of], three["integer"])).max())


def embed_table(example: dict) -> str:
    """A row an element."""
    embed = example["embed"]
    rows = [
        (k, *(f"{embed[c][k]:.5f}" for c in COLUMNS), embed["mantissa"][k], embed["measured"][k])
        for k in range(len(embed["float"]))
    ]
    headings = (">element", *HEADINGS, ">integer mantissa", ">hardware mantissa")
    return table(headings, rows)


def attention_table(example: dict) -> str:
    """Head 0: a row a position attended to."""
    scores, softmax = example["scores"], example["softmax"]
    rows = []
    for k, piece in enumerate(example["context"]):
        row = [k, shown(piece)]
        row += [f"{flat(scores[c])[k]:.4f}" for c in COLUMNS]
        row += [f"{flat(softmax[c])[k]:.4f}" for c in COLUMNS]
        rows.append(row)
    headings = (">position", "token", *(f"{h} score" for h in HEADINGS))
    return table((*headings, *(f"{h} softmax" for h in HEADINGS)), rows)


def flat(values: list) -> list[float]:
    """The first head of [heads, slots]."""
    return values[0]


def logits_table(example: dict) -> str:
    """The most likely tokens."""
    rows = [
        (shown(item["text"]), *(f"{example['logits'][c][item['id']]:.4f}" for c in COLUMNS))
        for item in example["top"]
    ]
    return table(("token", *HEADINGS), rows)


def shown(text: str) -> str:
    """A token as code, so that blanks and brackets show."""
    return f"`{text}`"


def stage_table(sides: dict) -> str:
    """A row a tap."""
    rows = [
        (
            row["name"],
            count(row["elements"]),
            row["mismatches"],
            rounded(row["float"]),
            rounded(row["peak"]),
        )
        for row in sides["stages"]
    ]
    headings = ("stage", ">elements", ">mismatches", ">float to integer, max", ">largest value")
    return table(headings, rows)


def names_table(names: list[dict]) -> str:
    """A row a name."""
    rows = [(row["float"], row["integer"], row["hardware"], led(row["lead"])) for row in names]
    return table(("float32", "integer", "hardware", "float32 and hardware"), rows)


def led(lead: float | None) -> str:
    """How clear the float model's choice was where the names part."""
    return "same" if lead is None else f"part at a choice with a lead of {rounded(lead)}"


def names_sentence(different: int) -> str:
    """Why some names differ."""
    if not different:
        return "No rounding was large enough to change a letter here."
    return (
        "The last column tells by how much (in units of a logit) the float model preferred its own "
        "letter where the names part; from there on they go their own ways."
    )


def accuracy_table(found: dict) -> str:
    """A row a kind of number and width of weights."""
    rows = [
        (
            row["numbers"],
            row["weight_bits"],
            f"{row['nll_float']:.4f}",
            f"{row['nll_integer']:.4f}",
            signed(row["nll_difference"], 5),
            f"{math.exp(row['nll_integer']):.3f}",
            rounded(row["kl"]),
            f"{row['top1']:.2%}",
            ", ".join(row["saturated"]) or "none",
        )
        for row in found["accuracy"]
    ]
    headings = (
        "numbers", ">weight bits", ">NLL float", ">NLL integer", ">difference", ">perplexity",
        ">KL", ">top-1", "overflows",
    )  # fmt: skip
    return table(headings, rows)

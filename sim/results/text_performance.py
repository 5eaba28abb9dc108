"""Section 1: cycles, bounds, memory, and the same model in software and elsewhere."""

from __future__ import annotations

from sim.results.anchors import C_TOKENS, DEMO, RTL, Anchor
from sim.results.markdown import bits, count, table

CLOCK_HZ = 100_000_000
"""Clock that tokens a second are told at, whatever the board."""

CLOCK = f"{CLOCK_HZ // 1_000_000} MHz, assumed"


HELD = ("weights", "tables", "parameters", "cache")
"""What the hardware holds."""


def performance(found: dict, figure: str) -> str:
    """The section."""
    first = found["runs"][0]
    stages = first["timeline"]["stages"]
    products = sum(stage["bound"] for stage in stages)
    return f"""## 1. Performance

### Cycles a token

From accepting a token to having sampled the next one, one sequence at a time. microgpt generates
whole contexts (no stop token), so that every position counts equally; attention grows with the
position, which is why the last token takes longest. The *bound* is the number of products a token
needs, divided by the multipliers: no machine with so many multipliers can take fewer cycles.
*Utilisation* is bound / cycles. Tokens a second are for one sequence at a clock of
{CLOCK_HZ / 1e6:.0f} MHz, which is **assumed**: boards have clocks of their own.

{cycle_table(found)}
![the stages of one token in time]({figure})

Each bar runs from the moment a stage has all its inputs to the last element of its answer; the
dark part is what its products need on the multipliers that its unit may use. Pale parts are
latency (filling pipelines, a norm that must see its whole vector before it can answer) and
waiting: q, k and v start together and take turns on one array. In this token the products alone
need {count(products, 1)} of {stages[-1]["end"]} cycles.

The pipelined schedule gives every stage a unit and a few multipliers of its own. A single sequence
uses one stage after the other, so most of them rest: it is made for many sequences in flight
(`STREAMS=`).

### Memory

Bits that the hardware holds, padding included. Weights and embeddings without padding in
brackets. Tables are functions (exp2, reciprocal, root, the Gumbel noise of sampling); the cache
holds keys and values.

{memory_table(found)}
The float32 model in NumPy, measured here: bytes of its weights, and the most that it allocates
beside them (cache, activations and what NumPy copies) while it takes in one sequence.

{software_memory_table(found)}
### Beside software on this machine

The float32 model (`golden/reference.py`) and the integer model (`golden/generate.py`), one token
after the other with a cache of keys and values, on {found["machine"]["cpu"]}. Both are written to
be read, not to be fast: what they measure is mostly the overhead of NumPy on small vectors. The
float model is handed its tokens and stops at the logits; the integer model and the hardware also
sample.

{software_table(found)}
Optimised software is another matter: microGPT in C with NEON makes {c_sentence()} on one core
(published). Weft at {CLOCK_HZ / 1e6:.0f} MHz does not reach that with one sequence.

### Beside other systems

{anchor_table(found)}
{demo_sentence(found)}
TALOS-V2 does not equal its own Python reference, and gateGPT was checked on 12 tokens; how Weft
is checked is section 2.

### Speed of simulation

The model microgpt, folded, in cycles a second of wall-clock time, everything included from the
start of the simulator to its last line.

{engine_table(found)}"""


def cycle_table(found: dict) -> str:
    """A row a configuration."""
    headings = (
        "configuration", ">multipliers", ">first", ">mean", ">max", ">bound", ">utilisation",
        f">tokens/s at {CLOCK}",
    )  # fmt: skip
    return table(
        headings,
        [
            (
                run["name"],
                run["multipliers"],
                count(run["cycles"]["first"]),
                count(run["cycles"]["mean"], 1),
                count(run["cycles"]["max"]),
                count(run["bound"], 1),
                f"{run['utilisation']:.1%}",
                count(CLOCK_HZ / run["throughput"]),
            )
            for run in found["runs"]
        ],
    )


def memory_table(found: dict) -> str:
    """A row a configuration."""
    rows = []
    for run in found["runs"]:
        held = run["memory"]
        weights = f"{bits(held['weights'])} ({bits(held['packed_weights'])})"
        others = (bits(held[key]) for key in HELD[1:])
        rows.append((run["name"], weights, *others))
    return table(("configuration", ">weights", ">tables", ">parameters", ">cache"), rows)


def software_memory_table(found: dict) -> str:
    """The float32 model beside the smallest hardware of each model, in bytes."""
    rows = []
    for item in found["software"]:
        held = [run["memory"] for run in found["runs"] if run["model"] == item["model"]]
        least = min(held, key=lambda memory: sum(map(memory.get, HELD)))
        words, rest = least["weights"], sum(least[key] for key in HELD[1:])
        rows += [
            (
                item["model"],
                "float32, NumPy",
                *map(count, (item["weight_bytes"], item["working_bytes"])),
            ),
            (item["model"], "hardware", count(words / 8), count(rest / 8)),
        ]
    return table(("model", "what computes", ">weights (bytes)", ">beside them (bytes)"), rows)


def software_table(found: dict) -> str:
    """Both NumPy models and the fastest gateware of each model."""
    rows = []
    for item in found["software"]:
        runs = [run for run in found["runs"] if run["model"] == item["model"]]
        best = min(runs, key=lambda run: run["throughput"])
        speed = CLOCK_HZ / best["throughput"]
        rows += [
            (item["model"], "float32, NumPy", count(item["float"]), "measured here"),
            (item["model"], "integer, NumPy", count(item["integer"]), "measured here"),
            (
                item["model"],
                f"hardware ({best['name'].removeprefix(item['model'] + ', ')})",
                count(speed),
                f"cycles measured here, {CLOCK}: {speed / item['float']:,.0f} × float32",
            ),
        ]
    return table(("model", "what computes", ">tokens/s", "origin"), rows)


def anchor_table(found: dict) -> str:
    """Weft's runs between the systems of others."""
    rows = [
        (
            f"Weft, {run['schedule']}, {run['multipliers']} multipliers",
            run["model"],
            count(run["cycles"]["first"]),
            count(run["cycles"]["mean"], 1),
            count(run["cycles"]["max"]),
            CLOCK,
            "measured here",
        )
        for run in found["runs"]
        if run["numbers"] == "fixed"
    ]
    rows += [anchor_row(anchor) for anchor in (*RTL, DEMO)]
    headings = ("system", "model", ">first", ">mean", ">max", "clock", "origin of the cycles")
    return table(headings, rows)


def anchor_row(anchor: Anchor) -> tuple:
    """The row of another system."""
    cycles = (count(x) for x in (anchor.first, anchor.mean, anchor.last))
    return anchor.name, anchor.model, *cycles, anchor.clock, anchor.origin


def demo_sentence(found: dict) -> str:
    """The software demonstration beside the same shape in hardware."""
    runs = [run for run in found["runs"] if run["model"] == "ailang"]
    if not runs:
        return ""
    mean = runs[0]["cycles"]["mean"]
    return f"""The software row is a program of one layer, 32 wide, with 1,000 words, that uses no
tensors and counts every step: {DEMO.mean / 1e6:.2f} M cycles a token. Weft's `ailang` has that
shape (with other weights) and takes {count(mean)}: {DEMO.mean / mean:,.0f} times fewer cycles. A
processor's clock is faster than an FPGA's, which takes back part of that factor.
"""


def c_sentence() -> str:
    """Published rates of C."""
    return " and ".join(f"{rate / 1e6:.2f} M tokens/s ({cpu})" for cpu, rate in C_TOKENS.items())


def engine_table(found: dict) -> str:
    """A row an engine."""
    rows = [
        (
            row["engine"],
            "everything, and compared" if row["recorded"] else "only tokens",
            count(row["tokens"]),
            count(row["cycles"]),
            f"{row['seconds']:.2f}",
            count(row["cycles"] / row["seconds"]),
        )
        for row in found["engines"]
    ]
    return table(("engine", "recorded", ">tokens", ">cycles", ">seconds", ">cycles/s"), rows)

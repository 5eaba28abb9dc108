"""Traffic that a core gives its memory: traces for the driver, and how their answers are used.

Addresses and counts are in beats.  ``traffic.cpp`` says what the lines of a trace mean.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from sim.memory.models import parameters

LINEAR = 1_000_000
"""Beats of the pattern whose rate is the bound of a memory."""

SHORT = 100_000
RECORDS = 3_000


@dataclass(frozen=True)
class Consumer:
    """The side that asks.

    Parameters
    ----------
    credit : int
        Beats that may be asked for and not yet used.
    beats, pause : int
        After so many beats it uses none for so many cycles; no pause if 0.
    seed : int
        Above 0: commands and write data are held back at random.
    """

    credit: int = 512
    beats: int = 0
    pause: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Pattern:
    """A trace and its consumer."""

    name: str
    trace: tuple[str, ...]
    consumer: Consumer = Consumer()


@dataclass(frozen=True)
class Model:
    """What a decoder reads and writes for one token, in beats of a port.

    Parameters
    ----------
    layers, kv_heads : int
        Of the model.
    layer, head : int
        Beats of the weights of a layer, and of what follows the last layer.
    key, value : int
        Beats of a record.
    slots, position : int
        Records that a region has; tokens that came before.
    """

    layers: int
    kv_heads: int
    layer: int
    head: int
    key: int
    value: int
    slots: int = 256
    position: int = 64


SMOLLM2 = Model(layers=30, kv_heads=3, layer=138_384, head=1_775_688, key=9, value=8)
"""SmolLM2-135M on Arty: Q4_1 weights, head in INT8, 16-bit keys and values of 64 elements."""

STORIES15M = Model(layers=6, kv_heads=6, layer=250_608, head=2_320_144, key=25, value=24)
"""TinyStories 15M on ULX3S: INT8 weights, 16-bit keys and values of 48 elements."""

MODELS = {"arty": ("smollm2", SMOLLM2), "ulx3s": ("stories15m", STORIES15M)}


def token(model: Model) -> Iterator[str]:
    """The trace of one token: weights in order, and the cache where attention wants it."""
    cache = model.layers * model.layer + model.head
    region = model.slots * (model.key + model.value)
    for layer in range(model.layers):
        heads = [cache + (layer * model.kv_heads + h) * region for h in range(model.kv_heads)]
        values = [head + model.slots * model.key for head in heads]
        yield f"read {layer * model.layer} {model.layer // 4}"  # q, k, v
        yield from (f"write {head + model.position * model.key} {model.key}" for head in heads)
        yield from (f"write {at + model.position * model.value} {model.value}" for at in values)
        for head, at in zip(heads, values, strict=True):
            yield f"read {head} {(model.position + 1) * model.key}"
            yield f"read {at} {(model.position + 1) * model.value}"
        rest = model.layer - model.layer // 4
        yield f"read {layer * model.layer + model.layer // 4} {rest}"
    yield f"read {model.layers * model.layer} {model.head}"


def records(memory: str, beats: int, alone: bool) -> Iterator[str]:
    """Single records anywhere in a memory; ``alone``: each is answered before the next."""
    numbers = random.Random(1)
    given = parameters(memory)
    most = given["row_beats"] * given["banks"] * given["rows"] - beats
    for _ in range(RECORDS):
        yield f"read {numbers.randrange(most)} {beats}"
        if alone:
            yield "wait 0"


def mixed(beats: int, segments: int = RECORDS, seed: int = 2) -> Iterator[str]:
    """Reads and writes that meet one another, in a few rows of several banks."""
    numbers = random.Random(seed)
    for _ in range(segments):
        kind = numbers.choice(("read", "write", "read", "write", "wait"))
        count = numbers.randint(1, 20)
        where = f"{numbers.randrange(beats)} {count}"
        yield f"wait {8 * count}" if kind == "wait" else f"{kind} {where}"


def patterns(memory: str) -> list[Pattern]:
    """The patterns by which the models of a memory are compared; the first gives its bound."""
    name, model = MODELS[memory]
    short = (f"read 0 {SHORT}",)
    return [
        Pattern("linear", (f"read 0 {LINEAR}",)),
        Pattern(f"a token of {name}", tuple(token(model))),
        Pattern("linear, pauses, credit 512", short, Consumer(512, 1000, 600)),
        Pattern("linear, pauses, credit 1024", short, Consumer(1024, 1000, 600)),
        Pattern("records anywhere", tuple(records(memory, model.key, alone=False))),
        Pattern("records one at a time", tuple(records(memory, model.key, alone=True))),
        Pattern("reads and writes", tuple(mixed(20_000))),
        Pattern("reads and writes, held back", tuple(mixed(20_000)), Consumer(seed=3)),
    ]

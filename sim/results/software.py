"""How fast the two NumPy models are on this machine, one token after the other."""

from __future__ import annotations

import os
import platform
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from golden.generate import Request, generate
from golden.model import Checkpoint
from golden.reference import Cache, step
from sim.build import Target, make_design
from sim.results.hardware import full_contexts

WORDS = 32
"""Tokens of a sequence of a model without an end."""


def measure(model: str, seconds: float) -> dict:
    """Tokens a second of the float and of the integer model.

    Both are fed token by token with a cache of keys and values.  The integer model also samples;
    the float model is given the same tokens and stops at the logits.
    """
    design = make_design(Target(model))
    (request,) = full_contexts(design, 1, WORDS if design.plan.n_ctx is None else None)
    tokens = [item.token for item in generate(design.plan, request)]
    return {
        "model": model,
        "float": rate(lambda: feed(design.checkpoint, tokens), len(tokens), seconds),
        "integer": rate(lambda: take(design.plan, request), len(tokens), seconds),
        "weight_bytes": sum(tensor.nbytes for tensor in design.checkpoint.tensors.values()),
        "working_bytes": working_set(lambda: feed(design.checkpoint, tokens)),
    }


def feed(checkpoint: Checkpoint, tokens: list[int]) -> None:
    """The float model, token by token."""
    cache = Cache()
    for token in tokens:
        step(checkpoint, token, cache)


def take(plan, request: Request) -> None:
    """The integer model, token by token."""
    for _ in generate(plan, request):
        pass


def working_set(work: Callable[[], None]) -> int:
    """Bytes that ``work`` holds at its peak, of what it allocates itself: its inputs do not count.

    NumPy tells Python of its arrays. A first run pays for what is kept for ever, such as caches.
    """
    work()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def rate(work: Callable[[], None], tokens: int, seconds: float) -> float:
    """Tokens a second of ``work``: the best of all repetitions within ``seconds``, at least 3."""
    work()
    best, count, started = float("inf"), 0, time.perf_counter()
    while count < 3 or time.perf_counter() - started < seconds:
        before = time.perf_counter()
        work()
        best, count = min(best, time.perf_counter() - before), count + 1
    return tokens / best


def cpu_model(info: Path = Path("/proc/cpuinfo")) -> str:
    """What the processor calls itself."""
    if info.is_file():
        for line in info.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip().lower() == "model name":
                return " ".join(value.split())
    return platform.processor() or platform.machine()


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()

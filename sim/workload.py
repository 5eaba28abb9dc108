"""What a simulation is asked to do: requests from a prompt, and as rows for the core's port."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from golden.errors import OptionError, WeftError
from golden.generate import Request
from golden.model import Checkpoint
from golden.noise import noise_scale
from golden.tokenizer import prompt_ids, tokenizer_for
from golden.words import counted, shown

ENDLESS_TOKENS = 32
"""Tokens of a sequence when neither the model nor the user sets an end."""

COOLEST, HOTTEST = 1 / 64, 8.0
"""Temperatures that the noise scale resolves; 0 is greedy."""

TEMPERATURES = f"0 (greedy) or 1/64 to {HOTTEST:g}"

REQUEST_DEPTH = 1 << 12
"""Prompt tokens that one run can ask for, over all its sequences."""


@dataclass(frozen=True)
class Sampling:
    """How to sample: temperature (0: greedy, else 1/64 to 8) and seed (32 bits)."""

    temperature: float = 0.5
    seed: int = 42

    def __post_init__(self):
        greedy = self.temperature == 0
        if not greedy and not COOLEST <= self.temperature <= HOTTEST:
            raise OptionError("temperature", f"is {self.temperature:g}; expected {TEMPERATURES}")
        if not 0 <= self.seed < 1 << 32:
            raise OptionError("seed", f"is {self.seed}; expected 0 to {(1 << 32) - 1}")


def make_requests(
    checkpoint: Checkpoint,
    sampling: Sampling,
    names: int,
    prompt: str = "",
    tokens: int | None = None,
    start: int = 0,
) -> list[Request]:
    """``names`` sequences that all start with ``prompt``; sequence k has number k.

    ``tokens`` limits what is sampled in each; without it a sequence ends by itself or with its
    context.  ``start`` tokens of the prompt were taken in before.  Raises WeftError if the prompt
    has unknown characters or does not fit the context, if it has no more tokens than ``start``, or
    if there are more prompts than one run takes.
    """
    if names < 1:
        raise OptionError("names", f"is {names}; expected at least 1")
    if tokens is not None and tokens < 1:
        raise OptionError("tokens", f"is {tokens}; expected at least 1")
    tokenizer = tokenizer_for(checkpoint)
    ids = tuple(prompt_ids(tokenizer, prompt))
    n_ctx = checkpoint.config.n_ctx
    if n_ctx is not None and len(ids) > n_ctx:
        raise WeftError(
            f"the prompt {shown(prompt)} has {counted(len(ids), 'token')} with the start token; "
            f"this model has {counted(n_ctx, 'position')}"
        )
    if start and names > 1:
        problem = f"is {start}, and {names} texts share one memory: expected 0, or a single text"
        raise OptionError("start", problem)
    if start >= len(ids):
        raise OptionError(
            "start",
            f"is {start}; the prompt has {counted(len(ids), 'token')}, and the last one is "
            "simulated in any case: expected fewer",
        )
    if names * len(ids) > REQUEST_DEPTH:
        raise OptionError(
            "names",
            f"is {names:,}; expected at most {REQUEST_DEPTH // len(ids):,} with a prompt of "
            f"{counted(len(ids), 'token')}, start token included",
        )
    return [
        Request(
            prompt=ids,
            count=tokens or n_ctx or ENDLESS_TOKENS,
            sequence=k,
            seed=sampling.seed,
            noise_scale=noise_scale(sampling.temperature),
            stop=tokenizer.stop,
            start=start,
        )
        for k in range(names)
    ]


def request_rows(requests: Sequence[Request]) -> Iterator[dict]:
    """The beats of the core's ``requests`` port, one a prompt token (hdl.generator)."""
    for request in requests:
        start = {"start": request.start} if request.start else {}
        for k, token in enumerate(request.prompt[request.start :], request.start):
            yield {
                **start,
                "token": token,
                "first": int(k == request.start),
                "last": int(k == len(request.prompt) - 1),
                "count": request.count,
                "seed": request.seed,
                "sequence": request.sequence,
                "noise_scale": request.noise_scale,
                "stop": request.stop or 0,
                "has_stop": int(request.stop is not None),
            }

"""Many tokens of a sequence at once: the integer model, vectorised over positions.

The arithmetic is that of golden/stages, on arrays with a row a token and an exponent a row.  Every
value equals that of :func:`golden.generate.run_token`, which can go on from the same cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from golden.errors import WeftError
from golden.generate import EXECUTE, Request, run_section
from golden.numbers import Vector
from golden.plan import Plan
from golden.stage import Sample
from golden.stages import Context, Run, causal, sample

RUN = 64
"""Tokens that are taken in at once: enough to keep products of matrices busy, and few enough that
logits of a large vocabulary are soon allocated."""


def _sampled(stage: Sample, context: Run, logits: Vector) -> Vector:
    """The next token after every token [tokens, 1]: noise is a function of the position."""
    places = zip(context.token.tolist(), context.position.tolist(), strict=True)
    shared = (context.sequence, context.seed, context.noise_scale)
    rows = [
        sample.execute(stage, Context(*place, *shared), token_row(logits, row)).mantissa
        for row, place in enumerate(places)
    ]
    return Vector(np.stack(rows), 0)


EXECUTE_RUN = EXECUTE | {"attention": causal.execute, "sample": _sampled}


def token_row(value: Vector, row: int) -> Vector:
    """The part of a run's value that belongs to its token number ``row``."""
    exponent = value.exponent
    own = exponent if np.ndim(exponent) == 0 else int(exponent[row, 0])
    return Vector(value.mantissa[row], own)


def cache_before(plan: Plan, request: Request) -> dict:
    """Keys and values of the tokens before ``request.start``: what ``generate`` goes on from."""
    sequence = TokenSequence(plan)
    sequence.take(request.prompt[: request.start])
    return sequence.cache


class TokenSequence:
    """A sequence, taken in from position 0 on, as many tokens at a time as there are.

    Parameters
    ----------
    plan: the model.
    record: called with layer, name and value of every run, if given; see :func:`token_row`.
    settings: ``sequence``, ``seed`` and ``noise_scale`` of a Context.

    Members
    -------
    position: tokens taken in.  cache: as in a Context, so that a token can go on from here.
    saturated: (layer, name) of the stages that overflowed.
    """

    def __init__(self, plan: Plan, record: Callable | None = None, **settings: int):
        self.plan, self.position = plan, 0
        self.cache, self.saturated = {}, set()
        self._record, self._settings = record, settings

    def take(self, tokens: Sequence[int]) -> None:
        """Take tokens in; nothing is predicted."""
        for _ in self._layers(tokens):
            pass

    def logits(self, tokens: Sequence[int]) -> Iterator[Vector]:
        """Take tokens in; yield the logits after them, run by run [up to RUN, n_vocab]."""
        name = self.plan.epilogue.stages[-1].inputs[0]
        kept = {}

        def record(layer: int, tapped: str, value: Vector) -> None:
            kept[tapped] = value if tapped == name else None
            if self._record is not None:
                self._record(layer, tapped, value)

        for context, value in self._layers(tokens):
            context.record = record
            run_section(self.plan.epilogue, context, value, EXECUTE_RUN)
            self.saturated |= context.saturated
            yield kept[name]

    def _layers(self, tokens: Sequence[int]) -> Iterator[tuple[Run, Vector]]:
        """Prologue and layers, run by run; yields what the epilogue reads."""
        tokens = np.asarray(tokens, dtype=np.int64)
        self._check(tokens)
        for start in range(0, len(tokens), RUN):
            part = tokens[start : start + RUN]
            positions = np.arange(self.position, self.position + len(part))
            context = Run(part, positions, cache=self.cache, record=self._record, **self._settings)
            value = run_section(self.plan.prologue, context, part, EXECUTE_RUN)
            for context.layer, section in enumerate(self.plan.layers):
                value = run_section(section, context, value, EXECUTE_RUN)
            context.layer = 0
            self.position += len(part)
            self.saturated |= context.saturated
            yield context, value

    def _check(self, tokens: np.ndarray) -> None:
        unknown = tokens[(tokens < 0) | (tokens >= self.plan.n_vocab)]
        if unknown.size:
            raise WeftError(
                f"token {unknown[0]} is not in the vocabulary; expected 0 to "
                f"{self.plan.n_vocab - 1}"
            )
        count, room = self.position + len(tokens), self.plan.n_ctx
        if room is not None and count > room:
            raise WeftError(f"the sequence has {count} tokens; this model has positions for {room}")

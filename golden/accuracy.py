"""How far the integer model is from the float model: likelihood, divergence, agreement.

Bit-exactness compares hardware with the integer model; this compares the integer model with
mathematics.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from golden import calibrate
from golden.errors import WeftError
from golden.graph import from_checkpoint
from golden.model import Checkpoint
from golden.plan import Plan
from golden.reference import sequence_logits
from golden.sequence import TokenSequence

ROWS = 16
"""Tokens that are compared at a time: of a large vocabulary, more take long to allocate."""

SAMPLE_SEED = 11
SAMPLE_LENGTH = 9
"""Tokens of a sampled sequence: eight to take in, each followed by the one to predict."""


@dataclass(frozen=True)
class Accuracy:
    """Means over ``tokens`` predicted tokens of ``sequences`` texts.

    Parameters
    ----------
    sequences, tokens: how many texts, and tokens predicted in them.
    nll_float, nll_integer: negative log-likelihood in nats a token.
    nll_difference: integer - float.
    kl: divergence of the integer from the float distribution, in nats a token.
    top1: share of tokens after which both models find the same successor most likely.
    saturated: stages that overflowed, as golden.plan.Plan.place names them.
    """

    sequences: int
    tokens: int
    nll_float: float
    nll_integer: float
    nll_difference: float
    kl: float
    top1: float
    saturated: tuple[str, ...]

    @property
    def perplexity(self) -> tuple[float, float]:
        """Of the float and of the integer model: e to the power of the loss."""
        return math.exp(self.nll_float), math.exp(self.nll_integer)

    def to_dict(self) -> dict:
        """All members, ready for JSON."""
        return asdict(self) | {"saturated": list(self.saturated)}


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Natural logarithm of the softmax over the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


class Means:
    """Sums over predicted tokens, from logits of both models."""

    def __init__(self):
        self._sums, self.tokens = np.zeros(4), 0

    def add(self, exact: np.ndarray, other: np.ndarray, targets: np.ndarray) -> None:
        """Logits [T, n_vocab] of the float model and of another one; what came next [T]."""
        for start in range(0, len(targets), ROWS):
            part = slice(start, start + ROWS)
            self._add(
                *(log_softmax(x[part].astype(np.float64)) for x in (exact, other)), targets[part]
            )
        self.tokens += len(targets)

    def _add(self, exact: np.ndarray, other: np.ndarray, targets: np.ndarray) -> None:
        """The same of logarithms of probabilities."""
        rows = np.arange(len(targets))
        kl = (np.exp(exact) * (exact - other)).sum()
        same = (exact.argmax(-1) == other.argmax(-1)).sum()
        self._sums += [-exact[rows, targets].sum(), -other[rows, targets].sum(), kl, same]

    def __iadd__(self, other: Means) -> Means:
        self._sums, self.tokens = self._sums + other._sums, self.tokens + other.tokens
        return self

    def accuracy(self, sequences: int, saturated: Iterable[str] = ()) -> Accuracy:
        """The means."""
        nll_float, nll_integer, kl, top1 = map(float, self._sums / self.tokens)
        return Accuracy(
            sequences=sequences,
            tokens=self.tokens,
            nll_float=nll_float,
            nll_integer=nll_integer,
            nll_difference=nll_integer - nll_float,
            kl=kl,
            top1=top1,
            saturated=tuple(sorted(saturated)),
        )


def integer_logits(plan: Plan, tokens: Sequence[int], saturated: set) -> np.ndarray:
    """Logits [T, n_vocab] of the integer model, as floats; overflows are added to ``saturated``."""
    sequence = TokenSequence(plan)
    logits = [rows.to_float() for rows in sequence.logits(tokens)]
    saturated |= sequence.saturated
    return np.concatenate(logits)


def sampled_texts(checkpoint: Checkpoint, count: int) -> list[np.ndarray]:
    """``count`` sequences of SAMPLE_LENGTH tokens (or n_ctx + 1) from the float model itself.

    For models without text of their own. First tokens are uniform; the float model is the best
    there can be on such texts: ``nll_float`` is its own entropy.
    """
    config = checkpoint.config
    length = SAMPLE_LENGTH if config.n_ctx is None else min(SAMPLE_LENGTH, config.n_ctx + 1)
    rng = np.random.Generator(np.random.PCG64(SAMPLE_SEED))
    first = rng.integers(0, config.n_vocab, (count, 1))
    return list(calibrate.continued(from_checkpoint(checkpoint), first, length, rng))


def measure(
    checkpoint: Checkpoint,
    plan: Plan,
    texts: Sequence[Sequence[int]],
    progress: Callable = lambda items: items,
) -> Accuracy:
    """Compare both models on ``texts``: token ids, each predicted from those before it.

    ``progress`` wraps the iteration (tqdm). Raises a WeftError if there is nothing to predict.
    """
    check_texts(texts)
    means, saturated = Means(), set()
    for text in progress(texts):
        tokens, targets = text[:-1], text[1:]
        if len(tokens):
            exact = sequence_logits(checkpoint, tokens)
            means.add(exact, integer_logits(plan, tokens, saturated), targets)
    return means.accuracy(len(texts), (plan.place(*key) for key in saturated))


def check_texts(texts: Sequence[Sequence[int]]) -> None:
    """Raise a WeftError if there is nothing to predict."""
    if not any(len(text) > 1 for text in texts):
        raise WeftError("there is no token to predict; expected texts of at least two tokens")

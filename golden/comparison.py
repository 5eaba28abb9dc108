"""Formats of one model side by side: perplexity, divergence from float32, bytes a token."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from golden.accuracy import Accuracy, Means, check_texts
from golden.formats import by_row, values
from golden.model import Checkpoint
from golden.numbers import MANTISSA_BITS
from golden.plan import Plan
from golden.quantize import CACHE_BITS, Options, has_groups, usual_scales
from golden.reference import sequence_logits
from golden.scaled import is_llama
from golden.sequence import TokenSequence
from golden.traffic import cache_bytes, float_bytes, weight_bytes

POSITION = 1023
"""Where bytes of keys and values are counted, if the context is so long."""

FLOAT_BITS = 32

Texts = Mapping[str, Sequence[np.ndarray]]
"""Sequences of token ids by the name of the text that they are of."""


@dataclass(frozen=True)
class Result:
    """What one format costs and gives.

    Parameters
    ----------
    weights: what they are, for people.  cache_bits: width of cached keys and values.
    weight_bytes, cache_bytes: that a token at ``position`` needs.
    total: over all texts.  texts: of each by name.
    """

    weights: str
    cache_bits: int
    position: int
    weight_bytes: float
    cache_bytes: float
    total: Accuracy
    texts: dict[str, Accuracy]

    @property
    def perplexity_change(self) -> float:
        """Relative to the float model."""
        exact, found = self.total.perplexity
        return found / exact - 1

    def to_dict(self) -> dict:
        """All members, ready for JSON."""
        found = {text: result.to_dict() for text, result in self.texts.items()}
        own = {name: value for name, value in vars(self).items() if name not in ("total", "texts")}
        change = {"perplexity_change": self.perplexity_change}
        return own | change | self.total.to_dict() | {"texts": found}


def formats(checkpoint: Checkpoint) -> list[Options]:
    """The formats that a model has without a second rounding of its file's groups; the usual first.

    Of a model that is not of the llama family the usual one alone.
    """
    usual = usual_scales(checkpoint)
    if not is_llama(checkpoint.config):
        return [Options(scales=usual)]
    kinds = dict.fromkeys([usual, *(["group"] if has_groups(checkpoint) else []), "row"])
    return [
        Options(scales=scales, cache_bits=bits)
        for scales in kinds
        for bits in sorted(CACHE_BITS, reverse=True)
        if scales != "matrix" or bits == MANTISSA_BITS
    ]


WEIGHTS = {"matrix": "8 bits", "row": "8-bit rows", "group": "4-bit groups"}
"""What tables call weights, by which of them share a scale."""


def with_head_of_rows(checkpoint: Checkpoint) -> Checkpoint:
    """The float model with embedding and head rounded to 8-bit codes with a scale a row."""
    rounded = {
        name: values(by_row(checkpoint.tensors[name])).astype(np.float32)
        for name in ("wte", "lm_head")
        if name in checkpoint.tensors
    }
    return replace(checkpoint, tensors=dict(checkpoint.tensors) | rounded, blocks={})


@dataclass
class Comparison:
    """The float model on texts, and whatever is compared with it.

    Parameters
    ----------
    checkpoint, texts: the model, and what it is measured on.
    advance: called with a number of tokens whenever so many have been taken in.
    """

    checkpoint: Checkpoint
    texts: Texts
    advance: Callable[[int], object] = lambda tokens: None
    _exact: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self):
        check_texts([sequence for text in self.texts.values() for sequence in text])
        for name, text in self.texts.items():
            self._exact[name] = np.concatenate(list(self._floats(self.checkpoint, text)))

    @property
    def position(self) -> int:
        """Where bytes of keys and values are counted."""
        return min(POSITION, (self.checkpoint.config.n_ctx or POSITION + 1) - 1)

    def of_plan(self, plan: Plan) -> Result:
        """An integer model."""
        saturated: set[tuple[int, str]] = set()
        found = self._measured(lambda text: self._integers(plan, text, saturated))
        places = [plan.place(*key) for key in saturated]
        sizes = weight_bytes(plan), cache_bytes(plan, self.position)
        return self._result(WEIGHTS[plan.scales], plan.cache_bits, sizes, found, places)

    def of_floats(self, weights: str, checkpoint: Checkpoint) -> Result:
        """A float model, with weights that are named."""
        found = self._measured(lambda text: self._floats(checkpoint, text))
        sizes = float_bytes(checkpoint.config, self.position)
        return self._result(weights, FLOAT_BITS, sizes, found)

    def _result(self, weights: str, bits: int, sizes, found: dict[str, Means], places=()) -> Result:
        total = Means()
        for means in found.values():
            total += means
        counts = {text: len(sequences) for text, sequences in self.texts.items()}
        each = {text: means.accuracy(counts[text]) for text, means in found.items()}
        whole = total.accuracy(sum(counts.values()), places)
        return Result(weights, bits, self.position, *sizes, whole, each)

    def _measured(self, logits: Callable[[Sequence], Iterator[np.ndarray]]) -> dict[str, Means]:
        """Means of every text; ``logits`` yields those after its tokens, part by part."""
        found = {}
        for name, text in self.texts.items():
            found[name] = means = Means()
            exact = self._exact[name]
            targets = np.concatenate([sequence[1:] for sequence in text])
            start = 0
            for part in logits(text):
                rows = slice(start, start + len(part))
                means.add(exact[rows], part, targets[rows])
                start += len(part)
        return found

    def _floats(self, checkpoint: Checkpoint, text: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        for sequence in text:
            yield sequence_logits(checkpoint, sequence[:-1])
            self.advance(len(sequence) - 1)

    def _integers(self, plan: Plan, text: Sequence[np.ndarray], saturated: set):
        for tokens in text:
            sequence = TokenSequence(plan)
            for rows in sequence.logits(tokens[:-1]):
                yield rows.to_float()
                self.advance(len(rows.mantissa))
            saturated |= sequence.saturated

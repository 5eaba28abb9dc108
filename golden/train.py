"""Training as microGPT does it: one text a step, Adam, a learning rate that falls to zero.

With the published list of names, seed 42 and 1,000 steps this is the published run:
the same shuffle, the same initial weights, the same steps; only the arithmetic is vectorised.
"""

import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from golden.backprop import ACTIVATIONS, loss_and_gradients
from golden.errors import WeftError
from golden.model import Checkpoint, ModelConfig
from golden.reference import sequence_logits
from golden.tokenizer import BOS, CharacterTokenizer

SEED = 42
STEPS = 20_000
"""Steps of the committed checkpoint: ten seconds, 0.13 nats a token better than after 1,000."""

MAX_PARAMETERS = 10_000_000
"""More would not end in an afternoon, nor fit into memory several times over."""


@dataclass(frozen=True)
class TrainOptions:
    """Shape of the model to train, and how.

    Parameters
    ----------
    n_layer, n_embd, n_head, block_size : int
        Layers, width, heads, and the longest text in tokens (BOS included).
    d_ff : int or None
        Width of the MLP; ``None`` is four times ``n_embd``.
    activation : str
        ``"relu"`` or ``"gelu"``.
    learning_rate : float
        At the first step; it falls linearly to zero after the last.
    beta1, beta2, eps : float
        Adam's decay of the mean gradient and of the mean square, and what keeps it from division
        by zero.
    init_std : float
        Standard deviation of the initial weights.
    """

    n_layer: int = 1
    n_embd: int = 16
    n_head: int = 4
    block_size: int = 16
    d_ff: int | None = None
    activation: str = "relu"
    learning_rate: float = 0.01
    beta1: float = 0.85
    beta2: float = 0.99
    eps: float = 1e-8
    init_std: float = 0.08

    def model(self, n_vocab: int) -> ModelConfig:
        """The configuration of the model, with validated values.

        Raises
        ------
        WeftError
            If an option is out of range, or the model is too large to be trained here.
        """
        if self.activation not in ACTIVATIONS:
            known = ", ".join(map(repr, ACTIVATIONS))
            raise WeftError(f"activation is {self.activation!r}; training knows {known}")
        config = ModelConfig(
            n_layer=self.n_layer,
            n_head=self.n_head,
            d_model=self.n_embd,
            d_ff=4 * self.n_embd if self.d_ff is None else self.d_ff,
            n_vocab=n_vocab,
            n_ctx=self.block_size,
            activation=self.activation,
        )
        if config.parameters > MAX_PARAMETERS:
            raise WeftError(
                f"the model would have {config.parameters:,} parameters; "
                f"expected at most {MAX_PARAMETERS:,}, for training in NumPy takes its time"
            )
        return config


def train(
    names: list[str],
    options: TrainOptions | None = None,
    seed: int = SEED,
    steps: int = STEPS,
    observe: Callable[[int, float], object] | None = None,
    name: str = "microgpt",
    alphabet: str | None = None,
) -> Checkpoint:
    """Train a model of characters on names. The same arguments give the same bytes.

    All randomness is ``random.Random(seed)``: first it shuffles the names, then it draws the
    initial weights in the order of ``ModelConfig.shapes``. Names longer than the context are cut.

    Parameters
    ----------
    names : list of str
        Texts to learn from.
    options : TrainOptions, optional
        Shape and rates; microGPT's if not given.
    seed : int
        Of everything random.
    steps : int
        Number of steps, one name each; after the last name comes the first again.
    observe : callable, optional
        Called after each step with its number, from 0, and its loss in nats a token.
    name : str
        Of the checkpoint.
    alphabet : str, optional
        Its distinct characters, sorted, and BOS are the vocabulary; the names' own if not given.

    Raises
    ------
    WeftError
        If there are no names, an option is out of range, or training diverges.
    """
    options = options or TrainOptions()
    if not names:
        raise WeftError("there are no names to train on; expected at least one")
    if steps < 1:
        raise WeftError(f"steps is {steps}; expected at least 1")
    vocabulary = (*sorted(set("".join(names) if alphabet is None else alphabet)), BOS)
    config = options.model(len(vocabulary))
    tokenizer = CharacterTokenizer(vocabulary)
    rng = random.Random(seed)
    names = list(names)
    rng.shuffle(names)
    parameters, weights = _flat(config)
    gradient, gradients = _flat(config)
    # Stored as float32 once, so that a gauss() that differs in its last bit changes nothing.
    parameters[:] = np.float32([rng.gauss(0, options.init_std) for _ in parameters])
    adam = Adam(parameters, options, steps)
    for step in range(steps):
        tokens = sequence(tokenizer, names[step % len(names)], config.n_ctx)
        with np.errstate(all="ignore"):
            loss = loss_and_gradients(config, weights, tokens, gradients)
            adam.step(gradient)
        if not (math.isfinite(loss) and np.isfinite(parameters).all()):
            raise WeftError(
                f"training diverged at step {step} with learning rate {options.learning_rate:g}; "
                "choose a smaller one"
            )
        if observe:
            observe(step, loss)
    return Checkpoint(
        config, {k: v.astype(np.float32) for k, v in weights.items()}, vocabulary, name
    )


def sequence(tokenizer: CharacterTokenizer, name: str, n_ctx: int) -> np.ndarray:
    """Ids of BOS, the name and BOS again, cut to ``n_ctx`` inputs and the target of the last."""
    ids = [tokenizer.start, *tokenizer.encode(name), tokenizer.stop]
    return np.array(ids[: n_ctx + 1], dtype=np.intp)


class Adam:
    """Adam with bias correction and a learning rate that falls linearly to zero.

    Parameters
    ----------
    parameters : float64 array [n]
        Updated in place.
    """

    def __init__(self, parameters: np.ndarray, options: TrainOptions, steps: int):
        self.parameters, self.options, self.steps = parameters, options, steps
        self.mean = np.zeros_like(parameters)
        self.square = np.zeros_like(parameters)
        self.taken = 0
        # Powers of the betas by repeated products: pow() of C libraries differs in the last bit.
        self.power1 = self.power2 = 1.0

    def step(self, gradient: np.ndarray) -> None:
        """Move the parameters against the gradient [n]."""
        o = self.options
        self.mean += (1 - o.beta1) * (gradient - self.mean)
        self.square += (1 - o.beta2) * (gradient * gradient - self.square)
        self.power1 *= o.beta1
        self.power2 *= o.beta2
        mean = self.mean / (1 - self.power1)
        root = np.sqrt(self.square / (1 - self.power2))
        rate = o.learning_rate * (1 - self.taken / self.steps)
        self.parameters -= rate * mean / (root + o.eps)
        self.taken += 1


def mean_loss(checkpoint: Checkpoint, names: Iterable[str]) -> float:
    """Mean cross-entropy over all tokens of all names, in nats a token; NaN without names.

    Texts longer than the context are cut to it, as in training. Runs the float32 reference.
    """
    tokenizer = CharacterTokenizer(checkpoint.vocabulary)
    by_length = defaultdict(list)
    for name in names:
        tokens = sequence(tokenizer, name, checkpoint.config.n_ctx)
        by_length[len(tokens)].append(tokens)
    total, count = 0.0, 0
    for group in by_length.values():
        for batch in np.array_split(np.stack(group), math.ceil(len(group) / 1024)):
            total -= _log_probabilities(checkpoint, batch).sum()
            count += batch[:, 1:].size
    return total / count if count else math.nan


def _log_probabilities(checkpoint: Checkpoint, batch: np.ndarray) -> np.ndarray:
    """Log-probability of every target of ids [B, T + 1], as float64 [B, T]."""
    logits = sequence_logits(checkpoint, batch[:, :-1]).astype(float)
    logits -= logits.max(axis=-1, keepdims=True)
    logits -= np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return np.take_along_axis(logits, batch[:, 1:, None], axis=-1)[..., 0]


def _flat(config: ModelConfig) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """One float64 vector of all parameters, and every tensor as a view into it."""
    flat = np.zeros(config.parameters)
    sizes = [rows * columns for rows, columns in config.shapes.values()]
    pieces = np.split(flat, np.cumsum(sizes)[:-1])
    views = zip(config.shapes.items(), pieces, strict=True)
    return flat, {name: piece.reshape(shape) for (name, shape), piece in views}

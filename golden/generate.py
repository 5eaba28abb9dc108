"""Run a plan: the integer model, token by token, with a tap at every stage."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from golden.errors import WeftError
from golden.numbers import Vector
from golden.plan import Plan, Section
from golden.stages import (
    Context,
    activation,
    attention,
    bias,
    convert,
    embed,
    gate,
    linear,
    norm,
    residual,
    rope,
    sample,
)

EXECUTE = {
    module.__name__.rsplit(".", 1)[1]: module.execute
    for module in (
        activation,
        attention,
        bias,
        convert,
        embed,
        gate,
        linear,
        norm,
        residual,
        rope,
        sample,
    )
}


@dataclass(frozen=True)
class Request:
    """One sequence to generate.

    Parameters
    ----------
    prompt: token ids to take in first, at least one.
    count: tokens to sample at the most.
    sequence: logical number of the sequence; with ``seed`` it is the key of the noise.
    noise_scale: golden.noise.noise_scale(temperature); 0 is greedy.
    stop: token that ends the sequence when it is sampled, or None.
    start: tokens of the prompt that were taken in before: their keys and values are there already.
    """

    prompt: tuple[int, ...]
    count: int
    sequence: int = 0
    seed: int = 0
    noise_scale: int = 0
    stop: int | None = None
    start: int = 0


@dataclass(frozen=True)
class Step:
    """One token taken in: its taps by (layer, name), and the token sampled after it, if any."""

    sequence: int
    position: int
    token: int
    sampled: int | None
    last: bool
    taps: dict[tuple[int, str], Vector]
    saturated: set[tuple[int, str]] = field(default_factory=set)


def run_section(
    section: Section, context: Context, value, execute: Mapping[str, Callable] = EXECUTE
) -> Vector:
    """Execute the stages of a section on its input; every output is tapped."""
    values = {section.input: value}
    for stage in section:
        inputs = (values[name] for name in stage.inputs)
        values[stage.output] = execute[stage.kind](stage, context, *inputs)
        context.tap(stage.name, values[stage.output])
    return values[section.output]


def run_token(plan: Plan, context: Context, wanted: bool) -> int | None:
    """Take in ``context.token``; when ``wanted``, also sample the next one."""
    value = run_section(plan.prologue, context, context.token)
    for context.layer, section in enumerate(plan.layers):
        value = run_section(section, context, value)
    context.layer = 0
    if not wanted:
        return None
    return int(run_section(plan.epilogue, context, value).mantissa[0])


def ends(plan: Plan, request: Request, token: int, sampled: int, position: int) -> bool:
    """Whether the ``sampled``-th token, sampled at ``position``, is the last of its sequence."""
    full = plan.n_ctx is not None and position + 1 >= plan.n_ctx
    return sampled >= request.count or token == request.stop or full


def check_request(plan: Plan, request: Request) -> None:
    """Raise a WeftError for a prompt or a count that the model cannot take."""
    unknown = [token for token in request.prompt if not 0 <= token < plan.n_vocab]
    if unknown:
        raise WeftError(
            f"token {unknown[0]} is not in the vocabulary; expected 0 to {plan.n_vocab - 1}"
        )
    if not request.prompt:
        raise WeftError("the prompt is empty; expected at least one token")
    if plan.n_ctx is not None and len(request.prompt) > plan.n_ctx:
        raise WeftError(
            f"the prompt has {len(request.prompt)} tokens; "
            f"this model has positions for {plan.n_ctx}"
        )
    if not 0 <= request.start < len(request.prompt):
        raise WeftError(
            f"{request.start} tokens of the prompt were taken in before, and it has "
            f"{len(request.prompt)}; expected fewer, and at least 0"
        )
    if request.count < 1:
        raise WeftError(f"{request.count} tokens are wanted; expected at least 1")


def generate(plan: Plan, request: Request, cache: dict | None = None) -> Iterator[Step]:
    """Every token of one sequence, prompt included, in order; WeftError as in check_request.

    ``cache`` has the keys and values of the tokens before ``request.start``; it goes on from there.
    """
    check_request(plan, request)
    cache = {} if cache is None else cache
    pending, position = list(request.prompt[request.start :]), request.start
    sampled, last = 0, False
    while pending and not last:
        token, wanted = pending.pop(0), not pending
        context = Context(
            token, position, request.sequence, request.seed, request.noise_scale, cache=cache
        )
        following = run_token(plan, context, wanted)
        if wanted:
            sampled += 1
            last = ends(plan, request, following, sampled, position)
            pending.append(following)
        taps, saturated = context.taps, context.saturated
        yield Step(request.sequence, position, token, following, last, taps, saturated)
        position += 1


def sampled_steps(plan: Plan, request: Request) -> Iterator[Step]:
    """The steps of one sequence that sample a token, in order."""
    return (step for step in generate(plan, request) if step.sampled is not None)


def generate_all(plan: Plan, requests: Iterable[Request]) -> Iterator[Step]:
    """The steps of every request, one request after the other."""
    for request in requests:
        yield from generate(plan, request)

"""Conversations as a model was trained to see them: its chat template, rendered and tokenized.

A template is a Jinja program out of a model file, so it runs in a sandbox.  It writes marks such as
``<|im_end|>``, which become the tokens of that name.  What people and models said must never become
one: its characters go through the template in disguise, where no mark can be found in them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NoReturn

from jinja2 import Template
from jinja2.sandbox import ImmutableSandboxedEnvironment, SecurityError

from golden.errors import WeftError

if TYPE_CHECKING:
    from golden.bpe import BytePairTokenizer
    from golden.tokenizer import Tokenizer

MOST_SOURCE = 1 << 16
"""Characters that a template may have."""

MOST_TEXT = 1 << 20
"""Characters that it may write."""

DISGUISES = range(0xF0000, 0x10FFFE)
"""Characters for private use, which stand for those of messages."""


@dataclass(frozen=True)
class Message:
    """What was said by ``system``, ``user`` or ``assistant``."""

    role: str
    content: str


class ChatTemplate:
    """A template out of a model file; it is looked at when it is first used.

    Parameters
    ----------
    source : str
    tokens : mapping of str to str
        Texts of the tokens that it may name: ``bos_token``, ``eos_token``.

    Raises
    ------
    WeftError
        If the source is too long.
    """

    def __init__(self, source: str, tokens: Mapping[str, str]):
        if len(source) > MOST_SOURCE:
            raise WeftError(
                f"its chat template has {len(source):,} characters; expected at most "
                f"{MOST_SOURCE:,}"
            )
        self.source, self._tokens = source, dict(tokens)

    @cached_property
    def _compiled(self) -> Template:
        return _Sandbox().from_string(self.source)

    def render(self, messages: Sequence[Message], answer: bool = True) -> str:
        """The text of a conversation; ``answer``: to the point where the model goes on.

        Raises
        ------
        WeftError
            If the template is malformed, refuses the conversation, or writes without an end.
        """
        given = {"messages": [asdict(each) for each in messages], "add_generation_prompt": answer,
                 "tools": None, "documents": None, **self._tokens}  # fmt: skip
        written, length = [], 0
        try:
            for part in self._compiled.generate(given):
                written.append(part)
                length += len(part)
                if length > MOST_TEXT:
                    raise SecurityError(f"it writes more than {MOST_TEXT:,} characters")
        except Exception as error:  # a program of somebody else's: anything may go wrong
            said = (str(error).splitlines() or [type(error).__name__])[0]
            raise WeftError(
                f"the model's chat template cannot be used: {said[:200]}; use a file with another"
            ) from None
        return "".join(written)


class _Sandbox(ImmutableSandboxedEnvironment):
    """The environment that such templates are written for, without what makes much of little."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def __init__(self):
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        self.globals["raise_exception"] = _refuse

    def call_binop(self, context, operator, left, right):
        if operator == "**" or not all(isinstance(each, int | float) for each in (left, right)):
            raise SecurityError(f"{operator} is for two numbers, and powers are not taken")
        return super().call_binop(context, operator, left, right)


def _refuse(said: object) -> NoReturn:
    """What templates call to refuse a conversation."""
    raise SecurityError(str(said))


def template_of(tokenizer: Tokenizer) -> ChatTemplate | None:
    """The chat template that a tokenizer was kept with, if there is one."""
    return getattr(tokenizer, "template", None)


def conversation_ids(tokenizer: BytePairTokenizer, messages: Sequence[Message]) -> list[int]:
    """Ids of a conversation, to the point where the model answers.

    Raises
    ------
    WeftError
        As :meth:`ChatTemplate.render`, or if nothing was written.
    """
    text, plain = _disguised(tokenizer, messages, answer=True)
    ids: list[int] = []
    for part in re.split(f"({_marks(tokenizer)})", text):
        ids += [tokenizer.marks[part]] if part in tokenizer.marks else tokenizer.words(plain(part))
    if not ids:
        raise WeftError("the model's chat template writes nothing; use a file with another")
    return ids


def end_of_turn(tokenizer: BytePairTokenizer) -> int | None:
    """The token that ends an answer: the first mark that the template writes behind one."""
    said = [Message("user", "?"), Message("assistant", "!")]
    try:
        text, plain = _disguised(tokenizer, said, answer=False)
    except WeftError:  # it may want other conversations
        return tokenizer.stop
    behind = plain(text).rpartition("!")[2]
    found = re.search(_marks(tokenizer), behind)
    return tokenizer.marks[found[0]] if found else tokenizer.stop


def _marks(tokenizer: BytePairTokenizer) -> str:
    """A pattern of the marks; longer ones go first."""
    names = sorted(tokenizer.marks, key=len, reverse=True)
    return "|".join(map(re.escape, names)) or "(?!)"


def _disguised(
    tokenizer: BytePairTokenizer, messages: Sequence[Message], answer: bool
) -> tuple[str, Callable[[str], str]]:
    """The text with messages in disguise, and what takes a disguise off.

    White space is left as it is: templates strip it.
    """
    template = tokenizer.template
    said = {char for each in messages for char in each.content if not char.isspace()}
    taken = {ord(char) for char in said | set(template.source)}
    free = (code for code in DISGUISES if code not in taken)
    codes = dict(zip(map(ord, sorted(said)), free, strict=False))
    if len(codes) < len(said):
        raise WeftError(f"the conversation has {len(said):,} different characters; shorten it")
    back = {code: char for char, code in codes.items()}
    hidden = [Message(each.role, each.content.translate(codes)) for each in messages]
    return template.render(hidden, answer), lambda text: text.translate(back)

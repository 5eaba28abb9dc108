"""A conversation with a device: beginnings of texts in, what the model makes of them out."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace

from boards.host.pace import Bound, Pace, rate
from golden.chat_template import Message, conversation_ids, end_of_turn, template_of
from golden.errors import WeftError
from golden.generate import Request
from golden.model import Checkpoint
from golden.plan import Plan
from golden.tokenizer import tokenizer_for
from golden.words import counted
from sim.chip import Died
from sim.foreground import alone
from sim.host import Link
from sim.replies import Device, LinkError, NoReply, Token
from sim.show import Voice
from sim.workload import Sampling, make_requests

COMMANDS = """\
  /temperature T   0 is greedy, else 1/64 to 8
  /seed S          begin again with this seed: the same seed gives the same texts
  /counters        what the device has counted since its reset
  /help            this
  /quit            leave, as does Ctrl-D; Ctrl-C ends an answer"""

HELP = f"""\
Type how a text begins, and Enter; nothing begins one from scratch.
{COMMANDS}"""

CONVERSATION_HELP = f"""\
Say something, and Enter. Every time the device takes in the whole conversation again.
  /new             forget the conversation, and begin another
  /system TEXT     the same, with this instruction to the model; it may be empty
  /plain TEXT      go on from a text, which is no part of the conversation
{COMMANDS}"""
"""The same for models with a chat template."""

ASK = "> "


class Left(Exception):
    """Somebody asked to leave."""


@dataclass
class Chat:
    """One conversation.

    Parameters
    ----------
    link: to the device.  checkpoint, plan: of the model that it must hold.
    sampling: temperature and seed.  names: texts for each beginning.  tokens: of a text at most.
    simulated: the device is simulated, and its clock assumed.  bound: as boards.host.pace says.
    """

    link: Link
    checkpoint: Checkpoint
    plan: Plan
    sampling: Sampling = field(default_factory=Sampling)
    names: int = 1
    tokens: int | None = None
    simulated: bool = False
    bound: Bound | None = None
    _device: Device | None = None
    _pace: Pace | None = None
    _sequence: int = 0

    def __post_init__(self):
        self._tokenizer = tokenizer = tokenizer_for(self.checkpoint)
        self.template = template_of(tokenizer)
        turn = end_of_turn(tokenizer) if self.template else None
        self._ends = [*([] if turn is None else [turn]), *tokenizer.ends]
        self._said: list[Message] = []

    @property
    def help(self) -> str:
        """What one can type."""
        return CONVERSATION_HELP if self.template else HELP

    def meet(self) -> Device:
        """Find out what the device is, and let it end what others left it to do.

        Raises
        ------
        LinkError
            If nothing answers, or it holds another model.
        """
        try:
            device = self.link.hello()
        except NoReply:
            raise NoReply(
                "nothing answers like a device of Weft: load a bitstream (`make program`), and "
                "check the board's power and that PORT is its port"
            ) from None
        own = self.plan.digest()[: len(device.digest)]
        if device.digest != own:
            raise LinkError(
                f"the device holds the plan {device.digest} and that of {self.plan.name} is {own}: "
                "give MODEL, CHECKPOINT and NUMBERS as for its bitstream, or load another"
            )
        self.link.abort()
        self._device = device
        self._pace = self._pace or Pace(self.link, device.clock_hz, self.bound)
        return device

    def converse(self, lines: Iterable[str], patient: bool) -> None:
        """Answer every line; ``patient``: one that goes wrong is told, and the next one comes."""
        with alone() if patient else nullcontext():
            for line in lines:
                if not self._heard(line.strip(), patient):
                    return

    def _heard(self, line: str, patient: bool) -> bool:
        """Answer a line; whether there is to be another one."""
        try:
            self.hear(line)
        except Left:
            return False
        except WeftError as error:
            if not patient or isinstance(error, Died):
                raise
            print(f"weft: {error.told()}", file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            if not patient:
                raise
        return True

    def hear(self, line: str) -> None:
        """Answer a line: a command, or the beginning of a text."""
        command, _, value = line.partition(" ")
        if command == "/quit":
            raise Left
        elif command == "/help":
            print(self.help, file=sys.stderr)
        elif command == "/counters":
            self._show_counters()
        elif command in ("/seed", "/temperature"):
            self._set(command[1:], value.strip())
        elif self.template and command in ("/new", "/system"):
            self._said = [Message("system", value.strip())] if command == "/system" else []
        elif self.template and command == "/plain":
            self.answer(value.strip(), plain=True)
        elif command.startswith("/"):
            raise WeftError(f"there is no command {command}; /help lists those that there are")
        elif line or not self.template:
            self.answer(line, plain=not self.template)

    def answer(self, line: str, plain: bool) -> None:
        """What the model makes of a line, token by token; then what that cost.

        ``plain``: the line is how a text begins; else something that is said to the model.  Ctrl-C
        and a broken link end the sequence on the device as well, and what was said is forgotten.
        """
        said = [] if plain else [*self._said, Message("user", line)]
        requests = self._requests(line, said)
        self._sequence += len(requests)
        if self._device is None:
            self.meet()
        if said:
            self._check_room(len(requests[0].prompt), again=len(said) > 2)
        spoken: list[list[Token]] = []
        try:
            with Voice(self._tokenizer, requests, 1, plain, self._ends) as voice:
                spoken += (list(self._follow(request, voice)) for request in requests)
        except (KeyboardInterrupt, LinkError) as error:
            self._device = None  # unless the link is in step again, meet() will see to it
            self._pace.hush()
            if isinstance(error, KeyboardInterrupt):
                if self.bound:
                    _note("waiting for the device to end its token")
                self.meet()
            raise
        if said:
            words = [token.token for token in spoken[-1] if token.token not in self._ends]
            self._said = [*said, Message("assistant", self._tokenizer.decode(words))]
        self._show_cost([token for tokens in spoken for token in tokens])
        if self.simulated:
            _note(self._pace.spent(spoken[-1]))

    def _requests(self, line: str, said: list[Message]) -> list[Request]:
        """Requests that go on from a line, or from what was said."""
        begins = "" if said else line
        requests = make_requests(self.checkpoint, self.sampling, self.names, begins, self.tokens)
        requests = [replace(r, sequence=r.sequence + self._sequence) for r in requests]
        if not said:
            return requests
        ids = tuple(conversation_ids(self._tokenizer, said))
        return [replace(r, prompt=ids, stop=next(iter(self._ends), None)) for r in requests]

    def _check_room(self, tokens: int, again: bool) -> None:
        """Tell how long a conversation is, and whether the device has room for it."""
        most, n_ctx = self._device.max_prompt, self._device.n_ctx
        room = min(most, n_ctx or most)
        if tokens > room:
            raise WeftError(
                f"the conversation has {counted(tokens, 'token')} and the device has room for "
                f"{room:,}: begin another with /new, or say less"
            )
        _note(f"{counted(tokens, 'token')} to take in{', the whole conversation again' * again}")

    def _follow(self, request: Request, voice: Voice) -> Iterator[Token]:
        """The tokens of a request, shown as they come."""
        pace, apart = self._pace, bool(self.template or self.bound)
        if self.simulated or apart:
            pace.begin(len(request.prompt))
        tokens = self.link.generate(request, pace.waiting if self.simulated else None)
        for k, token in enumerate(tokens):
            if k == 0 and apart:
                pace.hush()
                _note(pace.spoke(token))
            voice.say({"sequence": request.sequence, **vars(token)})
            yield token
            if token.token in self._ends and not token.last:
                self.link.abort()  # the device knows another end
                return

    def _show_cost(self, spoken: list[Token]) -> None:
        cycles = [token.cycles for token in spoken]
        mean, clock = statistics.fmean(cycles), self._device.clock_hz
        source = "assumed" if self.simulated else "board"
        _note(
            f"{counted(len(cycles), 'token')}; {mean:.1f} cycles a token ({min(cycles)} to "
            f"{max(cycles)}), {rate(clock, mean)} at {clock / 1e6:g} MHz ({source})"
        )

    def _show_counters(self) -> None:
        for name, value in self.link.counters().items():
            _note(f"{name:16}{value:18,}")

    def _set(self, name: str, value: str) -> None:
        """Change temperature or seed; the sequences begin again."""
        kind, what = {"seed": (int, "a whole number"), "temperature": (float, "a number")}[name]
        try:
            number = kind(value)
        except ValueError:
            raise WeftError(f"/{name} takes {what}, not {value!r}") from None
        self.sampling = replace(self.sampling, **{name: number})
        self._sequence = 0
        if name == "seed":
            self._said = [each for each in self._said if each.role == "system"]


def _note(text: str) -> None:
    """What is not the model's own words goes where it does not mix with them."""
    print(f"  {text}", file=sys.stderr, flush=True)


def typed_lines() -> Iterator[str]:
    """What a person types, with the editing of readline; Ctrl-C begins a new line."""
    import readline  # noqa: F401  (input() uses it)

    while True:
        try:
            yield input(ASK)
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            print()

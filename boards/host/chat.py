"""A conversation with a device: beginnings of texts in, what the model makes of them out."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from golden.errors import WeftError
from golden.model import Checkpoint
from golden.plan import Plan
from golden.tokenizer import tokenizer_for
from golden.words import counted
from sim.chip import Died
from sim.host import Link
from sim.replies import Device, LinkError, NoReply, Token
from sim.show import Voice
from sim.workload import Sampling, make_requests

HELP = """\
Type how a text begins, and Enter; nothing begins one from scratch.
  /temperature T   0 is greedy, else 1/64 to 8
  /seed S          begin again with this seed: the same seed gives the same texts
  /counters        what the device has counted since its reset
  /help            this
  /quit            leave, as does Ctrl-D; Ctrl-C ends an answer"""

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
    simulated: the device is simulated, and its clock assumed.
    """

    link: Link
    checkpoint: Checkpoint
    plan: Plan
    sampling: Sampling = field(default_factory=Sampling)
    names: int = 1
    tokens: int | None = None
    simulated: bool = False
    _device: Device | None = None
    _sequence: int = 0

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
        return device

    def converse(self, lines: Iterable[str], patient: bool) -> None:
        """Answer every line; ``patient``: one that goes wrong is told, and the next one comes."""
        for line in lines:
            try:
                self.hear(line.strip())
            except Left:
                return
            except WeftError as error:
                if not patient or isinstance(error, Died):
                    raise
                print(f"weft: {error}", file=sys.stderr, flush=True)
            except KeyboardInterrupt:
                if not patient:
                    raise

    def hear(self, line: str) -> None:
        """Answer a line: a command, or the beginning of a text."""
        command, _, value = line.partition(" ")
        if command == "/quit":
            raise Left
        elif command == "/help":
            print(HELP, file=sys.stderr)
        elif command == "/counters":
            self._show_counters()
        elif command in ("/seed", "/temperature"):
            self._set(command[1:], value.strip())
        elif command.startswith("/"):
            raise WeftError(f"there is no command {command}; /help lists those that there are")
        else:
            self.answer(line)

    def answer(self, beginning: str) -> None:
        """Texts that go on from a beginning, token by token; then what they cost.

        Ctrl-C and a broken link end the sequence on the device as well.
        """
        requests = make_requests(self.checkpoint, self.sampling, self.names, beginning, self.tokens)
        shift = self._sequence
        requests = [replace(each, sequence=each.sequence + shift) for each in requests]
        self._sequence += len(requests)
        if self._device is None:
            self.meet()
        voice = Voice(tokenizer_for(self.checkpoint), requests, streams=1)
        spoken: list[Token] = []
        began = self._moment() if self.simulated else ()
        try:
            for request in requests:
                for token in self.link.generate(request):
                    spoken.append(token)
                    voice.say({"sequence": request.sequence, **vars(token)})
        except (KeyboardInterrupt, LinkError) as error:
            print(flush=True)
            self._device = None  # unless the link is in step again, meet() will see to it
            if isinstance(error, KeyboardInterrupt):
                self.meet()
            raise
        self._show_cost(spoken)
        if self.simulated:
            cycles, seconds = (now - then for now, then in zip(self._moment(), began, strict=True))
            _note(f"simulated at {cycles / seconds:,.0f} cycles a second")

    def _moment(self) -> tuple[int, float]:
        """The time in the device's cycles, and in seconds."""
        return self.link.counters()["cycles"], time.monotonic()

    def _show_cost(self, spoken: list[Token]) -> None:
        cycles = [token.cycles for token in spoken]
        mean, clock = statistics.fmean(cycles), self._device.clock_hz
        source = "assumed" if self.simulated else "board"
        _note(
            f"{counted(len(cycles), 'token')}; {mean:.1f} cycles a token ({min(cycles)} to "
            f"{max(cycles)}), {clock / mean:,.0f} tokens/s at {clock / 1e6:g} MHz ({source})"
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

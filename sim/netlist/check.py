"""A conversation with a netlist, of which every answer is compared, with no tolerance.

Tokens are compared with the integer model, and their cycles with those that the simulated core
counted before synthesis; then the device's own counters, and its lights, with all of that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from golden import protocol
from golden.generate import Request, sampled_steps
from sim.build import Design
from sim.host import Link
from sim.mismatch import Mismatch
from sim.netlist.port import NetlistPort
from sim.replies import Device, LinkError, NoReply, Token
from sim.report import VERSION

RESET_SECONDS = 40e-6
"""The device is out of its reset after this: 256 cycles, and those of the PLL."""

REPLY, NEXT = 2e-3, 50e-3
"""Seconds (of the simulation) for a reply, and for the next token."""


@dataclass
class Outcome:
    """What was said.

    tokens: of all sequences.  compared: values.  counters: the device's.
    """

    tokens: list[Token] = field(default_factory=list)
    compared: int = 0
    counters: dict[str, int] = field(default_factory=dict)


class Checker:
    """Holds a conversation.

    Parameters
    ----------
    hello: what the device must say that it is; fields of sim.replies.Device.
    sampled: tells (token, position, last) of everything that a request samples.
    cycles: of every token that is sampled, in order.
    """

    def __init__(
        self,
        hello: Mapping[str, object],
        sampled: Callable[[Request], Iterable[tuple[int, int, bool]]],
        cycles: Sequence[int],
    ):
        self._expected, self._sampled, self._cycles = hello, sampled, list(cycles)
        self.outcome = Outcome()

    def run(
        self,
        port: NetlistPort,
        requests: Sequence[Request],
        say: Callable[[dict], None] = lambda token: None,
    ) -> Outcome:
        """Generate, and compare; ``say`` is called with every token.

        Raises
        ------
        Mismatch: at the first difference, or when the netlist does not answer.
        """
        link = Link(port, REPLY, NEXT, clock=lambda: port.seconds)
        try:
            port.read(RESET_SECONDS)
            self._hello(link.hello())
            for request in requests:
                self._generate(link, port, request, say)
            self.outcome.counters = link.counters()
        except NoReply:
            said = f"after {len(self.outcome.tokens)} tokens"
            raise Mismatch(f"the netlist stopped answering {said}") from None
        except (LinkError, OSError) as error:
            raise Mismatch(f"the netlist gave a wrong answer: {error}") from None
        self._counters(len(requests) + 2, port.seconds)
        self._equal("the lights at the end", set(), port.lights - {"alive"})
        return self.outcome

    def _equal(self, what: str, expected, found) -> None:
        self.outcome.compared += 1
        if expected != found:
            raise Mismatch(f"{what}: expected {expected}, the netlist has {found}")

    def _hello(self, device: Device) -> None:
        for name, value in self._expected.items():
            self._equal(name, value, getattr(device, name))

    def _generate(self, link: Link, port: NetlistPort, request: Request, say) -> None:
        expected = iter(self._sampled(request))
        for token in link.generate(request):
            sampled, position, last = next(expected)
            where = f"sequence {request.sequence}, position {token.position}"
            if token.token != sampled:
                raise Mismatch(
                    f"{where}: the integer model sampled token {sampled}, "
                    f"the netlist token {token.token}"
                )
            cycles = self._cycles[len(self.outcome.tokens)]
            self._equal(f"{where}, position", position, token.position)
            self._equal(f"{where}, last", last, token.last)
            self._equal(f"{where}, cycles of the token", cycles, token.cycles)
            self._equal(f"{where}, error light", False, "error" in port.lit)
            self.outcome.compared += 1
            self.outcome.tokens.append(token)
            say({"sequence": request.sequence, "token": token.token, "last": token.last})

    def _counters(self, frames: int, seconds: float) -> None:
        """The last of ``frames`` may not be counted yet: it is the one that asks."""
        counted = self.outcome.counters
        cycles = [token.cycles for token in self.outcome.tokens]
        expected = dict.fromkeys(protocol.COUNTERS, 0) | {
            "cycles": counted["cycles"],
            "token_cycles": sum(cycles),
            "tokens": len(cycles),
            "frames": max(frames - 1, min(frames, counted["frames"])),
            "fewest_cycles": min(cycles),
            "most_cycles": max(cycles),
            "last_cycles": cycles[-1],
        }
        for name, value in expected.items():
            self._equal(f"counter {name}", value, counted[name])
        most = seconds * self._expected["clock_hz"]
        self._equal("whether counter cycles is possible", True, 0 < counted["cycles"] <= most)


def hello_of(design: Design, clock_hz: int) -> dict[str, object]:
    """What a device that was made of a design says that it is."""
    plan = design.plan
    return {
        "gateware": VERSION,
        "digest": plan.digest()[:16],
        "clock_hz": clock_hz,
        "n_vocab": plan.n_vocab,
        "n_ctx": plan.n_ctx,
        "streams": design.schedule.streams,
    }


def sampled_by(design: Design, request: Request) -> Iterator[tuple[int, int, bool]]:
    """(token, position, last) of everything that the integer model samples."""
    for step in sampled_steps(design.plan, request):
        yield step.sampled, step.position, step.last

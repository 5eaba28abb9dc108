"""A conversation with a netlist, of which every answer is compared, with no tolerance.

Tokens are compared with the integer model, and their cycles with those that the simulated core
counted before synthesis; then the device's own counters, and its lights, with all of that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from golden import protocol
from golden.generate import Request, generate
from sim.build import Design
from sim.host import Link
from sim.mismatch import Mismatch
from sim.netlist.port import NetlistPort
from sim.replies import Device, LinkError, NoReply, Token

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
    design: what the netlist was made of.  clock_hz: of its gateware.
    cycles: of every token that is sampled, in order.
    """

    def __init__(self, design: Design, clock_hz: int, cycles: Sequence[int]):
        self._design, self._clock_hz = design, clock_hz
        self._cycles = list(cycles)
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
        port.read(RESET_SECONDS)
        try:
            self._hello(link.hello())
            for request in requests:
                self._generate(link, port, request, say)
            self.outcome.counters = link.counters()
        except NoReply:
            said = f"after {len(self.outcome.tokens)} tokens"
            raise Mismatch(f"the netlist stopped answering {said}") from None
        except LinkError as error:
            raise Mismatch(f"the netlist gave a wrong answer: {error}") from None
        self._counters(len(requests) + 2, port.seconds)
        self._equal("the lights at the end", set(), port.lights - {"alive"})
        return self.outcome

    def _equal(self, what: str, expected, found) -> None:
        self.outcome.compared += 1
        if expected != found:
            raise Mismatch(f"{what}: expected {expected}, the netlist has {found}")

    def _hello(self, device: Device) -> None:
        plan, schedule = self._design.plan, self._design.schedule
        self._equal("digest of the plan", plan.digest()[:16], device.digest)
        self._equal("frequency", self._clock_hz, device.clock_hz)
        self._equal("vocabulary", plan.n_vocab, device.n_vocab)
        self._equal("context", plan.n_ctx, device.n_ctx)
        self._equal("streams", schedule.streams, device.streams)

    def _generate(self, link: Link, port: NetlistPort, request: Request, say) -> None:
        steps = (step for step in generate(self._design.plan, request) if step.sampled is not None)
        for token in link.generate(request):
            step = next(steps)
            where = f"sequence {request.sequence}, position {token.position}"
            if token.token != step.sampled:
                raise Mismatch(
                    f"{where}: the integer model sampled token {step.sampled}, "
                    f"the netlist token {token.token}"
                )
            cycles = self._cycles[len(self.outcome.tokens)]
            self._equal(f"{where}, position", step.position, token.position)
            self._equal(f"{where}, last", step.last, token.last)
            self._equal(f"{where}, cycles of the token", cycles, token.cycles)
            self._equal(f"{where}, error light", False, "error" in port.lit)
            self.outcome.compared += 1
            self.outcome.tokens.append(token)
            say({"sequence": request.sequence, "token": token.token, "last": token.last})

    def _counters(self, frames: int, seconds: float) -> None:
        counted = self.outcome.counters
        cycles = [token.cycles for token in self.outcome.tokens]
        expected = dict.fromkeys(protocol.COUNTERS, 0) | {
            "cycles": counted["cycles"],
            "token_cycles": sum(cycles),
            "tokens": len(cycles),
            "frames": frames,
            "fewest_cycles": min(cycles),
            "most_cycles": max(cycles),
            "last_cycles": cycles[-1],
        }
        for name, value in expected.items():
            self._equal(f"counter {name}", value, counted[name])
        most = seconds * self._clock_hz
        self._equal("whether counter cycles is possible", True, 0 < counted["cycles"] <= most)

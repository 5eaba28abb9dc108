"""A core with its host link and lights: all that a board needs, behind plain ports."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.schedule import Schedule
from hdl import tally
from hdl.external.layout import Layout
from hdl.external.loader import CHUNK_BITS, Loader
from hdl.external.share import Share
from hdl.generator import join_requests
from hdl.host import Host, hello_payload
from hdl.prompt import longest_prompt
from hdl.uart import Receiver, Transmitter, bit_cycles

MAX_PROMPT = 64
"""Tokens that a prompt can have, if the board says nothing else and no memory is to be loaded."""


def most_prompt(loader: bool) -> int:
    """Tokens that a prompt can have: frames that load a memory have room for more than others."""
    return longest_prompt(CHUNK_BITS) if loader else MAX_PROMPT


def replies(
    plan,
    schedule: Schedule,
    clock_hz: int,
    digest: bytes,
    gateware: tuple[int, int, int],
    max_prompt: int | None = None,
) -> list[int]:
    """The words of the memory hdl.tally.MEMORY, all that depends on a device's own values."""
    known = _known(clock_hz, digest, gateware)
    most = max_prompt or most_prompt(bool(schedule.port))
    return tally.contents(hello_payload(schedule.streams, plan.n_vocab, plan.n_ctx, most, known))


def _known(clock_hz: int, digest: bytes, gateware: tuple[int, int, int]) -> dict[str, int]:
    """What only the board knows of the reply to HELLO."""
    major, minor, patch = gateware
    return {
        "clock_hz": clock_hz,
        "digest": int.from_bytes(digest, "little"),
        "gateware": patch | minor << 8 | major << 16,
    }


class Soc(wiring.Component):
    """Everything in one clock domain, ``sync``; clock, reset and pins are the platform's.

    After a reset the link and its counters begin anew.  The ports of the core that the link does
    not use (streamed weights) are left to the board.  An external memory is the core's, and while a
    LOAD is acted on the link's.

    Parameters
    ----------
    core: hdl.core.Core, or a component like it: ``requests``, ``tokens``, ``abort``, ``slot``,
        ``idle``, and the attributes ``plan``, ``schedule`` and ``tags``.
    clock_hz: of ``sync``.
    baud: of the UART.
    digest: the first 8 bytes of the plan's digest.
    gateware: version, as (major, minor, patch).
    max_prompt: tokens that a prompt can have; :func:`most_prompt` if None.

    Members
    -------
    rx, tx: the UART; rx need not be synchronous.
    alive: blinks. busy: a sequence is in work. error: the last frame from the host was wrong.
    memory: port of the external memory, if the core has one.

    Raises
    ------
    WeftError: the clock cannot make the baud rate.
    """

    def __init__(self, core, clock_hz: int, baud: int, digest: bytes,
                 gateware: tuple[int, int, int], max_prompt: int | None = None):  # fmt: skip
        self._core = core
        self._cycles = bit_cycles(clock_hz, baud)
        plan, known = core.plan, _known(clock_hz, digest, gateware)
        self._loader, memory = None, dict(core.signature.members).get("memory")
        if memory is not None:
            self._loader = Loader(core.schedule.port, Layout(plan, core.schedule.port).end)
        self._host = Host(
            core.schedule.streams, core.tags, plan.n_vocab, plan.n_ctx, known,
            max_prompt or most_prompt(memory is not None), self._loader,
        )  # fmt: skip
        super().__init__(
            {"rx": In(1, init=1), "tx": Out(1), "alive": Out(1), "busy": Out(1), "error": Out(1)}
            | ({} if memory is None else {"memory": memory})
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.core = core = self._core
        m.submodules.host = host = self._host
        m.submodules.receiver = receiver = Receiver(self._cycles)
        m.submodules.transmitter = transmitter = Transmitter(self._cycles)
        wiring.connect(m, host.o, transmitter.i)
        join_requests(m, host.requests, core.requests)
        wiring.connect(m, core.tokens, host.tokens)
        if self._loader:
            self._share(m, core)
        m.d.comb += [
            receiver.rx.eq(self.rx),
            self.tx.eq(transmitter.tx),
            host.slot.eq(core.slot),
            core.abort.eq(host.abort),
            self.alive.eq(host.beat),
            self.busy.eq(~core.idle),
            self.error.eq(host.error),
        ]
        m.d.sync += [  # bytes are far apart: a register keeps the way to the host short
            host.i.valid.eq(receiver.o.valid),
            host.i.p.eq(receiver.o.p),
            host.framing_error.eq(receiver.framing_error),
        ]
        return m

    def _share(self, m: Module, core):
        """The external memory for the core, and for the link."""
        port, loader = self.memory, self._loader
        m.submodules.share = share = Share(len(port.command.p.address), len(port.rdata))
        wiring.connect(m, core.memory, share.core)
        wiring.connect(m, loader.memory, share.loader)
        wiring.connect(m, share.memory, wiring.flipped(port))
        m.d.comb += share.busy.eq(loader.busy)

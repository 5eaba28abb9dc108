"""The device's end of the host link: acts on frames, and tells what the core samples.

What frames say is in golden/protocol.py.
"""

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden import protocol
from golden.protocol import REPLY, Refusal, Type
from hdl import tally
from hdl.frames import Deframer, Framer
from hdl.generator import request_layout, token_layout
from hdl.prompt import Prompt, length_bits
from hdl.stream import Tags
from hdl.tally import Tally

PAYLOADS = {
    Type.HELLO: (tally.HELLO, protocol.HELLO),
    Type.GENERATE: (0, {}),
    Type.ABORT: (0, {}),
    Type.COUNTERS: (tally.SNAPSHOT, protocol.COUNTERS),
    Type.TOKEN: (tally.TOKEN, protocol.TOKEN),
}
"""Where in the tally's memory the payload of a reply is, and its fields."""

LOADED = {Type.LOAD: (0, protocol.MEMORY)}
"""The same of the loader's."""


def hello_payload(streams: int, n_vocab: int, n_ctx: int | None, max_prompt: int,
                  known: dict) -> bytes:  # fmt: skip
    """The payload of the reply to HELLO; OverflowError if a value does not fit it."""
    values = {"protocol": protocol.VERSION, "n_vocab": n_vocab, "n_ctx": n_ctx or 0,
              "streams": streams, "max_prompt": max_prompt, **known}  # fmt: skip
    return protocol.pack(protocol.HELLO, values)


class Host(wiring.Component):
    """Between bytes and the core's ``requests`` and ``tokens``.

    Frames are acted on one after the other; one may wait, and what comes on top of it is dropped
    and counted.  Replies never overlap; a token goes before a waiting frame, and the tally needs
    tally.ROUND cycles between two tokens, so neither keeps the other waiting for good.  A frame
    that is wrong is answered with an ERROR if no other reply is being sent, and else only counted.
    A GENERATE is BUSY while all streams are in use, another prompt is being fed, or an ABORT waits
    for the last token.  After several ABORTs only the last one is answered.  Without a loader LOAD
    is unknown; it is BUSY while any sequence is in work, and none begins while it is acted on.

    Latency: a TOKEN begins at most ``2 * tally.ROUND`` cycles after ``tokens``, if nothing is being
    sent.  Back-pressure: ``tokens`` waits until its frame has been sent, and ``requests`` as long
    as it must; bytes cannot wait.

    Parameters
    ----------
    streams, tags, n_vocab, n_ctx: those of the core's hdl.generator.Generator.
    hello: values of the reply to HELLO that are not known here: gateware, digest, clock_hz.
    max_prompt: tokens that a GENERATE can have, at least.
    loader: hdl.external.loader.Loader of a core with an external memory, or one like it; it becomes
        a submodule.

    Members
    -------
    i, o: bytes.
    framing_error: of the UART (one cycle).
    requests, tokens, abort, slot: of the core.
    beat: changes every 2**24 cycles.
    error: the last frame was wrong, or a byte after it.

    Raises
    ------
    ValueError: as hdl.prompt.Prompt.  OverflowError: a value does not fit into the reply to HELLO.
    """

    def __init__(self, streams: int, tags: Tags, n_vocab: int, n_ctx: int | None, hello: dict,
                 max_prompt: int, loader=None):  # fmt: skip
        self._streams, self._loader = streams, loader
        bits = max(length_bits(max_prompt), loader.length_bits if loader else 0)
        self._hello = hello_payload(streams, n_vocab, n_ctx, max_prompt, hello)
        self._deframer, self._prompt = Deframer(bits), Prompt(n_vocab, n_ctx, bits)
        super().__init__(
            {
                "i": In(stream.Signature(8, always_ready=True)),
                "o": Out(stream.Signature(8)),
                "framing_error": In(1),
                "requests": Out(stream.Signature(request_layout(n_vocab))),
                "tokens": In(stream.Signature(token_layout(n_vocab, tags, n_ctx))),
                "abort": Out(1),
                "slot": In(tags.stream),
                "beat": Out(1),
                "error": Out(1),
            }
        )
        self._told = Signal()  # the tally knows the token that waits
        self._active = Signal(streams)
        self._numbers = Array(Signal(8, name=f"number{k}", reset_less=True) for k in range(streams))
        # Numbers of the prompt that is fed (and of the sequence, if there can be but one), of the
        # ABORT that waits, and of what is answered.
        self._fed, self._aborted, self._number = (Signal(8, reset_less=True) for _ in range(3))
        self._kind = Signal(Type, reset_less=True)
        self._refusal = Signal(Refusal, reset_less=True)

    def elaborate(self, platform):
        m = Module()
        m.submodules.deframer = deframer = self._deframer
        m.submodules.prompt = prompt = self._prompt
        m.submodules.tally = counted = Tally(self._hello)
        m.submodules.framer = framer = Framer(tally.ADDRESS_BITS)
        wiring.connect(m, wiring.flipped(self.i), deframer.i)
        wiring.connect(m, framer.o, wiring.flipped(self.o))
        wiring.connect(m, prompt.requests, wiring.flipped(self.requests))
        seen = deframer.events.shape().members
        m.d.comb += [
            deframer.locked.eq(prompt.feeding),
            deframer.address.eq(prompt.address),
            prompt.data.eq(deframer.data),
            prompt.length.eq(deframer.frames.p.length),
            prompt.abort.eq(self.abort),
            counted.events.framing_errors.eq(self.framing_error),
            *(counted.events[name].eq(deframer.events[name]) for name in seen),
            counted.address.eq(framer.address),
            framer.data.eq(counted.data),
            self.beat.eq(counted.beat),
        ]
        if self._loader:
            self._connect(m, framer)
        with m.If(deframer.events.frames):
            m.d.sync += self.error.eq(0)
        with m.Elif(self.framing_error | deframer.events.bad_crc | deframer.events.bad_frames):
            m.d.sync += self.error.eq(1)
        self._sequences(m)
        self._tell(m, counted)
        self._act(m, counted, framer)
        return m

    def _connect(self, m: Module, framer: Framer):
        """The loader takes its turn at the deframer's memory, and the framer reads its replies."""
        m.submodules.loader = loader = self._loader
        frames = self._deframer.frames
        m.d.comb += [
            loader.length.eq(frames.p.length),
            loader.data.eq(self._deframer.data),
            loader.reply_address.eq(framer.address),
        ]
        with m.If(loader.busy):
            m.d.comb += self._deframer.address.eq(loader.address)
        with m.If(self._kind == Type.LOAD):
            m.d.comb += framer.data.eq(loader.reply_data)

    def _sequences(self, m: Module):
        """Which slots are in use: from the first beat of a request until its last token was sent.

        A slot is free in the core before its last token was sent; it begins nothing until then.
        """
        asked, told = self._prompt.requests, self.tokens
        m.d.comb += self._prompt.hold.eq(self._active.bit_select(self.slot, 1))
        with m.If(asked.valid & asked.ready & asked.p.first):
            m.d.sync += self._active.bit_select(self.slot, 1).eq(1)
            if self._streams > 1:
                m.d.sync += self._numbers[self.slot].eq(self._fed)
        with m.If(told.valid & told.ready & told.p.last):
            m.d.sync += self._active.bit_select(told.p.stream, 1).eq(0)

    def _tell(self, m: Module, counted: Tally):
        """Every token is told once; then its frame can be sent."""
        token = self.tokens.p
        m.d.comb += [counted.token[name].eq(token[name]) for name in protocol.TOKEN]
        m.d.comb += counted.token_valid.eq(self.tokens.valid & ~self._told)
        with m.If(self.tokens.ready):
            m.d.sync += self._told.eq(0)
        with m.Elif(counted.told):
            m.d.sync += self._told.eq(1)

    def _act(self, m: Module, counted: Tally, framer: Framer):
        frames, prompt, refused = self._deframer.frames, self._prompt, self._deframer.refused
        with m.FSM():
            with m.State("WAIT"):
                with m.If(refused.valid):
                    self._refuse(m, refused.p.refusal, refused.p.number)
                with m.Elif(self._told):
                    number = self._numbers[self.tokens.p.stream] if self._streams > 1 else self._fed
                    self._answer(m, Type.TOKEN, number)
                with m.Elif(self.abort & ~prompt.feeding & ~self._active.any()):
                    m.d.sync += self.abort.eq(0)
                    self._answer(m, Type.ABORT, self._aborted)
                with m.Elif(frames.valid):
                    self._frame(m, frames)
            with m.State("CHECK"):
                m.d.comb += frames.ready.eq(prompt.checked)
                with m.If(prompt.refused):
                    self._refuse(m, prompt.refusal, frames.p.number)
                with m.Elif(prompt.checked):
                    m.d.sync += self._fed.eq(frames.p.number)
                    self._answer(m, Type.GENERATE, frames.p.number)
            if self._loader:
                with m.State("LOAD"):
                    self._load(m, frames)
            with m.State("COPY"):
                m.d.comb += [counted.copy.eq(1), frames.ready.eq(counted.copied)]
                with m.If(counted.copied):
                    self._answer(m, Type.COUNTERS, frames.p.number)
            with m.State("SEND"):
                message = framer.messages
                m.d.comb += message.valid.eq(1)
                with m.If(message.ready):
                    m.next = "SENT"
            with m.State("SENT"):
                m.d.comb += self.tokens.ready.eq(self._kind == Type.TOKEN)
                m.next = "WAIT"
        self._message(m, framer.messages.p)

    def _frame(self, m: Module, frames):
        """Begin to act on a frame."""
        prompt, number, there = self._prompt, frames.p.number, frames.p.length.any()
        busy = prompt.feeding | self.abort | self._active.all() | ~frames.p.stored
        m.d.comb += frames.ready.eq(1)
        with m.Switch(frames.p.type):
            with m.Case(Type.GENERATE):
                with m.If(busy):
                    self._refuse(m, Refusal.BUSY, number)
                with m.Else():
                    m.d.comb += [prompt.start.eq(1), frames.ready.eq(0)]
                    m.next = "CHECK"
            with m.Case(Type.HELLO, Type.ABORT, Type.COUNTERS):
                with m.If(there):
                    self._refuse(m, Refusal.BAD_LENGTH, number)
                with m.Elif(frames.p.type == Type.HELLO):
                    self._answer(m, Type.HELLO, number)
                with m.Elif(frames.p.type == Type.ABORT):
                    m.d.sync += [self.abort.eq(1), self._aborted.eq(number)]
                with m.Else():
                    m.d.comb += frames.ready.eq(0)
                    m.next = "COPY"
            if self._loader:
                with m.Case(Type.LOAD):
                    with m.If(prompt.feeding | self.abort | self._active.any() | ~frames.p.stored):
                        self._refuse(m, Refusal.BUSY, number)
                    with m.Else():
                        m.d.comb += [self._loader.start.eq(1), frames.ready.eq(0)]
                        m.next = "LOAD"
            with m.Default():
                self._refuse(m, Refusal.UNKNOWN_TYPE, number)

    def _load(self, m: Module, frames):
        """Wait for the loader."""
        loader = self._loader
        m.d.comb += frames.ready.eq(loader.done)
        with m.If(loader.done & loader.refused):
            self._refuse(m, loader.refusal, frames.p.number)
        with m.Elif(loader.done):
            self._answer(m, Type.LOAD, frames.p.number)

    def _refuse(self, m: Module, refusal, number):
        m.d.sync += self._refusal.eq(refusal)
        self._answer(m, Type.ERROR, number)

    def _answer(self, m: Module, kind: Type, number):
        m.d.sync += [self._kind.eq(kind), self._number.eq(number)]
        m.next = "SEND"

    def _message(self, m: Module, message):
        """The frame that answers."""
        m.d.comb += [message.type.eq(self._kind | REPLY), message.number.eq(self._number)]
        payloads = PAYLOADS | (LOADED if self._loader else {})
        with m.Switch(self._kind):
            for kind, (address, fields) in payloads.items():
                with m.Case(kind):
                    length = protocol.size(fields)
                    m.d.comb += [message.address.eq(address), message.length.eq(length)]
                    m.d.comb += message.last.eq(address + length - 1)
            with m.Case(Type.ERROR):
                m.d.comb += message.address.eq(tally.ERROR | self._refusal)
                m.d.comb += message.last.eq(tally.ERROR | self._refusal)
                m.d.comb += message.length.eq(protocol.size(protocol.ERROR))

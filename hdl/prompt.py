"""The payload of a GENERATE: one pass over its bytes checks it, another feeds it to the core."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden import protocol
from golden.protocol import MAX_NOISE_SCALE, MAX_VOCAB, TOKEN_BYTES, Refusal
from hdl.frames import layout
from hdl.generator import request_layout

TAIL = protocol.size(protocol.SETTINGS)
"""Bytes behind the prompt."""


def length_bits(max_prompt: int) -> int:
    """Bits for the length of a GENERATE with ``max_prompt`` tokens, and for most others."""
    return (TAIL + TOKEN_BYTES * max_prompt).bit_length()


def longest_prompt(bits: int) -> int:
    """The most tokens of a GENERATE whose length has ``bits`` bits."""
    return ((1 << bits) - 1 - TAIL) // TOKEN_BYTES


class Prompt(wiring.Component):
    """Reads a GENERATE out of a deframer's memory (byte j of n bytes at address n - j).

    Latency: a check takes two cycles a byte. Throughput: a token every four cycles at the most.
    Back-pressure: ``requests`` waits as long as it must.

    Parameters
    ----------
    n_vocab, n_ctx: of the plan. length_bits: of the frames.

    Members
    -------
    start: check a payload, when neither checking nor feeding.
    length: of the payload, until it was checked.
    checked: that was done (one cycle).
    refused, refusal: and something is wrong with it. Otherwise feeding begins.
    feeding: the payload is being fed.
    abort: end the prompt with its next token.
    hold: no request may begin now. It may come and go as it likes, and so does ``requests.valid``.
    address, data: of the memory, which is read with a cycle of latency.
    requests: beats for the core.

    Raises
    ------
    ValueError: token ids do not fit the frames.
    """

    def __init__(self, n_vocab: int, n_ctx: int | None, length_bits: int):
        if n_vocab > MAX_VOCAB:
            raise ValueError(
                f"{n_vocab} token ids do not fit a frame; expected at most {MAX_VOCAB}"
            )
        self._n_vocab, self._n_ctx, self._length_bits = n_vocab, n_ctx, length_bits
        super().__init__(
            {
                "start": In(1),
                "length": In(length_bits),
                "checked": Out(1),
                "refused": Out(1),
                "refusal": Out(Refusal),
                "feeding": Out(1),
                "abort": In(1),
                "hold": In(1),
                "address": Out(length_bits),
                "data": In(8),
                "requests": Out(stream.Signature(request_layout(n_vocab))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cursor, settled = Signal(self._length_bits, reset_less=True), Signal()
        settings = Signal(layout(protocol.SETTINGS), reset_less=True)
        has_stop, first, wrong = Signal(), Signal(), Signal()
        m.d.comb += self.address.eq(cursor)
        m.d.sync += settled.eq(1)  # unless the cursor moves
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [cursor.eq(self.length), settled.eq(0)]
                with m.If(self.start):
                    m.next = "CHECK"
            with m.State("CHECK"):
                done, refused, refusal = self._check(m, cursor, settled, settings, has_stop)
                m.d.sync += [wrong.eq(refused), self.refusal.eq(refusal)]
                with m.If(done):
                    m.next = "TELL"
            with m.State("TELL"):
                m.d.comb += [self.checked.eq(1), self.refused.eq(wrong)]
                m.d.sync += [cursor.eq(self.length), settled.eq(0), first.eq(1)]
                m.next = "FEED"
                with m.If(wrong):
                    m.next = "IDLE"
            with m.State("FEED"):
                m.d.comb += self.feeding.eq(1)
                self._feed(m, cursor, settled, first)
                with m.If(self.requests.valid & self.requests.ready & self.requests.p.last):
                    m.next = "IDLE"
        asked = self.requests.p
        names = ("stop", "noise_scale", "count", "seed", "sequence")
        m.d.comb += [asked[name].eq(settings[name]) for name in names]
        m.d.comb += asked.has_stop.eq(has_stop)
        return m

    def _check(self, m: Module, cursor, settled, settings, has_stop):
        """One pass; what is behind the prompt is shifted in, and stays.

        Answers (whether it is over, whether the frame is refused, why).
        """
        refused, refusal = Signal(), Signal(Refusal)
        bits = settings.as_value()
        known = Cat(bits[-8:], self.data) < self._n_vocab  # the byte before and this one
        too_long = 0
        if self._n_ctx is not None and self._n_ctx < longest_prompt(self._length_bits):
            too_long = self.length > TAIL + TOKEN_BYTES * self._n_ctx
        wrong = [
            (self.length[0] | (self.length < TAIL), Refusal.BAD_LENGTH),
            (self.length == TAIL, Refusal.EMPTY_PROMPT),
            (too_long, Refusal.PROMPT_TOO_LONG),
            (settled & cursor[0] & (cursor > TAIL) & ~known, Refusal.BAD_TOKEN),
            ((cursor == 0) & (settings.count == 0), Refusal.BAD_COUNT),
            ((cursor == 0) & (settings.noise_scale > MAX_NOISE_SCALE), Refusal.BAD_NOISE_SCALE),
        ]
        for condition, code in reversed(wrong):
            with m.If(condition):
                m.d.comb += [refused.eq(1), refusal.eq(code)]
        with m.If(settled):
            m.d.sync += [bits.eq(Cat(bits[8:], self.data)), cursor.eq(cursor - 1), settled.eq(0)]
            with m.If(cursor == TAIL - 1):
                m.d.sync += has_stop.eq(known)
        return refused | (cursor == 0), refused, refusal

    def _feed(self, m: Module, cursor, settled, first):
        """Two bytes, then a beat."""
        low, asked = Signal(8, reset_less=True), self.requests
        m.d.comb += [
            asked.valid.eq(settled & cursor[0] & ~(first & self.hold)),
            asked.p.token.eq(Cat(low, self.data)),
            asked.p.first.eq(first),
            asked.p.last.eq(self.abort | (cursor == TAIL + 1)),
        ]
        with m.If(settled & (~cursor[0] | (asked.valid & asked.ready))):
            m.d.sync += [cursor.eq(cursor - 1), settled.eq(0)]
            with m.If(cursor[0]):
                m.d.sync += first.eq(0)
            with m.Else():
                m.d.sync += low.eq(self.data)

"""What replies say: counters of the device, the last token, and constants, in one small memory.

Counters of 32 and 64 bits in registers would be most of a host link. Here they are bytes of a
memory, and one adder of 8 bits goes round and round through all of them.
"""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden import protocol
from golden.protocol import Refusal
from hdl.byte_memory import ByteMemory
from hdl.frames import layout
from hdl.memory import verilog_name

ADDRESS_BITS = 8
ROUND = 256
"""Cycles of a round: 64 bytes, twice, two cycles each."""

MEMORY, MEMORY_SHAPE = "host.replies", (8, 1 << ADDRESS_BITS)
"""Name, width and depth: a simulation loads it like the memories of the core."""

LIVE, SNAPSHOT, HELLO, ERROR = 0, 64, 128, 192
"""Where what begins: the live counters, their copy, the reply to HELLO, refusals (one a byte)."""

TOKEN = LIVE + protocol.size(protocol.COUNTERS) - protocol.TOKEN["cycles"]
"""The payload of a TOKEN begins with the last counter: the cycles of the last token."""


def contents(hello: bytes) -> list[int]:
    """The memory's first bytes, for a payload of the reply to HELLO."""
    refusals = [0] * (max(Refusal) + 1)
    for refusal in Refusal:
        refusals[refusal] = refusal
    return [*bytes(HELLO), *hello.ljust(ERROR - HELLO, b"\0"), *refusals]


def _words() -> dict[str, int]:
    """The word of 4 bytes in which every counter begins."""
    offset, words = 0, {}
    for name, count in protocol.COUNTERS.items():
        words[name] = offset // 4
        offset += count
    return words


WORD = _words()
EVENTS = data.StructLayout({"frames": 1, "bad_crc": 1, "bad_frames": 1, "framing_errors": 1})
"""What happened in a cycle."""


class Tally(wiring.Component):
    """Counts, and keeps the payloads of replies.

    A round takes ROUND cycles and begins with address 0. In its first half (phase 0) the cycles of
    a token are compared with the least and the most so far, and the counters are copied if a copy
    is wanted; in its second half (phase 1) they are written anew. Every byte takes two cycles:
    read, write. In the first round after a reset all counters are 0 (``fewest_cycles``: all ones).

    Latency: a token is ``told`` up to 2 * ROUND cycles after it came. Throughput: a token every
    ROUND cycles, one event of a kind every ROUND cycles; a second one within them is not counted.

    Parameters
    ----------
    hello: payload of the reply to HELLO, up to 64 bytes.

    Members
    -------
    token, token_valid: the token to be told, held until it is.
    told: the memory holds the token, and it was counted (one cycle).
    events: what happened in this cycle.
    copy, copied: hold ``copy`` until SNAPSHOT holds all counters, of one moment.
    address, data: of the memory, which is read with a cycle of latency.
    beat: changes every ``2**24`` cycles.
    """

    def __init__(self, hello: bytes):
        self._init = contents(hello)
        super().__init__(
            {
                "token": In(layout(protocol.TOKEN)),
                "token_valid": In(1),
                "told": Out(1),
                "events": In(EVENTS),
                "copy": In(1),
                "copied": Out(1),
                "address": In(ADDRESS_BITS),
                "data": Out(8),
                "beat": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        step = Signal(range(ROUND))
        at = step[3:7], step[1:3], step[7], step[0]  # word, byte, phase, and whether to write
        word, _, phase, second = at
        taking, copying, fresh = Signal(), Signal(), Signal(init=1)
        m.d.sync += step.eq(step + 1)
        with m.If(step == 0):
            m.d.sync += [taking.eq(self.token_valid & ~fresh), copying.eq(self.copy & ~fresh)]
        with m.If(step == ROUND - 1):
            m.d.sync += fresh.eq(0)
        m.d.comb += [
            self.told.eq(taking & (step == ROUND - 1)),
            self.copied.eq(copying & (step == ROUND // 2 - 1)),
        ]
        m.submodules.bytes = words = ByteMemory(ADDRESS_BITS, 2, self._init, verilog_name(MEMORY))
        old, given = Signal(8), self._given(m, at)
        total = self._add(m, at, old, given, taking)
        store = taking & self._wins(m, at, total)
        m.d.comb += [
            words.reads[0].eq(step[1:7]),
            words.reads[1].eq(self.address),
            self.data.eq(words.answers[1]),
            old.eq(Mux(fresh, (word == WORD["fewest_cycles"]).replicate(8), words.answers[0])),
            words.address.eq(Cat(step[1:7], ~phase)),
            words.write.eq(second & (phase | copying)),
            words.data.eq(old),
        ]
        with m.If(phase & (word < WORD["fewest_cycles"])):
            m.d.comb += words.data.eq(total)
        with m.Elif(phase & store):
            m.d.comb += words.data.eq(given)
        return m

    def _given(self, m: Module, at) -> Signal:
        """The byte of the token for a word: position and id have their own, the cycles the rest."""
        word, byte, _, _ = at
        given, token = Signal(8), self.token
        with m.Switch(word):
            with m.Case(WORD["last_cycles"] + 1):
                m.d.comb += given.eq(_byte(token.position, byte))
            with m.Case(WORD["last_cycles"] + 2):
                m.d.comb += given.eq(_byte(Cat(token.token, token.last), byte))
            with m.Default():
                m.d.comb += given.eq(_byte(token.cycles, byte))
        return given

    def _add(self, m: Module, at, old: Signal, given: Signal, taking: Signal) -> Signal:
        """Phase 0: ``old - given``; phase 1: ``old`` and what is to be counted.  9 bits."""
        word, byte, phase, second = at
        more, carry, carried, total = Signal(8), Signal(), Signal(reset_less=True), Signal(9)
        with m.If(~phase):
            m.d.comb += [more.eq(~given), carry.eq(1)]
        with m.Elif(word == WORD["token_cycles"]):
            m.d.comb += more.eq(Mux(taking, given, 0))
        with m.Elif(word == WORD["cycles"]):
            m.d.comb += more.eq(byte == 1)  # ROUND
        with m.Elif(word == WORD["tokens"]):
            m.d.comb += carry.eq(taking)
        for name, event in ((name, self.events[name]) for name in EVENTS.members):
            waiting = Signal(name=f"{name}_waiting")
            m.d.sync += waiting.eq(waiting | event)
            with m.If(phase & (word == WORD[name])):
                m.d.comb += carry.eq(waiting)
                with m.If(second & (byte == 0)):
                    m.d.sync += waiting.eq(event)
        upper = (word == WORD["cycles"] + 1) | (word == WORD["token_cycles"] + 1)
        enters = Mux(byte.any() | upper, carried, carry)
        m.d.comb += total.eq((Cat(enters, old) + Cat(enters, more)) >> 1)
        with m.If(second):
            m.d.sync += carried.eq(total[8])
        with m.If(second & phase & (word == WORD["cycles"]) & (byte == 3)):
            m.d.sync += self.beat.eq(total[0])
        return total

    def _wins(self, m: Module, at, total: Signal):
        """Whether the token's bytes replace those of a word, as phase 0 found."""
        word, byte, phase, second = at
        fewest, most = Signal(reset_less=True), Signal(reset_less=True)
        with m.If(second & ~phase & (byte == 3)):
            with m.If(word == WORD["fewest_cycles"]):
                m.d.sync += fewest.eq(total[8])
            with m.If(word == WORD["most_cycles"]):
                m.d.sync += most.eq(~total[8])
        wins = Signal()
        with m.Switch(word):
            with m.Case(WORD["fewest_cycles"]):
                m.d.comb += wins.eq(fewest)
            with m.Case(WORD["most_cycles"]):
                m.d.comb += wins.eq(most)
            with m.Default():
                m.d.comb += wins.eq(1)
        return wins


def _byte(value, number):
    """One of the bytes of a value of up to 32 bits."""
    return Array(value[8 * k : 8 * (k + 1)] for k in range(4))[number]

"""The simulation top: a core, what feeds it, and what writes down everything that it does.

All of it runs inside the simulator. Python loads three kinds of words before the run (the core's
memories, ``bench.requests`` and ``bench.settings``), and reads lines (:mod:`sim.recorder`).
"""

from collections.abc import Mapping, Sequence

from amaranth.hdl import Const, Module, Mux, Print, Signal, Value, unsigned
from amaranth.hdl import Format as Line
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.errors import WeftError
from hdl.memory import Memories
from sim import payload, recorder
from sim.memory_player import flat_members, join_memory, play_memory
from sim.recorder import Design
from sim.weight_player import play_weights

REQUESTS, SETTINGS = "bench.requests", "bench.settings"
"""Names of the two memories that the bench adds to those of the core."""

QUIET = 4
"""Cycles for which a core must be idle, with all requests played, before the run is over."""

CYCLE_BITS = 32

SETTINGS_LAYOUT = data.StructLayout(
    {
        "watchdog": unsigned(32),
        "seed": unsigned(32),
        "idle": unsigned(8),
        "pressure": unsigned(8),
        "weight_idle": unsigned(8),
        "record": unsigned(1),
    }
)
"""Word of ``bench.settings``: see :func:`settings`."""


def settings(
    *,
    record: bool = True,
    idle: int = 0,
    pressure: int = 0,
    weight_idle: int = 0,
    seed: int = 0,
    watchdog: int = 100_000,
) -> list[int]:
    """Words for ``bench.settings``.

    Parameters
    ----------
    record
        Write a line for each beat at each tap.
    idle
        The chance, in 256ths, that a waiting request is held back for one more cycle.
    pressure
        The chance, in 256ths, that tokens are not taken in a cycle.
    weight_idle
        The chance, in 256ths, that a word of streamed weights is held back for one more cycle.
    seed
        Of all chances.
    watchdog
        Cycles without any beat or token after which the core counts as hung; 0 is never.
    """
    word = {"record": record, "idle": idle, "pressure": pressure, "weight_idle": weight_idle}
    layout = payload.describe(SETTINGS_LAYOUT)
    try:
        return [payload.pack(layout, word | {"seed": seed, "watchdog": watchdog})]
    except ValueError as error:
        raise WeftError(f"the simulation cannot be set up so: {error}") from None


def requests(design: Design, rows: Sequence[Mapping | int]) -> list[int]:
    """Words for ``bench.requests``: payloads as dictionaries or bits, at least one, in order."""
    _, depth = design.memories[REQUESTS]
    if not 1 <= len(rows) <= depth:
        raise WeftError(f"{len(rows)} requests were given; this simulation takes 1 to {depth}")
    words = [row if isinstance(row, int) else payload.pack(design.requests, row) for row in rows]
    words[-1] |= 1 << payload.width(design.requests)
    return words


class Bench(wiring.Component):
    """A core with its request player, recorder and watchdog.

    Parameters
    ----------
    core: a component with ``requests``, ``tokens`` and ``idle``, and the attributes of
        :mod:`hdl.observe` if its inside is to be seen.
    memories: the ones that the core was made with; the bench adds its own.
    request_depth: requests that a run can have at most.
    outside: the core's external memory is brought by the program around the bench.

    Members
    -------
    done: the run is over. hung: and it did not end by itself.
    mem_*: the core's memory port, when it is outside (sim.memory_player.flat_members).
    """

    def __init__(self, core, memories: Memories, request_depth: int = 1024, outside: bool = False):
        flat = flat_members(core) if outside else {}
        super().__init__({"done": Out(1), "hung": Out(1), **flat})
        self.core, self._outside = core, outside
        self._memories = memories
        self._width = len(Value.cast(core.requests.p))
        # The last bit flags the last request. Read at once: the address is the request's number.
        self._rom = memories.rom(REQUESTS, self._width + 1, request_depth, synchronous=False)
        self._settings = memories.rom(SETTINGS, SETTINGS_LAYOUT.size, 1, synchronous=False)
        self.cycle = Signal(CYCLE_BITS)

    def design(self) -> Design:
        """What the lines of this bench mean; after elaboration."""
        port = self.core.schedule.port if self._outside else 0
        return recorder.design_of(self.core, self._memories.shapes, port)

    def elaborate(self, platform):
        m = Module()
        recorder.add_core(m, self.core, platform)
        m.submodules.requests = self._rom
        m.submodules.settings = self._settings
        chosen = data.View(SETTINGS_LAYOUT, self._settings.data)
        running, noise = Signal(), Signal(32)
        with m.If(running):
            m.d.sync += noise.eq(_xorshift(noise))
        with m.Else():  # one cycle to see the settings
            m.d.sync += [running.eq(1), noise.eq(Mux(chosen.seed == 0, ~Const(0, 32), chosen.seed))]
        active = Signal()
        m.d.comb += active.eq(running & ~self.done)
        m.d.sync += self.cycle.eq(self.cycle + 1)

        played = self._play(m, active, noise[:8] < chosen.idle)
        m.d.comb += self.core.tokens.ready.eq(active & (noise[16:24] >= chosen.pressure))
        play_weights(m, self.core, self._memories, noise[8:16] < chosen.weight_idle)
        if self._outside:
            join_memory(m, self.core, self)
        else:
            play_memory(m, self.core, self._memories, noise[8:16] < chosen.weight_idle)
        moved = recorder.record_streams(m, self.core, self.cycle, active)
        recorder.record_taps(m, self.core, self.cycle, active & chosen.record)
        self._end(m, active & played)
        self._watch(m, active, chosen.watchdog, moved)
        return m

    def _play(self, m: Module, active, pause) -> Signal:
        """Offer one request after the other; a request once offered stays. Returns ``played``."""
        core, rom = self.core, self._rom
        played, offered = Signal(), Signal()
        m.d.comb += [
            core.requests.valid.eq(active & ~played & (offered | ~pause)),
            Value.cast(core.requests.p).eq(rom.data[: self._width]),
        ]
        with m.If(core.requests.valid):
            m.d.sync += offered.eq(~core.requests.ready)
            with m.If(core.requests.ready):
                m.d.sync += [rom.addr.eq(rom.addr + 1), played.eq(rom.data[-1])]
        return played

    def _end(self, m: Module, played) -> None:
        """When nothing is left to do: the counters, and ``done``."""
        quiet = Signal(range(QUIET + 1))
        with m.If(played & self.core.idle & ~self.core.tokens.valid):
            m.d.sync += quiet.eq(quiet + 1)
        with m.Else():
            m.d.sync += quiet.eq(0)
        with m.If((quiet == QUIET) & ~self.done):
            m.d.sync += self.done.eq(1)
            recorder.print_counters(m, self.core)
            m.d.sync += Print(Line("d {:08x}", self.cycle))

    def _watch(self, m: Module, active, limit, moved) -> None:
        """When nothing has moved for ``limit`` cycles: the status of all units, and ``hung``."""
        silence = Signal(CYCLE_BITS)
        moves = moved[0] | moved[1]
        for tap in recorder.observed(self.core, "taps"):
            moves = moves | tap.valid
        m.d.sync += silence.eq(Mux(moves | ~active, 0, silence + 1))
        with m.If((silence == limit) & (limit != 0) & active):
            m.d.sync += [self.hung.eq(1), self.done.eq(1)]
            recorder.print_units(m, self.core)
            m.d.sync += Print(Line("h {:08x}", self.cycle))


class Probe(wiring.Component):
    """A core with its streams as ports, and with its recorder: what cocotb drives.

    Members
    -------
    requests, tokens, idle: the core's.
    record: whether beats at taps are written. cycle: its number.
    """

    def __init__(self, core, memories: Memories):
        self.core, self._memories = core, memories
        super().__init__(
            {
                "requests": In(stream.Signature(core.requests.p.shape())),
                "tokens": Out(stream.Signature(core.tokens.p.shape())),
                "idle": Out(1),
                "record": In(1),
                "cycle": Out(CYCLE_BITS),
            }
        )

    def design(self) -> Design:
        """What the lines of this probe mean; after elaboration."""
        return recorder.design_of(self.core, self._memories.shapes)

    def elaborate(self, platform):
        m = Module()
        recorder.add_core(m, self.core, platform)
        running = Signal()
        m.d.sync += [running.eq(1), self.cycle.eq(self.cycle + 1)]
        play_weights(m, self.core, self._memories, 0)
        play_memory(m, self.core, self._memories, 0)
        wiring.connect(m, wiring.flipped(self.requests), self.core.requests)
        wiring.connect(m, self.core.tokens, wiring.flipped(self.tokens))
        m.d.comb += self.idle.eq(self.core.idle)
        recorder.record_streams(m, self.core, self.cycle, running)
        recorder.record_taps(m, self.core, self.cycle, running & self.record)
        return m


def _xorshift(x):
    """The next of Marsaglia's 2^32 - 1 numbers: cheaper to simulate than 32 steps of an LFSR."""
    x = x ^ (x << 13)[:32]
    x = x ^ (x >> 17)
    return x ^ (x << 5)[:32]

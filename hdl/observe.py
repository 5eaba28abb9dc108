"""What a core lets a simulation see: taps, the status of its units, and their counters.

A core that is built to be observed has three attributes, filled when it is constructed or, at the
latest, elaborated: ``taps``, ``units`` and ``counters``. They are lists of these records, whose
signals belong to the core; a parent module may read them and never drives them. A core that is
built bare (for a board) has empty lists, and nothing of this costs a gate.

For people who read waveforms it also has signals without readers, named after units and stages
(:class:`View`).
"""

from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data

STATES = ("starved", "busy", "blocked")
"""What ``<unit>_state`` says in a waveform: the place in this list."""


@dataclass(frozen=True)
class Tap:
    """A stream inside the core, seen at the place where the integer model has a tap of that name.

    Parameters
    ----------
    name: of the tap, as the plan calls it.
    valid: high in the cycle of a transfer (the stream's ``valid`` and ``ready``).
    payload: what is transferred, usually a :func:`hdl.stream.beat`.
    """

    name: str
    valid: Signal
    payload: data.View


@dataclass(frozen=True)
class UnitStatus:
    """What a unit is doing in this cycle, told when a run hangs.

    Parameters
    ----------
    name: of the unit, as the schedule calls it.
    busy: it holds work and gets on with it.
    blocked: it holds work, and its reader or its multipliers are not ready.
    starved: it holds no work.
    job: the job of the oldest work that it holds, or None if it serves only one.
    """

    name: str
    busy: Signal
    blocked: Signal
    starved: Signal
    job: Signal | None = None


@dataclass(frozen=True)
class Counter:
    """Cycles that a unit spent on one of its jobs.

    Parameters
    ----------
    unit, job: whose counters these are.
    busy: cycles in which the unit worked on the job.
    blocked: cycles in which it held work of the job and its reader, or its multipliers, were not
    ready; never counted as busy.
    """

    unit: str
    job: int
    busy: Signal
    blocked: Signal


class View:
    """Signals of a core that a waveform shows first (``sim/waves``); no gateware reads them.

    ==============================================  ==============================================
    ``<unit>_state``                                place in STATES
    ``<unit>_job``                                  its job, where there are several
    ``<stage>_valid``, ``_ready``                   handshake of the stage's answer
    ``<stage>_stream``, ``_position``, ``_layer``   its tag, as far as there is a choice
    ``<stage>_value``, ``_exponent``                its first element; its exponent, if it has one
    ``<stage>_token``                               in place of them where the answer is a token
    ==============================================  ==============================================

    ``<stage>`` is the name of a tap with ``_`` for every dot. While there is no beat, values and
    tags are 0; but a token and its tag stay until the next. Before the first token, and as the job
    of a starved unit, there is NONE: a bit above the others.
    """

    def __init__(self, m: Module):
        self._m = m

    def unit(self, status: UnitStatus) -> None:
        """Show what a unit does."""
        self._show(f"{status.name}_state", Cat(status.busy, status.blocked))
        if status.job is not None and len(status.job):
            working, none = status.busy | status.blocked, 1 << len(status.job)
            self._show(f"{status.name}_job", Mux(working, status.job, none))

    def stream(self, name: str, stream) -> None:
        """Show a stream of beats or of tokens."""
        name, p = name.replace(".", "_"), stream.p
        self._show(f"{name}_valid", stream.valid)
        self._show(f"{name}_ready", stream.ready)
        tags = {field: p.tag[field] for field in ("stream", "position", "layer")}
        tags = {field: value for field, value in tags.items() if len(value)}
        if "token" in p.shape().members:
            none = 1 << len(p.token)
            self._show(f"{name}_token", self._held(f"{name}_token", stream.valid, p.token, none))
            tags = {f: self._held(f"{name}_{f}", stream.valid, tag) for f, tag in tags.items()}
        else:
            tags |= {"value": p.data[0]} | ({"exponent": p.exponent} if len(p.exponent) else {})
            tags = {field: Mux(stream.valid, value, 0) for field, value in tags.items()}
        for field, value in tags.items():
            self._show(f"{name}_{field}", value)

    def _held(self, name: str, valid: Value, value: Value, init: int = 0) -> Value:
        """The value, or the one before."""
        before = Signal(max(len(value), init.bit_length()), name=f"{name}_before", init=init)
        with self._m.If(valid):
            self._m.d.sync += before.eq(value)
        return Mux(valid, value, before)

    def _show(self, name: str, value: Value) -> None:
        """One signal; ``keep``: no simulator may drop it, though nobody reads it."""
        signal = Signal(value.shape(), name=name, attrs={"keep": 1})
        self._m.d.comb += signal.eq(value)

"""Who gets how many multipliers: the makers of schedules.

Every maker divides a budget of multipliers over the units of a plan.  Widths are powers of two, so
that a beat of one unit is a whole number of beats of another.
"""

from __future__ import annotations

import math
from dataclasses import replace

from golden.errors import OptionError
from golden.external import external
from golden.layout import heads_per_beat
from golden.numbers import Block
from golden.plan import Plan
from golden.schedule import SCHEDULES, WEIGHTS, Schedule, Unit, sections
from golden.stage import Attention, Linear, Rope, Stage, stage_macs

ROPE_LEAST = 4
"""Multipliers that rotary positions need: two for each element of a pair."""

MAX_LANES = 16
"""Widest beat the balancer chooses: wider ones cost fabric and save few cycles at these sizes."""

FORMING_PRODUCTS = ("linear", "norm", "attention", "rope", "gelu", "gate", "sample")


def forms_products(stage: Stage) -> bool:
    """Whether a stage needs multipliers."""
    return getattr(stage, "function", stage.kind) in FORMING_PRODUCTS


def attention_lanes(stage: Attention, multipliers: int, widest: int = MAX_LANES) -> int:
    """The widest beat for which scores, weights and values fit the multipliers."""
    lanes = 1
    while 2 * lanes <= min(widest, stage.output_size):
        wider = 2 * lanes
        if wider + heads_per_beat(stage.d_head, wider) > multipliers:
            break
        lanes = wider
    return lanes


def rope_lanes(stage: Rope, multipliers: int, widest: int = MAX_LANES) -> int:
    """The widest beat whose elements and their partners fit the multipliers; a pair at least."""
    return max(2, min(power_of_two(multipliers // 2), widest, power_of_two(stage.output_size)))


def power_of_two(limit: int) -> int:
    """The largest power of two that is at most ``limit``."""
    return 1 << (limit.bit_length() - 1)


def linear_shape(
    stages: list[Linear], multipliers: int, widest: int = MAX_LANES
) -> tuple[int, int]:
    """(lanes, rows) with the fewest cycles over ``stages``; of equals, the widest input."""
    total = power_of_two(multipliers)

    def cycles(lanes: int) -> int:
        rows = total // lanes
        shapes = [stage.weights.shape for stage in stages]
        return sum(math.ceil(m / rows) * math.ceil(n / lanes) for m, n in shapes)

    choices = [1 << k for k in range(total.bit_length()) if 1 << k <= widest]
    lanes = min(reversed(choices), key=cycles)
    return lanes, total // lanes


def folded_lanes(multipliers: int) -> int:
    """The widest beat by default: square tiles of a matrix leave the fewest products unused.

    Measured on microgpt, 64 multipliers: 8 x 8 makes 168 cycles a token, 16 x 4 makes 172 and a
    third more look-up tables.
    """
    return min(MAX_LANES, 1 << power_of_two(multipliers).bit_length() // 2)


def folded(plan: Plan, multipliers: int, streams: int = 1, widest: int | None = None) -> Schedule:
    """One unit for each kind of stage (and format), one array of ``multipliers`` for all."""
    physical = list(sections(plan, 1))
    turned = any(isinstance(stage, Rope) for _, section in physical for stage in section)
    _check("folded", multipliers, streams, least=ROPE_LEAST if turned else 2)
    _check_lanes(turned, widest)
    widest = widest or folded_lanes(multipliers)
    linears = [s for _, section in physical for s in section if isinstance(s, Linear)]
    lanes, rows = linear_shape(linears, multipliers, widest)
    narrow = dict.fromkeys(("residual", "activation", "convert", "sample"), rows)
    units: dict[str, Unit] = {}
    binding = []
    for name, section in physical:
        for stage in section:
            unit_name = _shared_name(stage, units)
            if unit_name not in units:
                array = "multipliers" if forms_products(stage) else None
                wide, heads = narrow.get(stage.kind, lanes), 0
                if isinstance(stage, Attention):
                    wide = attention_lanes(stage, multipliers, widest)
                    heads = heads_per_beat(stage.d_head, wide)
                if isinstance(stage, Rope):
                    wide = heads = rope_lanes(stage, multipliers, widest)
                answer = rows if stage.kind == "linear" else wide
                units[unit_name] = Unit(unit_name, stage.kind, wide, answer, array, heads)
            binding.append(((name, stage.name), unit_name))
    ordered = sorted(units.values(), key=lambda u: PRIORITY.index(u.kind))
    return Schedule("folded", multipliers, streams, 1, tuple(ordered), tuple(binding))


PRIORITY = (
    "linear", "attention", "rope", "activation", "gate", "norm", "embed", "residual", "convert",
    "sample",
)  # fmt: skip
"""Who goes first at a shared multiplier array: those that ask because of what stands in their own
registers, so that it is known early who wins.  A norm asks when a beat arrives; noise, made ahead
of its need, goes last."""


def _shared_name(stage: Stage, units: dict[str, Unit]) -> str:
    """Stages of one kind share a unit when their formats agree."""
    if stage.kind != "convert":
        return stage.kind
    return f"convert_{_kind(stage.source)}_{_kind(stage.format)}"


def _kind(form) -> str:
    return f"{type(form).__name__.lower()}{form.width}"


def pipelined(
    plan: Plan, multipliers: int, streams: int = 1, widest: int | None = None
) -> Schedule:
    """A unit for every stage of every layer.

    Multipliers go to the slowest stage that can use more of them, one doubling at a time.
    """
    widest = widest or MAX_LANES
    physical = list(sections(plan, len(plan.layers)))
    stages = {(name, stage.name): stage for name, section in physical for stage in section}
    share = {key: _least(stage) for key, stage in stages.items()}
    _check_lanes(any(isinstance(stage, Rope) for stage in stages.values()), widest)
    _check("pipelined", multipliers, streams, least=sum(share.values()))
    while True:
        grown = _grow(stages, share, multipliers, widest)
        if grown is None:
            break
        share = grown
    units = [_own_unit(key, stages[key], share[key], widest) for key in stages]
    binding = tuple((key, unit.name) for key, unit in zip(stages, units, strict=True))
    return Schedule("pipelined", multipliers, streams, len(plan.layers), tuple(units), binding)


def _least(stage: Stage) -> int:
    if isinstance(stage, Attention):
        return 2
    if isinstance(stage, Rope):
        return ROPE_LEAST
    return 1 if forms_products(stage) else 0


def _grow(stages, share, budget: int, widest: int):
    """The shares after giving the slowest stage that can use it twice as many, or None."""
    left = budget - sum(share.values())
    slowest = sorted(stages, key=lambda key: -_stage_cycles(stages[key], share[key], widest))
    for key in slowest:
        wanted = _next_share(stages[key], share[key], _useful_lanes(stages, share, key, widest))
        if wanted is not None and wanted - share[key] <= left:
            return share | {key: wanted}
    return None


def _useful_lanes(stages, share, key: tuple[str, str], widest: int) -> int:
    """The widest beat that a stage gains from: GELU would wait for a producer that is narrower."""
    stage = stages[key]
    limit = min(widest, stage.output_size)
    if stage.kind != "activation":
        return limit
    made = (k for k in stages if k[0] == key[0] and stages[k].output in stage.inputs)
    return min([limit, *(_own_unit(k, stages[k], share[k], widest).rows for k in made)])


def _next_share(stage: Stage, share: int, widest: int) -> int | None:
    """The next larger share that a stage can use in beats of at most ``widest``, or None."""
    if isinstance(stage, Linear):
        return 2 * share if 2 * share <= stage.macs else None
    if isinstance(stage, Attention):
        lanes = 2 * attention_lanes(stage, share, widest)
        return lanes + heads_per_beat(stage.d_head, lanes) if lanes <= widest else None
    if isinstance(stage, Rope):
        return 2 * share if share <= widest else None
    if stage.kind in ("norm", "activation", "gate") and share:
        return 2 * share if 2 * share <= widest else None
    return None


def _stage_cycles(stage: Stage, share: int, widest: int) -> float:
    """Cycles of one token at the last position, products only."""
    passes = {"norm": 2, "activation": 1, "gate": 3, "rope": 2}.get(stage.kind)
    if passes:
        return passes * stage.output_size / max(share, 1)
    if isinstance(stage, Attention):
        share = attention_lanes(stage, share, widest)
    return stage_macs(stage, 1 << 30) / max(share, 1)


def _own_unit(key: tuple[str, str], stage: Stage, share: int, widest: int) -> Unit:
    name = key[1] if key[0] in ("prologue", "epilogue") else "_".join(key)
    array = name if share else None
    if isinstance(stage, Linear):
        lanes, rows = linear_shape([stage], share, widest)
        return Unit(name, stage.kind, lanes, rows, array)
    if isinstance(stage, Attention):
        lanes = attention_lanes(stage, share, widest)
        return Unit(name, stage.kind, lanes, lanes, array, heads_per_beat(stage.d_head, lanes))
    if isinstance(stage, Rope):
        lanes = rope_lanes(stage, share, widest)
        return Unit(name, stage.kind, lanes, lanes, array, lanes)
    if share:
        lanes = power_of_two(share)
    else:
        lanes = min(4, widest, power_of_two(stage.output_size))
    return Unit(name, stage.kind, lanes, lanes, array)


def serial(plan: Plan, multipliers: int, streams: int = 1, widest: int | None = None) -> Schedule:
    """One unit for everything; as many sums at once as there are multipliers, a power of two.

    Raises
    ------
    OptionError
        For several streams, a wider beat, or numbers that such a unit does not know.
    """
    _check("serial", multipliers, streams, least=1)
    physical = list(sections(plan, 1))
    _check_serial(physical, streams, widest)
    longest = max(stage.output_size for _, section in physical for stage in section)
    rows = min(power_of_two(multipliers), power_of_two(2 * longest - 1))
    unit = Unit("serial", "serial", 1, rows, "multipliers")
    binding = tuple(((name, s.name), unit.name) for name, section in physical for s in section)
    return Schedule("serial", rows, streams, 1, (unit,), binding)


def _check_serial(physical, streams: int, widest: int | None) -> None:
    """What a serial unit cannot do."""
    if streams != 1:
        raise OptionError("streams", f"is {streams}; the serial schedule has one")
    if widest not in (None, 1):
        raise OptionError("lanes", f"is {widest}; the serial schedule has beats of one element")
    for stage in (stage for _, section in physical for stage in section):
        forms = [form for form in vars(stage).values() if isinstance(form, Block)]
        what = "block numbers" if forms else getattr(stage, "function", "relu")
        if what != "relu":
            problem = f"is 'serial', which knows no {what} ({stage.name}); expected 'folded'"
            raise OptionError("schedule", problem)


def _check(name: str, multipliers: int, streams: int, least: int) -> None:
    if multipliers < least:
        problem = f"is {multipliers}; for this model, {name}, expected at least {least}"
        raise OptionError("multipliers", problem)
    if streams < 1:
        raise OptionError("streams", f"is {streams}; expected at least 1")


def _check_lanes(turned: bool, widest: int | None) -> None:
    if turned and widest == 1:
        raise OptionError("lanes", "is 1; rotary positions turn pairs: expected at least 2")


DEFAULT_MULTIPLIERS = 64
DEFAULT_PORT = 128


def usual_schedule(plan: Plan) -> str:
    """The schedule of a plan for which none was asked: scales of rows need a memory outside."""
    return "folded" if plan.scales == "matrix" else "external"


def make_schedule(
    plan: Plan,
    name: str | None = None,
    multipliers: int = DEFAULT_MULTIPLIERS,
    streams: int = 1,
    weights: str = "rom",
    lanes: int | None = None,
    port: int = DEFAULT_PORT,
) -> Schedule:
    """The schedule ``name`` within a budget of ``multipliers``, with beats of at most ``lanes``.

    Without a name it is folded, or external where weights have scales of rows or groups.  With an
    external memory its ``port`` (in bits) stands for the budget.

    Raises
    ------
    WeftError
        For an unknown name or weight source, a budget that is too small, or lanes that are no power
        of two.
    """
    makers = {"folded": folded, "pipelined": pipelined, "serial": serial}
    name = name or usual_schedule(plan)
    if name not in SCHEDULES:
        raise OptionError("schedule", f"is {name!r}; expected one of {', '.join(SCHEDULES)}")
    if plan.scales != "matrix" and name != "external":
        problem = (
            f"is {name!r}, which knows scales of matrices, and here every {plan.scales} of weights "
            "has one; expected the schedule 'external' or scales of matrices"
        )
        raise OptionError("schedule", problem)
    if weights not in WEIGHTS:
        raise OptionError("weights", f"is {weights!r}; expected one of {', '.join(WEIGHTS)}")
    if name == "serial" and weights == "stream":
        raise OptionError("weights", "is 'stream'; the serial schedule keeps them on the chip")
    if lanes is not None and (lanes < 1 or lanes & (lanes - 1)):
        raise OptionError("lanes", f"is {lanes}; expected a power of two")
    if name == "external":
        if weights != "rom":
            problem = f"is {weights!r}; the external schedule has them in its memory: leave it out"
            raise OptionError("weights", problem)
        return external(plan, port, streams, lanes)
    return replace(makers[name](plan, multipliers, streams, lanes), weights=weights)

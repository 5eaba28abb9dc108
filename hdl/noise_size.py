"""How fast the noise of sampling has to be made: an estimate from plan and schedule."""

import math

from golden.plan import Plan
from golden.schedule import Schedule, Unit, sections
from golden.stage import stage_macs
from hdl.gumbel import MOST_BEATS, Bank
from hdl.noise import Size
from hdl.threefry import stage_numbers

ROUNDS = 2
"""Rounds of Threefry a cycle: two chained 32-bit additions close 100 MHz on the slowest board."""

STAGE_CYCLES = 5
"""Cycles that a token spends in a stage beside its products: latencies, on the low side."""


FAIR = 8
"""Noise may take one in so many cycles of an array that is never idle."""


def noise_size(plan: Plan, schedule: Schedule, unit: Unit) -> Size:
    """The smallest generator whose noise is made in the shadow of a token's other work.

    First the multipliers: groups are as small as they can be when all are made in the cycles that
    the other units leave the array idle in a token (or, as many streams leave none, when they take
    one cycle in FAIR).  Then the stages of the generator of random words: as few as give the noise
    of a token within its cycles.  Where nothing is enough, the most.  Shapes decide, never values.
    """
    shadow, idle = token_cycles(plan, schedule, unit.array)
    narrow = min(unit.lanes, 2)
    for bank in _banks(narrow, _multipliers(schedule, unit)):
        groups = math.ceil(plan.n_vocab / bank.width)
        slots = groups if bank.both else 2 * groups
        if groups * bank.interval <= idle or (idle <= 0 and slots <= shadow / FAIR):
            break
    for stages in stage_numbers(ROUNDS):
        size = Size(bank, ROUNDS, stages)
        if size.cycles(plan.n_vocab) <= shadow:
            break
    return size


def token_cycles(plan: Plan, schedule: Schedule, array: str) -> tuple[float, float]:
    """(cycles of a token, cycles in which ``array`` is idle), without noise.

    A token of one stream takes the sum over its stages; many streams are held up by the busiest
    array alone.
    """
    work: dict[str, float] = {}
    stages = 0
    for name, section in sections(plan, schedule.instances):
        passes = len(plan.layers) // schedule.instances if name.startswith("layer") else 1
        for stage in section:
            unit = schedule.unit(name, stage.name)
            stages += passes
            if unit.array is not None:
                cycles = passes * stage_macs(stage, 0) / unit.multipliers
                work[unit.array] = work.get(unit.array, 0) + cycles
    alone = sum(work.values()) + STAGE_CYCLES * stages
    shadow = max(*work.values(), alone / schedule.streams)
    return shadow, shadow - work.get(array, 0)


def _multipliers(schedule: Schedule, unit: Unit) -> int:
    """Multipliers of the array that a sampler's noise uses."""
    return max(user.multipliers for user in schedule.arrays()[unit.array])


def _banks(narrow: int, multipliers: int) -> list[Bank]:
    """All banks that the multipliers can serve, the smallest first."""
    narrow = min(narrow, multipliers)
    banks = []
    for beats in (1, 2, MOST_BEATS):
        width = beats * narrow
        banks += [Bank(narrow, width, n) for n in (width, 2 * width) if n <= multipliers]
    return banks

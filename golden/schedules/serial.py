"""One unit that executes every stage, for the smallest chips."""

from __future__ import annotations

from golden.errors import OptionError
from golden.numbers import Block
from golden.plan import Plan
from golden.schedule import Schedule, Unit, sections
from golden.schedules.shapes import check_budget, power_of_two


def serial(plan: Plan, multipliers: int, streams: int = 1, widest: int | None = None) -> Schedule:
    """One unit for everything; as many sums at once as there are multipliers, a power of two.

    Raises
    ------
    OptionError
        For several streams, a wider beat, or numbers that such a unit does not know.
    """
    check_budget("serial", multipliers, streams, least=1)
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

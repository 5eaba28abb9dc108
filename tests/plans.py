"""Plans of every shape of the family, and budgets for them."""

import pytest

from golden.balancer import make_schedule
from golden.errors import WeftError
from golden.quantize import Options, quantize
from tests.random_models import CONFIGS, LLAMA, random_checkpoint

PLANS = {
    **{(n, "fixed"): quantize(random_checkpoint(CONFIGS[n])) for n in CONFIGS},
    ("two layers", "block"): quantize(random_checkpoint(CONFIGS["two layers"]), Options("block")),
    **{(n, "block"): quantize(random_checkpoint(LLAMA[n])) for n in ("llama", "all biases")},
}
everywhere = pytest.mark.parametrize("plan", PLANS.values(), ids=map(" ".join, PLANS))
schedules = pytest.mark.parametrize("name", ["folded", "pipelined"])
"""Those of which every plan can have one, with streams between their units."""


def least(plan, name):
    """The fewest multipliers that the sentence names."""
    with pytest.raises(WeftError, match=r"multipliers is 0; .* expected at least") as error:
        make_schedule(plan, name, 0)
    return int(str(error.value).split()[-1])


def budgets(plan, name):
    """Few, odd and many multipliers."""
    smallest = least(plan, name)
    return [smallest, smallest + 1, smallest + 37, 4 * smallest + 64]

"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from golden import checked
from golden.numbers import MANTISSA_BITS
from golden.plan import Plan
from golden.quantize import CACHE_BITS, NUMBERS, SCALES
from golden.schedule import SCHEDULES
from golden.zoo import PRESETS

MOST_MULTIPLIERS = 1 << 14
"""More than any chip has; what is far beyond would fill the memory of this machine first."""

MOST_STREAMS = 1 << 10

MOST_TOKENS = (1 << 32) - 1
"""What the hardware counts to."""

Model = Annotated[str, checked.choice(of=PRESETS, help="Preset.")]
CheckpointFile = Annotated[
    Path | None, checked.file("--checkpoint", help="Weights; the preset's own if none.")
]
Numbers = Annotated[
    str | None,
    checked.choice(of=NUMBERS, help="Activations; fixed, or block where the model needs it."),
]
Scales = Annotated[
    str | None, checked.choice(of=SCALES, help="Which weights share a scale; as the model needs.")
]
CacheBits = Annotated[int, checked.choice(of=CACHE_BITS, help="Width of cached keys and values.")]
WeightBits = Annotated[int, checked.whole(least=2, most=MANTISSA_BITS, help="Width of a weight.")]
Schedule = Annotated[
    str | None,
    checked.choice(of=SCHEDULES, help="One layer datapath, or one a layer; as the model needs."),
]
Multipliers = Annotated[
    int, checked.whole(least=1, most=MOST_MULTIPLIERS, help="That the schedule may use.")
]
Streams = Annotated[int, checked.whole(least=1, most=MOST_STREAMS, help="Sequences in flight.")]
Context = Annotated[
    int | None, checked.whole(least=1, most=MOST_TOKENS, help="Longest sequence, in tokens.")
]
Window = Annotated[
    int | None, checked.whole(least=1, most=MOST_TOKENS, help="Positions that attention sees.")
]
Seed = Annotated[
    int, checked.whole(least=0, most=(1 << 32) - 1, help="The same seed gives the same result.")
]

MODEL = "microgpt"


def described(plan: Plan, weight_bits: int) -> dict:
    """What a report says of a plan."""
    return {
        "plan_digest": plan.digest(),
        "numbers": plan.numbers,
        "weight_bits": weight_bits,
        "scales": plan.scales,
        "cache_bits": plan.cache_bits,
    }

"""Numbers of other systems: not measured by ``make results``, each with where it comes from."""

from dataclasses import dataclass

CONTEXT = 16
"""Positions over which TALOS-V2's mean is taken."""


@dataclass(frozen=True)
class Anchor:
    """Cycles a token of another system; None where there is no such number.

    origin: ``published``, or whose simulation it was.
    """

    name: str
    model: str
    first: float | None
    mean: float
    last: float | None
    clock: str
    origin: str


TALOS_FIRST, TALOS_STEP = 867, 20
DEMO_CYCLES, DEMO_TOKENS = 29_600_000, 17

DEMO = Anchor(
    "software, every step counted",
    "the shape of ailang, INT8",
    None,
    DEMO_CYCLES / DEMO_TOKENS,
    None,
    "-",
    f"published: {DEMO_CYCLES / 1e6:.1f} M cycles for {DEMO_TOKENS} tokens",
)

RTL = (
    Anchor(
        "TALOS-V2",
        "microGPT",
        TALOS_FIRST,
        TALOS_FIRST + TALOS_STEP * (CONTEXT - 1) / 2,
        TALOS_FIRST + TALOS_STEP * (CONTEXT - 1),
        "56.25 MHz, board",
        "its RTL under Verilator, measured by the project: "
        f"{TALOS_FIRST}, and {TALOS_STEP} more a position",
    ),
    Anchor(
        "gateGPT",
        "microGPT, 24 wide",
        1157,
        1322,
        1489,
        "80 MHz, board",
        "its RTL under Icarus, measured by the project",
    ),
)

C_TOKENS = {"Apple M4 Max": 3_760_000, "NVIDIA Grace": 4_360_000}
"""Tokens a second of microGPT in C with NEON on one core, published."""

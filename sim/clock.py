"""The clock of every simulation: how long a cycle is in waveforms, and when the first one begins.

Nothing is imported here: cocotb starts with this, and it should start at once.
"""

PERIOD_NS = 10
"""Length of a cycle in waveforms."""

RESET_CYCLES = 2
"""Clock edges under reset, before cycle 0."""


def trace_time(cycle: int) -> int:
    """When a cycle begins in waveforms, in nanoseconds."""
    return (cycle + RESET_CYCLES - 1) * PERIOD_NS

"""What is reported about a bitstream, with stable keys."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from boards.build import Order, Placed, package_versions

DIGITS = 2


def make_report(
    order: Order, model: str, multipliers: int, placed: Placed, used: dict, bitstream: Path | None
) -> dict:
    """The report of a build; cycles a token are measured elsewhere."""
    board, met = order.board, placed.timing.fmax_mhz >= order.made_mhz
    versions = package_versions() | placed.tools.versions
    return {
        "board": board.name,
        "device": board.device,
        "model": model,
        "multipliers": multipliers,
        "seed": placed.seed,
        "toolchain": {"names": list(versions), "versions": versions},
        "bitstream": None if bitstream is None else str(bitstream),
        "fmax_mhz": round(placed.timing.fmax_mhz, DIGITS),
        "clock_mhz": order.made_mhz,
        "timing_met": met,
        "used": used,
        "available": board.available,
        "cycles_per_token": None,
        "clock_source": "post-route",
        "untimed": list(order.flow.untimed),
        "tokens_per_second": None,
        "aggregate_tokens_per_second": None,
        "critical_path": [asdict(hop) for hop in placed.timing.hops],
    }

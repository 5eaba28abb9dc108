"""What is reported about a bitstream, with stable keys."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from boards.build import Order, Placed, package_versions
from boards.fit import Configuration, need
from sim.build import Design

DIGITS = 2


def make_report(order: Order, model: str, way: Configuration, placed: Placed, used: dict) -> dict:
    """The report of a layout; with_bitstream() adds what only one that closed has."""
    board, met = order.board, placed.timing.fmax_mhz >= order.made_mhz
    versions = package_versions() | placed.tools.versions
    return {
        "board": board.name,
        "device": board.device,
        "model": model,
        "schedule": way.schedule,
        "multipliers": way.multipliers,
        "seed": placed.seed,
        "toolchain": {"names": list(versions), "versions": versions},
        "bitstream": None,
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


def project_report(order: Order, design: Design, way: Configuration) -> dict:
    """The report of a project that no tool has worked on yet; what it uses is estimated."""
    board = order.board
    versions = package_versions()
    return {
        "board": board.name,
        "device": board.device,
        "model": design.plan.name,
        "schedule": way.schedule,
        "multipliers": way.multipliers,
        "seed": order.seed,
        "toolchain": {"names": list(versions), "versions": versions},
        "bitstream": None,
        "fmax_mhz": None,
        "clock_mhz": order.made_mhz,
        "timing_met": None,
        "used": need(board.family, design.plan, way),
        "available": board.available,
        "cycles_per_token": None,
        "clock_source": "assumed",
        "untimed": [],
        "tokens_per_second": None,
        "aggregate_tokens_per_second": None,
        "critical_path": [],
    }


def with_bitstream(report: dict, bitstream: Path, cycles_per_token: dict) -> dict:
    """The report of a layout that closed, with the speed that follows from its clock.

    ``cycles_per_token`` are those of sim.measure, at the same configuration.  A board has one
    sequence in flight, so all that it generates is what one sequence does.
    """
    rate = round(report["clock_mhz"] * 1e6 / cycles_per_token["mean"], DIGITS)
    return report | {
        "bitstream": str(bitstream),
        "cycles_per_token": cycles_per_token,
        "tokens_per_second": rate,
        "aggregate_tokens_per_second": rate,
    }

"""The document: what was measured, in words and tables."""

from __future__ import annotations

from collections.abc import Mapping

from sim.results.markdown import count, filled
from sim.results.text_correctness import compared_runs, correctness
from sim.results.text_performance import CLOCK_HZ, performance
from sim.results.text_scaling import scaling


def document(found: dict, figures: Mapping[str, str]) -> str:
    """The whole text; ``figures``: names of the files beside it, in ``figures/``."""
    links = {name: f"figures/{file}" for name, file in figures.items()}
    parts = [
        head(found),
        performance(found, links["cycles"]),
        correctness(found),
        scaling(found, links["scaling"]),
        foot(found),
    ]
    return filled("\n\n".join(part.strip() for part in parts))


def head(found: dict) -> str:
    """What this is, and the short answer."""
    run, scaled = found["runs"][0], found["scaling"]
    compared = total_compared(found)
    names = found["sides"]["names"]
    same = sum(row["float"] == row["hardware"] for row in names)
    return f"""# Results

`make results` measures all of this and writes this page. No measurement is typed by hand; numbers
of other systems are marked as such. Cycles come from simulation and are exact: every run gives
the same. Times of software and simulators belong to one machine and one moment.

In short:

* **Speed.** microgpt takes {count(run["cycles"]["mean"], 1)} cycles a token on
  {run["multipliers"]} multipliers, averaged over its whole context. At an *assumed* clock of
  {CLOCK_HZ / 1e6:.0f} MHz these are {count(CLOCK_HZ / run["throughput"])} tokens a second.
* **Correctness.** {count(compared)} values were compared between the simulated hardware and the
  integer model, with zero tolerance: {total_mismatches(found)} differ. The float model, given the
  same random numbers, invents {same} of {len(names)} names exactly as the hardware does.
* **Scaling.** {count(scaled["rows"][-1]["tokens"])} tokens through a sliding window cost
  {count(scaled["slope"], 1)} cycles each, and not one bit more memory than
  {count(scaled["rows"][0]["tokens"])} do.
"""


def foot(found: dict) -> str:
    """Where and with what it was measured."""
    tools = ", ".join(f"{name} {version}" for name, version in found["tools"].items())
    machine = found["machine"]
    return f"""## How this was measured

On {found["date"]} (UTC), Weft {found["version"]}, {machine["cpu"]}, {machine["cores"]} cores,
{machine["system"]}; it took {count(found["seconds"])} seconds. Tools: {tools}. The same numbers for
programs are in `build/results/results.json`.
"""


def total_compared(found: dict) -> int:
    """Values compared between hardware and integer model, over all runs."""
    return sum(row["compared"] for row in compared_runs(found))


def total_mismatches(found: dict) -> int:
    """Values that differ.  A run ends at its first, so it has none; those of names are counted."""
    return sum(row["mismatches"] for row in [*compared_runs(found), *found["sides"]["stages"]])

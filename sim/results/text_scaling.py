"""Section 3: long runs."""

from __future__ import annotations

from sim.results.markdown import bits, count, table


def scaling(found: dict, figure: str) -> str:
    """The section."""
    scaled = found["scaling"]
    rows = scaled["rows"]
    peaks = [row["peak_bytes"] for row in rows if row["peak_bytes"]]
    spread = (max(peaks) - min(peaks)) / 1024 if peaks else None
    sign = "−" if scaled["offset"] < 0 else "+"
    deviation = f"No run is off this straight line by {off_by(scaled['residual'])}."
    return f"""## 3. Scaling

`{scaled["model"]}` attends to the last {scaled["window"]} tokens only. Its cache is a ring of
{scaled["window"]} slots, so a sequence may go on forever: memory should stay as it is, and every
token should cost the same. One sequence of each length, simulated with Verilator; **all values of
all tokens were compared**.

{size_table(scaled)}
![cycles and memory over tokens]({figure})

* **Cycles**: {count(scaled["slope"], 3)} × tokens {sign} {count(abs(scaled["offset"]), 1)}.
  {deviation}
* **Hardware memory**: {bits(rows[0]["cache_bits"])} bits of keys and values in every run; nothing
  in the gateware depends on the length.
* **Simulator memory**: the largest resident memory of the simulation's process, as Linux accounts
  for it (`VmHWM`). {spread_sentence(spread)}
"""


def off_by(residual: float) -> str:
    """The largest deviation in words."""
    return "as much as one cycle" if residual < 1 else f"more than {count(residual, 1)} cycles"


def size_table(scaled: dict) -> str:
    """A row a run."""
    table_rows = [
        (
            count(row["tokens"]),
            count(row["cycles"]),
            count(row["cycles"] / row["tokens"], 1),
            count(row["compared"]),
            bits(row["cache_bits"]),
            f"{row['peak_bytes'] / 2**20:.2f} MiB" if row["peak_bytes"] else "not told",
            f"{row['seconds']:.1f}",
        )
        for row in scaled["rows"]
    ]
    headings = (
        ">tokens", ">cycles", ">cycles a token", ">values compared", ">cache (bits)",
        ">simulator's memory", ">seconds",
    )  # fmt: skip
    return table(headings, table_rows)


def spread_sentence(spread: float | None) -> str:
    """How much the simulator's memory differs between runs."""
    if spread is None:
        return "This system does not tell it."
    return f"Between the shortest and the longest run it differs by {count(spread)} KiB at most."

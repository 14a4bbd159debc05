"""`python -m bench.summary`: compile time, size and cycles of every network at every precision, beside the reference's, in one table.

It reads what `python -m bench` wrote to results/ in each mode, and writes results/precisions.md.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.__main__ import MODES, RESULTS, geometric_mean, stem


@dataclass(frozen=True)
class Quantity:
    """What is shown: the names of the facts, its unit and form."""

    title: str
    ours: str
    theirs: str
    ratio: str
    unit: float
    form: str

    def cell(self, row: Mapping[str, Any] | None) -> str:
        """Ours, and beside the reference's where that is known."""
        if row is None:
            return ""
        shown = self.form.format(row[self.ours] / self.unit)
        return shown if not row.get(self.theirs) else f"{shown} / {self.form.format(row[self.theirs] / self.unit)} = {row[self.ratio]:.3f}"


QUANTITIES = (
    Quantity("CPU s", "seconds", "reference_seconds", "second_ratio", 1.0, "{:.1f}"),
    Quantity("MB", "file", "reference_file", "file_ratio", 1e6, "{:.2f}"),
    Quantity("kilocycles", "cycles", "reference_cycles", "cycle_ratio", 1e3, "{:,.0f}"),
)

Rows = Mapping[str, Mapping[str, Any]]  # facts by network


def read() -> dict[str, Rows]:
    """Mode -> its rows, of the modes that were measured."""
    found: dict[str, Rows] = {}
    for mode in MODES:
        path = RESULTS / f"{stem(mode)}.json"
        if path.exists():
            found[mode] = {row["network"]: row for row in json.loads(path.read_text())}
    return found


def table(measured: Mapping[str, Rows]) -> str:
    """Networks by quantities and modes: ours / the reference's = ratio. The last line has the geometric means of the ratios."""
    columns = [(mode, quantity) for mode in measured for quantity in QUANTITIES]
    lines = ["| network | " + " | ".join(f"{mode} {shown.title}" for mode, shown in columns) + " |", "|---" + "|---" * len(columns) + "|"]
    for network in dict.fromkeys(name for rows in measured.values() for name in rows):
        lines.append(f"| {network} | " + " | ".join(shown.cell(measured[mode].get(network)) for mode, shown in columns) + " |")
    means = [geometric_mean([row[shown.ratio] for row in measured[mode].values() if row.get(shown.ratio)]) for mode, shown in columns]
    return "\n".join([*lines, "| geometric mean | " + " | ".join("" if mean is None else f"{mean:.3f}" for mean in means) + " |"])


def main() -> int:
    """Write and print the table; 1 where nothing was measured."""
    measured = read()
    if not measured:
        print(f"{RESULTS} has no results of `python -m bench`", file=sys.stderr)
        return 1
    text = table(measured)
    (RESULTS / "precisions.md").write_text(f"# Compile time, size of the bmodel and estimated cycles, ours / TPU-MLIR 1.30.2's\n\n{text}\n")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

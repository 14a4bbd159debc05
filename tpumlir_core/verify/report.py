"""The result of a comparison: facts, a table, CSV and JSON."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from tpumlir_core.verify.compare import Comparison


@dataclass(frozen=True)
class Report:
    """All tensors compared, in network order, and the tolerance (least cosine, least euclidean similarity)."""

    comparisons: tuple[Comparison, ...]
    tolerance: tuple[float, float]
    operations: Mapping[str, str] = field(default_factory=dict)
    """Operation that makes a tensor, where known, by the tensor's name."""
    modes: Mapping[str, str] = field(default_factory=dict)
    """Quantization mode of a tensor, where known, by its name."""

    @property
    def passed(self) -> bool:
        return all(one.passed for one in self.comparisons)

    @property
    def failed(self) -> tuple[Comparison, ...]:
        """The tensors that differ, worst first."""
        return tuple(one for one in self.worst_first() if not one.passed)

    @property
    def cosine(self) -> float:
        """The least cosine similarity."""
        return min(one.cosine for one in self.comparisons)

    @property
    def euclid(self) -> float:
        """The least euclidean similarity."""
        return min(one.euclid for one in self.comparisons)

    @property
    def sqnr(self) -> float:
        """The least signal to quantization noise ratio, dB."""
        return min(one.sqnr for one in self.comparisons)

    def worst_first(self) -> tuple[Comparison, ...]:
        """Failed before passed, then by cosine, by euclidean similarity, and in network order."""
        return tuple(sorted(self.comparisons, key=lambda one: (one.passed, one.cosine, one.euclid)))

    def summary(self) -> str:
        """One line: counts and least similarities."""
        cosine, euclid = self.tolerance
        return (f"{len(self.comparisons)} tensors compared, {len(self.failed)} differ more than cosine {cosine:g}, euclid {euclid:g}; "
                f"least similarity: cosine {self.cosine:.6f}, euclid {self.euclid:.6f}, sqnr {self.sqnr:.2f} dB")

    def table(self, limit: int | None = None) -> Table:
        """A rich table of the ``limit`` worst tensors (all by default), worst first; operation and mode where they are known."""
        from rich.markup import escape
        from rich.table import Table

        known = [(header, names) for header, names in (("operation", self.operations), ("mode", self.modes)) if names]
        table = Table(caption=self.summary(), caption_justify="left")
        for header in ("tensor", *(header for header, _ in known), "shape", "result"):
            table.add_column(header, overflow="fold")
        for header in ("cosine", "euclid", "sqnr dB"):
            table.add_column(header, justify="right", no_wrap=True)
        for one in self.worst_first()[:limit]:
            level = one.level.value if one.close_order is None else f"{one.level.value} 1e-{one.close_order}"
            table.add_row(
                escape(one.name), *(escape(names.get(one.name, "-")) for _, names in known), "x".join(map(str, one.shape)),
                f"[{'green' if one.passed else 'red'}]{level}", f"{one.cosine:.6f}", f"{one.euclid:.6f}", f"{one.sqnr:.2f}",
            )
        return table

    def to_csv(self) -> str:
        """The reference's columns: name, op, quant, pass, sim_cos, sim_euc, sqnr; in network order."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("name", "op", "quant", "pass", "sim_cos", "sim_euc", "sqnr"))
        for one in self.comparisons:
            names = one.name, self.operations.get(one.name, "-"), self.modes.get(one.name, "-")
            writer.writerow((*names, one.passed, one.cosine, one.euclid, one.sqnr))
        return text.getvalue()

    def to_json(self) -> dict[str, Any]:
        """Plain data for ``json.dumps``; an infinite or undefined ratio is null, which JSON lacks numbers for."""
        return {
            "passed": self.passed,
            "tolerance": {"cosine": self.tolerance[0], "euclid": self.tolerance[1]},
            "tensors": [
                {
                    "name": one.name, "operation": self.operations.get(one.name), "mode": self.modes.get(one.name),
                    "shape": list(one.shape), "element": one.element, "result": one.level.value, "passed": one.passed,
                    "cosine": one.cosine, "euclid": one.euclid, "sqnr": one.sqnr if math.isfinite(one.sqnr) else None,
                }
                for one in self.comparisons
            ],
        }

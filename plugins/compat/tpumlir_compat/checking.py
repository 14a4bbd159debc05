"""Comparisons within a command: written to files under the reference's names, told in its words, and ended with 1 where they fail."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from tpumlir_compat.comparison import Options, compare_all, most_alike, report, verdict
from tpumlir_core.errors import CompareError
from tpumlir_core.files import write_npz
from tpumlir_core.ir import Array


def save(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write tensors, and say so."""
    write_npz(path, arrays)
    print(f"Saving {path}")


def require(
    target: tuple[Path, Mapping[str, Array]],
    reference: tuple[Path, Mapping[str, Array]],
    tolerance: tuple[float, float],
    excepts: Collection[str],
    fuzzy: bool = False,
) -> None:
    """Compare the tensors that both files have and print how. Raises CompareError where one differs more than the tolerance.

    ``fuzzy``: compare each with the most alike of its shape instead, as ``most_alike`` does.
    """
    if fuzzy:
        target = target[0], most_alike(target[1], reference[1])
    compared = compare_all(target[1], reference[1], Options(tolerance, excepts))
    for line in (*report(compared, verbose=1), *verdict(compared, target[0], reference[0])):
        print(line)
    if not compared:
        print(f"warning: {target[0]} and {reference[0]} have no tensor in common", file=sys.stderr)
    failed = [one.result.name for one in compared if not one.result.passed]
    if failed:
        raise CompareError(f"{target[0]} differs from {reference[0]} in {len(failed)} of {len(compared)} tensors: {', '.join(failed[:3])}")

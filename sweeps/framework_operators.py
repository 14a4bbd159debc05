"""Operators of a framework with variations, imported, against the framework: what the sweeps of frameworks share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sweeps.framework_models import RESULTS
from tpumlir_core import api
from tpumlir_core.checks import interpret
from tpumlir_core.errors import TpumlirError
from tpumlir_core.ir import Array
from tpumlir_core.plugins.extension_points import ImportOptions
from tpumlir_core.stages import Session
from tpumlir_core.verify import compare_arrays

CLOSE = (0.99999, 0.999)
"""Cosine and euclidean similarity to the framework."""


def verdict(path: Path, arrays: Mapping[str, Array], expected: Array, session: Session) -> str:
    """Of a converted model, whose inputs are among ``arrays``: "" where it passes, "wrong: ..." or why it is refused."""
    try:
        module = api.transform(path, options=ImportOptions(bare_names=True), session=session)
        names = [op.name for op in module.function.operations if op.opcode == "top.Input"]
        found = interpret(module, {name: arrays[name] for name in names}, "", session)[module.function.outputs[0].name]
    except TpumlirError as error:
        return str(error).removeprefix(f"{path}: ")
    if found.shape != expected.shape:
        return f"wrong: shape {list(found.shape)} in place of {list(expected.shape)}"
    report = compare_arrays(found, expected, CLOSE)
    close = report.passed or np.allclose(found, expected, atol=1e-6)
    return "" if close else f"wrong: cosine {report.cosine:.6f}, euclid {report.euclid:.6f}"


def write_report(title: str, stem: str, verdicts: Mapping[str, str]) -> int:
    """Write results/STEM.json and .md and print the summary; 1 where a case is wrong."""
    wrong = {name: one for name, one in verdicts.items() if one.startswith("wrong")}
    refused = {name: one for name, one in verdicts.items() if one and name not in wrong}
    passed = [name for name, one in verdicts.items() if not one]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{stem}.json").write_text(json.dumps({"passed": passed, "refused": refused, "wrong": wrong}, indent=1) + "\n")
    summary = f"{len(passed)} passed, {len(refused)} refused, {len(wrong)} wrong"
    rows = [f"* {name}: {one}" for name, one in (*wrong.items(), *refused.items())]
    (RESULTS / f"{stem}.md").write_text("\n".join([f"# {title}", "", summary, "", *rows, "", ", ".join(passed)]) + "\n")
    print("\n".join([*rows, summary]))
    return int(bool(wrong))

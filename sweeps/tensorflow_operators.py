"""Operators of TensorFlow with variations, imported, against TensorFlow: ``python -m sweeps.tensorflow_operators``.

Passed, refused (with the reason) and wrong are written to results/tensorflow_operators.json and .md; none may be wrong.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import tpumlir_tensorflow
from sweeps.framework_operators import verdict, write_report
from tpumlir_core.conversion.child import call
from tpumlir_core.stages import Session
from tpumlir_tensorflow.frontend import TensorFlowFrontend

SCRIPT = Path(__file__).with_name("tensorflow_cases.py")
PLUGIN = str(Path(next(iter(tpumlir_tensorflow.__path__))).parent)


def sweep(folder: Path) -> dict[str, str]:
    """Of every case "" where it passes, "wrong: ..." or why it is refused."""
    framework = TensorFlowFrontend.framework
    # -P: this folder holds a module tensorflow.
    subprocess.run([framework.python(), "-P", SCRIPT, folder], check=True, capture_output=True)
    outputs: dict[str, str] = json.loads((folder / "cases.json").read_text())
    with np.load(folder / "cases.npz") as archive:
        arrays = dict(archive)
    made = folder / "made"
    made.mkdir()
    arguments = {"graph": str(folder / "cases.pb"), "plugin": PLUGIN, "folder": str(made), "outputs": outputs}
    errors = call(framework, "sweeps.tensorflow_batch:convert_each", arguments)
    session = Session()
    return {
        name: errors[name] or verdict(made / str(number) / "model.onnx", arrays, arrays[f"out:{name}"], session)
        for number, name in enumerate(outputs)
    }


def main() -> int:
    """Sweep and report; 1 where a case is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        return write_report("Operators of TensorFlow", "tensorflow_operators", sweep(Path(folder)))


if __name__ == "__main__":
    sys.exit(main())

"""Operators of Paddle with variations, imported, against Paddle: ``python -m sweeps.paddle_operators``.

Passed, refused (with the reason) and wrong are written to results/paddle_operators.json and .md; none may be wrong.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import tpumlir_paddle
from sweeps.framework_operators import verdict, write_report
from tpumlir_core.conversion.child import call
from tpumlir_core.stages import Session
from tpumlir_paddle.frontend import PaddleFrontend

SCRIPT = Path(__file__).with_name("paddle_cases.py")
PLUGIN = str(Path(next(iter(tpumlir_paddle.__path__))).parent)


def sweep(folder: Path) -> dict[str, str]:
    """Of every case "" where it passes, "wrong: ..." or why it is refused."""
    framework = PaddleFrontend.framework
    # -P: this folder holds a module paddle.
    subprocess.run([framework.python(), "-P", SCRIPT, folder], check=True, capture_output=True)
    cases: list[str] = json.loads((folder / "cases.json").read_text())
    with np.load(folder / "cases.npz") as archive:
        arrays = dict(archive)
    made = folder / "made"
    made.mkdir()
    arguments = {"models": str(folder), "plugin": PLUGIN, "folder": str(made), "count": len(cases)}
    errors = call(framework, "sweeps.paddle_batch:convert_each", arguments)
    session = Session()
    return {
        name: errors[number] or verdict(made / str(number) / "model.onnx", arrays, arrays[f"out:{name}"], session)
        for number, name in enumerate(cases)
    }


def main() -> int:
    """Sweep and report; 1 where a case is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        return write_report("Operators of Paddle", "paddle_operators", sweep(Path(folder)))


if __name__ == "__main__":
    sys.exit(main())

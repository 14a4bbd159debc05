"""The reference's INT8 of a classifier, with its own calibration, on given photos: run in the environment where it is installed."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.ir import Array
from tpumlir_core.preprocess import InputSpec, Preprocess, Sample, read_sample

INTERPRET = """
import tpu_mlir.entry
import sys, numpy, pymlir
pymlir.set_mem_mode("value_mem")
module = pymlir.module()
module.load(sys.argv[1])
classes = []
for row in numpy.load(sys.argv[2], mmap_mode="r"):
    module.set_tensor(module.input_names[0], numpy.ascontiguousarray(row), row.shape)
    module.invoke()
    classes.append(int(module.get_tensor(module.output_names[0]).reshape(-1).argmax()))
numpy.save(sys.argv[3], numpy.array(classes))
"""
"""Runs the lowered network in the reference's own interpreter; importing ``entry`` lets its library be found, and without that mode all
tensors are zero."""


def reference_classes(
    environment: Path, model: Path, preprocess: Preprocess, calibration: Sequence[Sample], samples: Sequence[Sample], folder: Path
) -> Array:
    """The best class of every sample. Raises InputError where one of its tools fails."""
    work = folder / "reference"
    (work / "photos").mkdir(parents=True)
    spec = InputSpec("input", (1, 3, 224, 224), preprocess)
    for place, sample in enumerate(calibration):
        arrays: dict[str, Any] = dict(read_sample(sample, [spec]))
        np.savez(work / "photos" / f"{place:03}.npz", **arrays)
    np.save(work / "inputs.npy", np.stack([read_sample(sample, [spec])["input"] for sample in samples]))
    shapes = json.dumps([list(spec.shape)])
    commands: list[list[str]] = [
        ["model_transform.py", "--model_name", "net", "--model_def", str(model), "--input_shapes", shapes, "--mlir", "net.mlir"],
        ["run_calibration.py", "net.mlir", "--dataset", "photos", "--input_num", str(len(calibration)), "-o", "table"],
        ["model_deploy.py", "--mlir", "net.mlir", "--quantize", "INT8", "--calibration_table", "table", "--chip", "bm1684x",
         "--model", "net.bmodel", "--skip_validation", "--debug"],  # which keeps the lowered network's weights
        ["python", "-c", INTERPRET, "net_bm1684x_int8_sym_tpu.mlir", "inputs.npy", "classes.npy"],
    ]
    for command in commands:
        _run(environment.resolve() / "bin", command, work)
    found: Array = np.load(work / "classes.npy")
    return found


def _run(tools: Path, command: Sequence[str], work: Path) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment = {**inherited, "PATH": f"{tools}:{os.environ.get('PATH', '')}"}
    done = subprocess.run([str(tools / command[0]), *command[1:]], cwd=work, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"the reference's {command[0]} fails: {' '.join((done.stdout + done.stderr)[-300:].split())}")

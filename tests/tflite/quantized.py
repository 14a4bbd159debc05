"""A fully quantized network, as TensorFlow's converter makes them: every tensor int8 with a scale and a zero point.

It is written twice over the same weights: in floats, from whose tensors on random images the scales are taken, and in int8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tpumlir_core.ir import Array
from tpumlir_core.ir.evaluate import evaluate_module
from tpumlir_core.plugins.extension_points import ImportOptions
from tpumlir_tflite.frontend import import_graph
from tpumlir_tflite.model import parse_model
from tpumlir_tflite.tensors import Scale
from tpumlir_tflite.writing import ModelWriter, per_tensor

IMAGE = (1, 16, 16, 3)
CLASSES = 10
_RELU, _RELU6 = 1, 3
_STRIDED = {"StrideH": 2, "StrideW": 2}
_SINGLE = {"StrideH": 1, "StrideW": 1}


@dataclass(frozen=True)
class Step:
    """One operator: its tensors by name, and the weights it takes: (filter, bias)."""

    operator: str
    inputs: tuple[str, ...]
    output: str
    shape: tuple[int, ...]
    options: str = ""
    fields: Mapping[str, Any] | None = None
    weights: tuple[int, ...] = ()
    """The filter's shape; its output channels are those of the result, on axis 0, or on the last where it is depthwise."""


NETWORK = (
    Step("CONV_2D", ("image",), "stem", (1, 8, 8, 16), "Conv2DOptions", {**_STRIDED, "FusedActivationFunction": _RELU6}, (16, 3, 3, 3)),
    Step(
        "DEPTHWISE_CONV_2D", ("stem",), "deep", (1, 8, 8, 16), "DepthwiseConv2DOptions",
        {**_SINGLE, "DepthMultiplier": 1, "FusedActivationFunction": _RELU6}, (1, 3, 3, 16),
    ),
    Step("CONV_2D", ("deep",), "point", (1, 8, 8, 16), "Conv2DOptions", _SINGLE, (16, 1, 1, 16)),
    Step("ADD", ("point", "stem"), "sum", (1, 8, 8, 16), "AddOptions", {"FusedActivationFunction": _RELU}),
    Step("MAX_POOL_2D", ("sum",), "pool", (1, 4, 4, 16), "Pool2DOptions", {**_STRIDED, "FilterHeight": 2, "FilterWidth": 2}),
    Step("CONV_2D", ("pool",), "wide", (1, 4, 4, 32), "Conv2DOptions", _SINGLE, (32, 3, 3, 16)),
    Step("HARD_SWISH", ("wide",), "swish", (1, 4, 4, 32), "HardSwishOptions", {}),
    Step("MEAN", ("swish",), "mean", (1, 32), "ReducerOptions", {}),
    Step("FULLY_CONNECTED", ("mean",), "logits", (1, CLASSES), "FullyConnectedOptions", {}, (CLASSES, 32)),
    Step("SOFTMAX", ("logits",), "classes", (1, CLASSES), "SoftmaxOptions", {"Beta": 1.0}),
)
_AXES = {"MEAN": np.array([1, 2], np.int32)}
_SAME_SCALE = ("MAX_POOL_2D",)


def write_quantized(path: Path, float_ends: bool = True) -> Path:
    """The int8 network; with ``float_ends`` it takes and gives floats, by QUANTIZE and DEQUANTIZE, else int8."""
    weights = _weights(np.random.default_rng(5))
    path.write_bytes(_written(weights, _scales(weights), float_ends))
    return path


def images(count: int, seed: int = 11) -> list[Array]:
    """Random images in [-1, 1]."""
    random = np.random.default_rng(seed)
    return [random.uniform(-1, 1, IMAGE).astype(np.float32) for _ in range(count)]


def _weights(random: np.random.Generator) -> dict[str, tuple[Array, Array]]:
    """Filter and bias of every step that has them, each output channel of another size."""
    found = {}
    for step in NETWORK:
        if step.weights:
            channels, axis = step.shape[-1], _channel_axis(step)
            sizes = random.uniform(0.5, 1.5, channels) * np.sqrt(2 * channels / np.prod(step.weights))
            filters = random.standard_normal(step.weights) * np.expand_dims(sizes, [a for a in range(len(step.weights)) if a != axis])
            found[step.output] = (filters.astype(np.float32), random.normal(0, 0.2, channels).astype(np.float32))
    return found


def _channel_axis(step: Step) -> int:
    return len(step.weights) - 1 if step.operator == "DEPTHWISE_CONV_2D" else 0


def _scales(weights: Mapping[str, tuple[Array, Array]]) -> dict[str, Scale]:
    """Of every tensor, from its range in the float network on some images."""
    module = import_graph(parse_model(_written(weights, {}, True)), ImportOptions(), "float")[0]
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    for image in images(8, seed=7):
        for name, array in evaluate_module(module, {"image": image}).items():
            low[name] = min(low.get(name, 0.0), float(array.min()))
            high[name] = max(high.get(name, 0.0), float(array.max()))
    scales = {name: _covering(low[name], high[name]) for name in ("image", *(step.output for step in NETWORK))}
    for step in NETWORK:
        if step.operator in _SAME_SCALE:
            scales[step.output] = scales[step.inputs[0]]
    return scales | {"classes": per_tensor(1 / 256, -128)}


def _covering(low: float, high: float) -> Scale:
    scale = (high - low) / 255
    return per_tensor(scale, round(-128 - low / scale))


def _written(weights: Mapping[str, tuple[Array, Array]], scales: Mapping[str, Scale], float_ends: bool) -> bytes:
    """The network in floats without ``scales``, else in int8."""
    model, kind = ModelWriter(), "INT8" if scales else "FLOAT32"
    tensors = {"image": model.tensor("image", IMAGE, kind, scales.get("image"))}
    ends = [tensors["image"]]
    if scales and float_ends:
        ends = [model.tensor("x", IMAGE)]
        model.call("QUANTIZE", ends, [tensors["image"]], "QuantizeOptions")
    for step in NETWORK:
        operands = [tensors[name] for name in step.inputs]
        operands += _constants(model, step, weights, scales)
        tensors[step.output] = model.tensor(step.output, step.shape, kind, scales.get(step.output))
        model.call(step.operator, operands, [tensors[step.output]], step.options, **(step.fields or {}))
    last = tensors["classes"]
    if scales and float_ends:
        last = model.tensor("y", (1, CLASSES))
        model.call("DEQUANTIZE", [tensors["classes"]], [last], "DequantizeOptions")
    return model.data(ends, [last])


def _constants(
    model: ModelWriter, step: Step, weights: Mapping[str, tuple[Array, Array]], scales: Mapping[str, Scale]
) -> Sequence[int]:
    if step.operator in _AXES:
        return [model.constant(f"{step.output}_axes", _AXES[step.operator])]
    if not step.weights:
        return []
    filters, bias = weights[step.output]
    if not scales:
        return [model.constant(f"{step.output}_filter", filters), model.constant(f"{step.output}_bias", bias)]
    axis = _channel_axis(step)
    steps = np.abs(filters).max(tuple(a for a in range(filters.ndim) if a != axis)).astype(np.float64) / 127
    steps = steps.astype(np.float32).astype(np.float64)
    along = np.expand_dims(steps, [a for a in range(filters.ndim) if a != axis])
    stored = np.clip(np.rint(filters / along), -127, 127).astype(np.int8)
    zeros = np.zeros(steps.size, np.int64)
    products = steps * scales[step.inputs[0]].scales[0]
    return [
        model.constant(f"{step.output}_filter", stored, Scale(steps, zeros, axis)),
        model.constant(f"{step.output}_bias", np.rint(bias / products).astype(np.int32), Scale(products, zeros, 0)),
    ]

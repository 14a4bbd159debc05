"""Single operators on 8-bit tensors: the imported module and INT8 on the BM1684X against TensorFlow Lite's integers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tpumlir_core import api
from tpumlir_core.checks import execute
from tpumlir_core.interpreter import NumpyInterpreter
from tpumlir_core.ir import Array
from tpumlir_core.plugins.extension_points import ImportOptions
from tpumlir_core.stages import Session
from tpumlir_tflite.frontend import TfliteFrontend
from tpumlir_tflite.tensors import Scale
from tpumlir_tflite.writing import ModelWriter, per_tensor

pytest.importorskip("ai_edge_litert", reason="TensorFlow Lite's interpreter is not installed")
LEAST_SHARE = 0.95
IMAGE = (1, 6, 8, 5)
SINGLE = {"StrideH": 1, "StrideW": 1}
POOL = {**SINGLE, "FilterHeight": 2, "FilterWidth": 2}


@dataclass(frozen=True)
class Quantized:
    """One operator on 8-bit tensors: its fed operands, the filter's shape and axis of channels if it has one, other constants."""

    operator: str
    shapes: Sequence[tuple[int, ...]] = (IMAGE,)
    result: float = 0.03
    zero: int = 5
    options: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    filter: tuple[int, ...] = ()
    axis: int = 0
    constants: Sequence[Array] = ()
    type: str = "INT8"
    a_channel: bool = True
    scaled_bias: bool = True
    label: str = ""

    @property
    def name(self) -> str:
        return f"{self.operator} {self.type} {self.label}".strip()


def _i32(*numbers: Any) -> Array:
    return np.array(numbers, np.int32)


RELU6 = {"FusedActivationFunction": 3}
CASES = (
    Quantized("CONV_2D", (IMAGE,), 0.1, 3, "Conv2DOptions", SINGLE, (7, 3, 3, 5)),
    Quantized("CONV_2D", (IMAGE,), 6 / 255, -128, "Conv2DOptions", {**SINGLE, **RELU6}, (7, 3, 3, 5), a_channel=False, label="one scale"),
    Quantized("DEPTHWISE_CONV_2D", (IMAGE,), 0.06, 0, "DepthwiseConv2DOptions", {**SINGLE, "DepthMultiplier": 1}, (1, 3, 3, 5), 3),
    Quantized("FULLY_CONNECTED", ((3, 20),), 0.1, -4, "FullyConnectedOptions", {}, (9, 20), a_channel=False),
    Quantized(
        "FULLY_CONNECTED", ((3, 20),), 0.1, -4, "FullyConnectedOptions", {}, (9, 20), a_channel=False, scaled_bias=False, label="bias"
    ),
    Quantized("ADD", (IMAGE, IMAGE), 0.04, 2, "AddOptions"),
    Quantized("ADD", (IMAGE, IMAGE), 6 / 255, -128, "AddOptions", RELU6, label="fused"),
    Quantized("SUB", (IMAGE, IMAGE), 0.04, 2, "SubOptions"),
    Quantized("MUL", (IMAGE, IMAGE), 0.05, 2, "MulOptions"),
    Quantized("MAXIMUM", (IMAGE, IMAGE), 0.02, 0),
    Quantized("CONCATENATION", (IMAGE, IMAGE), 0.02, 0, "ConcatenationOptions", {"Axis": 3}),
    Quantized("AVERAGE_POOL_2D", (IMAGE,), 0.02, 0, "Pool2DOptions", POOL),
    Quantized("MAX_POOL_2D", (IMAGE,), 0.02, 0, "Pool2DOptions", POOL),
    Quantized("MEAN", (IMAGE,), 0.01, 3, "ReducerOptions", {"KeepDims": True}, constants=(_i32(1, 2),)),
    Quantized("PAD", (IMAGE,), 0.02, 0, constants=(_i32([0, 0], [1, 2], [0, 1], [0, 0]),)),
    Quantized("RESHAPE", (IMAGE,), 0.02, 0, constants=(_i32(1, 48, 5),)),
    Quantized("LOGISTIC", (IMAGE,), 1 / 256, -128),
    Quantized("TANH", (IMAGE,), 1 / 128, 0),
    Quantized("HARD_SWISH", (IMAGE,), 0.02, -100),
    Quantized("RELU", (IMAGE,), 0.02, 0),
    Quantized("RELU6", (IMAGE,), 0.02, 0),
    Quantized("LEAKY_RELU", (IMAGE,), 0.02, -40, "LeakyReluOptions", {"Alpha": 0.2}),
    Quantized("SOFTMAX", ((3, 20),), 1 / 256, -128, "SoftmaxOptions", {"Beta": 1.0}),
    Quantized("QUANTIZE", (IMAGE,), 0.05, 9),
    Quantized("RESIZE_BILINEAR", (IMAGE,), 0.02, 0, "ResizeBilinearOptions", {"HalfPixelCenters": True}, constants=(_i32(12, 16),)),
    Quantized("RESIZE_NEAREST_NEIGHBOR", (IMAGE,), 0.02, 0, "ResizeNearestNeighborOptions", constants=(_i32(12, 16),)),
    Quantized("STRIDED_SLICE", (IMAGE,), 0.02, 0, "StridedSliceOptions", constants=(_i32(0, 1, 0, 0), _i32(1, 6, 8, 5), _i32(1, 2, 1, 1))),
    Quantized("CONV_2D", (IMAGE,), 0.1, 130, "Conv2DOptions", SINGLE, (7, 3, 3, 5), type="UINT8", a_channel=False),
    Quantized("ADD", (IMAGE, IMAGE), 0.04, 120, "AddOptions", type="UINT8"),
    Quantized("AVERAGE_POOL_2D", (IMAGE,), 0.02, 128, "Pool2DOptions", POOL, type="UINT8"),
)


def write(case: Quantized) -> bytes:
    """The file: fed tensors of scale 0.02 (the second 0.03 where scales may differ), the result's from the case."""
    model, middle = ModelWriter(), 128 if case.type == "UINT8" else 0
    free = case.operator in ("ADD", "SUB", "MUL")
    scales = [per_tensor(0.03 if free and i else 0.02, middle + (7 if free and i else 0)) for i in range(len(case.shapes))]
    fed = [model.tensor(f"x{i}", shape, case.type, scale) for i, (shape, scale) in enumerate(zip(case.shapes, scales, strict=True))]
    constants = [model.constant(f"c{i}", array) for i, array in enumerate(case.constants)]
    if case.filter:
        constants += _filter(model, case, scales[0])
    result = model.tensor("y", (1,) * len(case.shapes[0]), case.type, per_tensor(case.result, case.zero))
    model.call(case.operator, [*fed, *constants], [result], case.options, **case.fields)
    return model.data(fed, [result])


def _filter(model: ModelWriter, case: Quantized, source: Scale) -> list[int]:
    random = np.random.default_rng(4)
    channels = case.filter[case.axis]
    steps = random.uniform(0.002, 0.01, channels) if case.a_channel else np.array([0.005])
    steps, zeros = steps.astype(np.float32).astype(np.float64), np.zeros(steps.size, np.int64)
    unsigned = case.type == "UINT8"
    stored = random.integers(-127, 127, case.filter, endpoint=True)
    filters = (stored + 128).astype(np.uint8) if unsigned else stored.astype(np.int8)
    products = steps * source.scales[0]
    bias = random.integers(-900, 900, channels).astype(np.int32)
    scale = Scale(products, zeros) if case.scaled_bias else None
    return [model.constant("w", filters, Scale(steps, zeros + 128 * unsigned, case.axis)), model.constant("b", bias, scale)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_quantized_operator(case: Quantized, tmp_path: Path) -> None:
    path, random = tmp_path / "case.tflite", np.random.default_rng(1)
    path.write_bytes(write(case))
    inputs = {f"x{i}": random.uniform(-2.5, 2.5, shape).astype(np.float32) for i, shape in enumerate(case.shapes)}
    expected = TfliteFrontend().run(path, inputs, ImportOptions())["y"]
    module = api.transform(path)
    lowered = api.lower(api.transform(path), chip="bm1684x", quantize="INT8")
    for found in (NumpyInterpreter().run(module, inputs)["y"], execute(lowered, inputs, "bm1684x", Session())["y"]):
        assert found.shape == expected.shape
        assert (np.abs(found - expected) / case.result <= 1.001).mean() >= LEAST_SHARE

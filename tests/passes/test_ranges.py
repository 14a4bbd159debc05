"""Ranges that types say: they go with the names of tensors through passes, and are taken out before lowering."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.passes.conftest import Graph, opcodes
from tpumlir_core.calibration import take_ranges
from tpumlir_core.interpreter import NumpyInterpreter
from tpumlir_core.ir import Quantization, TensorType, Value, top
from tpumlir_core.ir.storage import QUANTIZED_SOURCE, as_source_holds
from tpumlir_core.passes import run_pipeline
from tpumlir_core.plugins.extension_points import CalibratedRange


def ranged(value: Value, low: float, high: float) -> Value:
    value.type = replace(value.type, quantization=Quantization(1.0, 0, low, high))
    return value


def test_a_range_goes_with_the_name(graph: Graph) -> None:
    """A convolution whose activation is fused, a shape that changes nothing, an addition that becomes one of a constant."""
    x = ranged(graph.input(1, 3, 5, 5), -2, 2)
    c = graph.op(top.Conv, x, graph.random(4, 3, 1, 1), kernel_shape=(1, 1), strides=(1, 1), pads=(0,) * 4)
    r = ranged(graph.op(top.Relu, c), 0, 4)
    s = ranged(graph.op(top.Reshape, r, shape=(1, 4, 5, 5)), 0, 4)
    a = ranged(graph.op(top.Add, s, graph.weight(np.float32(0.5).reshape(1))), -1, 5)
    module = graph.module(graph.op(top.Softmax, a, axis=1))
    run_pipeline("optimize", module)
    assert opcodes(module) == ["Conv", "AddConst", "Softmax"]
    ranges = {v.name: v.type.quantization for v in module.function.values() if v.type.quantization is not None}
    assert {name: (q.low, q.high) for name, q in ranges.items() if q} == {x.name: (-2, 2), r.name: (0, 4), a.name: (-1, 5)}


def test_taken_ranges_leave_plain_types(graph: Graph) -> None:
    x = ranged(graph.input(2, 3), -1.0, 3.0)
    module = graph.module(graph.op(top.Relu, x))
    assert take_ranges(module) == {"x0": CalibratedRange(3.0, -1.0, 3.0, fixed=False)}
    assert all(value.type.quantization is None for value in module.function.values())
    ranged(x, -1.0, 3.0)
    module.attributes["module.state"] = QUANTIZED_SOURCE
    assert take_ranges(module) == {"x0": CalibratedRange(3.0, -1.0, 3.0, fixed=True)}


@pytest.mark.parametrize(("scale", "zero"), [(0.02, 0), (0.05, -128), (0.1, 127), (0.037, 11)])
def test_numbers_as_a_quantized_source_holds_them(scale: float, zero: int) -> None:
    """clip(round(x / scale) + zero) - zero, times scale."""
    values = np.random.default_rng(0).uniform(-20, 20, 500).astype(np.float32)
    type_ = TensorType((500,), quantization=Quantization(scale, zero, (-128 - zero) * scale, (127 - zero) * scale))
    expected = (np.clip(np.rint(values / scale) + zero, -128, 127) - zero) * scale
    np.testing.assert_allclose(as_source_holds(values, type_), expected, atol=1e-5)


def test_only_modules_of_quantized_sources_are_rounded(graph: Graph) -> None:
    module = graph.module(ranged(graph.op(top.MulConst, graph.input(4, 5), const_val=0.3), -0.5, 0.5))
    plain = NumpyInterpreter().run(module, graph.inputs)["v1"]
    module.attributes["module.state"] = QUANTIZED_SOURCE
    rounded = NumpyInterpreter().run(module, graph.inputs)["v1"]
    assert np.abs(plain).max() > 0.55
    assert np.abs(rounded).max() <= 0.5 + 1 / 255
    assert len(np.unique(np.rint(rounded * 255))) <= 256

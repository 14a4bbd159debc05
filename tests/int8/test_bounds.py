"""Ranges that functions bound: what they make cannot leave it, and where they are flat nothing needs to be told apart."""

from __future__ import annotations

import numpy as np
import pytest

from tests.int8.test_quantizer import lower, opcodes, ranges
from tests.passes.conftest import Graph
from tpumlir_core.ir import Module, Value, top
from tpumlir_core.ir.storage import to_real
from tpumlir_core.plugins.extension_points import CalibratedRange
from tpumlir_int8.bounds import Bounds, bounds_of
from tpumlir_int8.flat import narrowed
from tpumlir_sophgo.executor import SophgoExecutor

POINT = {"kernel_shape": (1, 1), "strides": (1, 1), "pads": (0, 0, 0, 0)}


@pytest.fixture
def graph() -> Graph:
    return Graph()


def hard_swish(graph: Graph) -> tuple[Module, Value, Value]:
    """Products before and after a HardSwish as frameworks spell it; the tensors before and after it."""
    x = graph.op(top.Conv, graph.input(1, 8, 6, 6), graph.random(16, 8, 1, 1, low=-6, high=6), None, **POINT)
    shifted = graph.op(top.Clip, graph.op(top.AddConst, x, const_val=3.0), min=0.0, max=6.0)
    y = graph.op(top.MulConst, graph.op(top.Mul, x, shifted), const_val=1 / 6)
    return graph.module(graph.op(top.Conv, y, graph.random(4, 16, 1, 1), None, **POINT)), x, y


def test_what_lies_where_a_function_is_flat_is_not_told_apart(graph: Graph) -> None:
    module, x, _ = hard_swish(graph)
    table = ranges(module, graph.inputs)
    cut = narrowed(module, table)[x]
    assert table[x.name].low < -6
    step = (table[x.name].high - table[x.name].low) / 255
    assert cut.bounds.low == pytest.approx(-3.0, abs=4 * step)
    assert (cut.bounds.high, cut.range.high) == (np.inf, pytest.approx(table[x.name].high))


def test_a_function_bounds_its_result_and_what_is_moved_from_it(graph: Graph) -> None:
    y = graph.op(top.SiLU, graph.input(1, 4, 8, 8, low=-9, high=9))
    pooled = graph.op(top.MaxPool, y, kernel_shape=(2, 2), strides=(2, 2), pads=(0, 0, 0, 0))
    mean = graph.op(top.AvgPool, graph.op(top.Reshape, pooled, shape=(1, 4, 4, 4)), kernel_shape=(4, 4), strides=(1, 1), pads=(0, 0, 0, 0))
    module = graph.module(mean)
    found = bounds_of(module, ranges(module, graph.inputs))
    least = float((lambda v: v / (1 + np.exp(-v)))(np.linspace(-3, 0, 10**5)).min())
    assert found[y].low == pytest.approx(least, abs=1e-3)
    assert found[pooled] == found[y] == found[mean]


def test_what_samples_show_is_no_bound(graph: Graph) -> None:
    """Scores that were negative on all samples may be positive one day."""
    x = graph.op(top.Conv, graph.input(1, 8, 6, 6), graph.random(4, 8, 1, 1), None, **POINT)
    module = graph.module(graph.op(top.Sigmoid, x))
    table = {**ranges(module, graph.inputs), x.name: CalibratedRange(9.0, -9.0, -1.5)}
    lowered = lower(module, table)
    stored = next(op.output.type for op in lowered.function.operations if op.opcode == "tpu.QuantizedConv")
    assert to_real(np.int8([127]), stored)[0] >= 4.0
    assert bounds_of(module, table).get(x, Bounds()) == Bounds()


def test_a_function_that_makes_an_output_stays_float(graph: Graph) -> None:
    x = graph.op(top.Conv, graph.input(1, 8, 6, 6), graph.random(4, 8, 1, 1), None, **POINT)
    module = graph.module(graph.op(top.Sigmoid, x))
    assert "tpu.Sigmoid" in opcodes(lower(module, ranges(module, graph.inputs)))


def test_steps_are_as_fine_as_the_bounds_allow(graph: Graph) -> None:
    """From -3 to 20 instead of from -20 to 20, and from -0.4 to 20."""
    module, x, y = hard_swish(graph)
    table, wanted = ranges(module, graph.inputs), graph.run(module)
    lowered = lower(module, table)
    types = {op.name: op.output.type for op in lowered.function.operations if op.results}
    for name, least in ((x.name, -3.0), (y.name, -0.375)):
        step = (table[name].high - least) / 255
        assert types[name].scaling[0] == pytest.approx(step, rel=0.05)
        assert step < 0.7 * table[name].threshold / 127
    run = SophgoExecutor().run(lowered, graph.inputs)
    error = np.linalg.norm(to_real(run[y.name], types[y.name]) - wanted[y.name])
    assert error < 0.02 * np.linalg.norm(wanted[y.name])


def test_what_a_maximum_is_chosen_from_keeps_what_may_be_chosen(graph: Graph) -> None:
    """Through the function and the shift before it too, though a calibrator cut the tensors that these make and take."""
    x = graph.op(top.Conv, graph.input(1, 8, 6, 6), graph.random(4, 8, 1, 1), None, **POINT)
    shifted = graph.op(top.AddConst, x, const_val=1.0)
    y = graph.op(top.GELU, shifted)
    most = graph.op(top.MaxPool, y, kernel_shape=(6, 6), strides=(1, 1), pads=(0, 0, 0, 0))
    module = graph.module(graph.op(top.Conv, most, graph.random(2, 4, 1, 1), None, **POINT))
    cut = {x.name: (60.0, -60.0, 60.0), shifted.name: (61.0, -59.0, 61.0), y.name: (61.0, -0.17, 61.0), most.name: (180.0, 2.0, 180.0)}
    table = {**ranges(module, graph.inputs), **{name: CalibratedRange(*range_) for name, range_ in cut.items()}}
    types = {op.name: op.output.type for op in lower(module, table).function.operations if op.results}
    for value in (x, y):
        largest = np.array([np.iinfo(types[value.name].element.numpy).max], types[value.name].element.numpy)
        assert to_real(largest, types[value.name])[0] >= 175

"""Lowering to 16 bits: what keeps F32, where conversions go, and what the outside sees."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.passes.conftest import Graph
from tpumlir_bm1684x.target import Bm1684xTarget
from tpumlir_core.interpreter import NumpyInterpreter
from tpumlir_core.ir import Array, ElementType, Module, Operation, top
from tpumlir_core.ir.storage import to_real
from tpumlir_core.plugins.extension_points import CalibratedRange, LoweringOptions, Positions
from tpumlir_core.precision import keeps_f32
from tpumlir_core.stages import Session
from tpumlir_float.lowering import FloatQuantizer
from tpumlir_sophgo.executor import SophgoExecutor

F16, BF16, F32 = ElementType.F16, ElementType.BF16, ElementType.F32


def lower(module: Module, mode: str, **options: Any) -> Module:
    return FloatQuantizer().lower(module, Bm1684xTarget(), LoweringOptions(mode, passes=Session().passes, **options))


def network(graph: Graph) -> Module:
    """A convolution, then the norm of each position over its channels, which divides it."""
    x = graph.input(1, 5, 6, 7)
    a = graph.op(top.Conv, x, graph.random(8, 5, 3, 3), graph.random(8), kernel_shape=(3, 3), strides=(1, 1), pads=(1, 1, 1, 1))
    squares = graph.op(top.Mul, a, a)
    total = graph.op(top.Reduce, squares, axes=(1,), keepdims=True, mode="ReduceSum")
    safe = graph.op(top.AddConst, total, const_val=1e-9)
    y = graph.op(top.Div, a, graph.op(top.Sqrt, safe))
    return graph.module(graph.op(top.Relu, y))


def by_kind(module: Module) -> dict[str, Operation]:
    return {op.opcode.partition(".")[2]: op for op in module.function.operations if op.opcode.startswith("tpu.")}


@pytest.mark.parametrize(("mode", "element"), [("F16", F16), ("BF16", BF16)])
def test_sums_and_what_serves_them_keep_f32(mode: str, element: ElementType) -> None:
    made = by_kind(lower(network(Graph()), mode))
    stored = {name: made[name].output.type.element for name in ("Conv", "Mul", "Reduce", "AddConst", "Sqrt", "Div", "Relu")}
    assert stored == {"Conv": element, "Mul": F32, "Reduce": F32, "AddConst": F32, "Sqrt": F32, "Div": F32, "Relu": element}


def test_a_variance_whose_digits_cancel_has_its_mean_in_f32() -> None:
    """mean(x^2) - mean(x)^2 of numbers about 30 that differ by 1: in F16 the square of the mean errs by as much as the variance."""
    graph = Graph()
    x = graph.op(top.Relu, graph.input(4, 64))
    sums = [graph.op(top.Reduce, v, axes=(1,), keepdims=True, mode="ReduceSum") for v in (x, graph.op(top.Mul, x, x))]
    mean, squares = (graph.op(top.MulConst, total, const_val=1 / 64) for total in sums)
    variance = graph.op(top.Sub, squares, graph.op(top.Mul, mean, mean))
    deviation = graph.op(top.Sqrt, graph.op(top.AddConst, variance, const_val=1e-6))
    module = graph.module(graph.op(top.Mul, graph.op(top.Sub, x, mean), graph.op(top.Reciprocal, deviation)))
    numbers = (30 + np.random.default_rng(3).standard_normal((4, 64))).astype(np.float16).astype(np.float32)
    wanted = (numbers - numbers.mean(1, keepdims=True)) / numbers.std(1, keepdims=True)
    lowered = lower(module, "F16")
    fed = next(op.name for op in lowered.function.operations if isinstance(op, top.Input))
    found = SophgoExecutor().run(lowered, {fed: numbers})[lowered.function.outputs[0].name]
    np.testing.assert_allclose(found, wanted, atol=0.02)


def test_outputs_keep_name_and_type() -> None:
    module = network(Graph())
    name = module.function.outputs[0].name
    lowered = lower(module, "F16")
    (output,) = lowered.function.outputs
    assert (output.name, output.type.element, output.owner.input.name) == (name, F32, f"{name}_f16")  # type: ignore[union-attr]


@pytest.mark.parametrize(("mode", "element"), [("F16", F16), ("BF16", BF16)])
def test_outside_types_can_stay(mode: str, element: ElementType) -> None:
    module = network(Graph())
    name = module.function.outputs[0].name
    every = Positions(every=True)
    lowered = lower(module, mode, quant_inputs=every, quant_outputs=every)
    fed = next(op for op in lowered.function.operations if isinstance(op, top.Input))
    assert (fed.output.type.element, [user.opcode for user, _ in fed.output.uses]) == (element, ["tpu.Conv"])
    assert [(v.name, v.type.element) for v in lowered.function.outputs] == [(name, element)]
    numbers = np.random.default_rng(5).standard_normal((1, 5, 6, 7)).astype(np.float32)
    stored = SophgoExecutor().run(lowered, {fed.name: numbers})
    plain = SophgoExecutor().run(lower(network(Graph()), mode), {fed.name: numbers})
    np.testing.assert_array_equal(to_real(stored[name], lowered.function.outputs[0].type), plain[name])


@pytest.mark.parametrize(("mode", "element"), [("F16", F16), ("BF16", BF16)])
def test_probabilities_that_are_outputs_keep_f32(mode: str, element: ElementType) -> None:
    """Through reshapes too; what is made of others, or asked for as it is stored, does not."""

    def stored(**options: Any) -> list[ElementType]:
        graph = Graph()
        x = graph.op(top.Conv, graph.input(1, 3, 4, 4), graph.random(6, 3, 1, 1), kernel_shape=(1, 1), strides=(1, 1), pads=(0, 0, 0, 0))
        values = [graph.op(top.Sigmoid, x), graph.op(top.Reshape, graph.op(top.Softmax, x, axis=1), shape=(6, 16)), graph.op(top.Tanh, x)]
        inner = graph.op(top.Sigmoid, values[2])
        lowered = lower(graph.module(*values, graph.op(top.Mul, inner, inner)), mode, **options)
        return [op.output.type.element for op in lowered.function.operations if op.opcode in ("tpu.Sigmoid", "tpu.Softmax")]

    assert stored() == [F32, F32, element]
    assert stored(quant_outputs=Positions(every=True)) == [element] * 3


def test_a_value_is_converted_once() -> None:
    graph = Graph()
    x = graph.input(2, 3)
    lowered = lower(graph.module(graph.op(top.Add, x, x), graph.op(top.Abs, x)), "F16")
    casts = [op for op in lowered.function.operations if op.opcode == "tpu.Cast" and op.input.name == "x0"]
    assert [op.name for op in casts] == ["x0_f16"]


def test_modes_of_single_operations() -> None:
    module = network(Graph())
    conv = next(op for op in module.function.operations if op.opcode == "top.Conv")
    lowered = lower(module, "F32", modes={conv.name: "F16"})
    assert by_kind(lowered)["Conv"].output.type.element is F16
    assert by_kind(lowered)["Relu"].output.type.element is F32


def test_weights_stay_as_they_are() -> None:
    lowered = lower(network(Graph()), "F16")
    assert {op.output.type.element for op in lowered.function.operations if op.opcode == "top.Weight"} == {F32}


@pytest.mark.parametrize(("mode", "least"), [("F16", 0.9999), ("BF16", 0.99)])
def test_the_executor_rounds_where_it_stores(mode: str, least: float) -> None:
    graph = Graph()
    module = network(graph)
    wanted: Array = NumpyInterpreter().run(module, graph.inputs)[module.function.outputs[0].name]
    lowered = lower(module, mode)
    arrays = SophgoExecutor().run(lowered, graph.inputs)
    found = arrays[lowered.function.outputs[0].name].astype(np.float64)
    cosine = float((found.ravel() @ wanted.ravel()) / np.linalg.norm(found) / np.linalg.norm(wanted))
    assert least < cosine < 1
    conv = by_kind(lowered)["Conv"]
    real = to_real(arrays[conv.name], conv.output.type)
    assert not np.array_equal(real, NumpyInterpreter().run(module, graph.inputs)[conv.name])


def test_reductions_that_do_not_grow_may_be_rounded() -> None:
    graph = Graph()
    x = graph.input(3, 4)
    kept = {mode: keeps_f32(graph.op(top.Reduce, x, axes=(1,), keepdims=True, mode=mode).owner)  # type: ignore[arg-type]
            for mode in ("ReduceMax", "ReduceMean", "ReduceSum", "ReduceL2")}
    assert kept == {"ReduceMax": False, "ReduceMean": False, "ReduceSum": True, "ReduceL2": True}


def scores(factor: float) -> tuple[Module, dict[str, Array]]:
    graph = Graph()
    x = graph.input(2, 10)
    large = graph.op(top.MulConst, x, const_val=factor)
    module = graph.module(graph.op(top.Softmax, large, axis=1, beta=1.0))
    return module, {x.name: np.linspace(-1, 1, 20, dtype=np.float32).reshape(2, 10)}


def test_softmax_of_scores_beyond_f16_gives_numbers() -> None:
    module, inputs = scores(1e6)
    name = module.function.outputs[0].name
    found = SophgoExecutor().run(lower(module, "F16"), inputs)[name]
    # the first row is negative: one score is the largest; in the second nine are beyond the largest number, and alike
    expected = np.zeros((2, 10))
    expected[0, 9] = 1
    expected[1, 1:] = 1 / 9
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_what_the_table_shows_to_be_beyond_f16_keeps_f32() -> None:
    module, inputs = scores(1e6)
    expected = NumpyInterpreter().run(module, inputs)
    name = module.function.outputs[0].name
    ranges = {key: CalibratedRange(float(np.abs(value).max()), float(value.min()), float(value.max())) for key, value in expected.items()}
    lowered = lower(module, "F16", calibration=ranges)
    assert by_kind(lowered)["MulConst"].output.type.element is F32
    np.testing.assert_allclose(SophgoExecutor().run(lowered, inputs)[name], expected[name], atol=1e-6)

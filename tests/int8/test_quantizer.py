"""The INT8 quantizer: what is stored how, and random networks on the emulator, bit for bit as the executor has them."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.passes.conftest import Graph
from tpumlir_bm1684x.custom import ElementwiseKernel
from tpumlir_bm1684x.target import Bm1684xTarget
from tpumlir_core.custom import Operator, operator
from tpumlir_core.errors import InputError
from tpumlir_core.interpreter import NumpyInterpreter
from tpumlir_core.ir import Array, ElementType, Module, Quantization, TensorType, top
from tpumlir_core.ir.storage import to_real
from tpumlir_core.passes import EliminateDead
from tpumlir_core.plugins.extension_points import CalibratedRange, LoweringOptions, Positions
from tpumlir_core.stages import Session
from tpumlir_core.storage_lowering import Storage
from tpumlir_int8.products import quantize
from tpumlir_int8.quantizer import Int8Quantizer
from tpumlir_int8.ranges import after_relu, storage_of, unified
from tpumlir_sophgo.executor import SophgoExecutor
from tpumlir_sophgo.tensor import LocalTensor
from tpumlir_sophgo.testing.cmodel import Machine
from tpumlir_sophgo.testing.programs import run_module

SI8, UI8 = ElementType.SI8, ElementType.UI8


@pytest.fixture
def graph() -> Graph:
    return Graph()


def ranges(module: Module, inputs: Mapping[str, Array]) -> dict[str, CalibratedRange]:
    arrays = NumpyInterpreter().run(module, inputs)
    return {name: CalibratedRange(float(np.abs(a).max()) or 1.0, float(a.min()), float(a.max())) for name, a in arrays.items()}


def lower(module: Module, table: Mapping[str, CalibratedRange], **options: Any) -> Module:
    return Int8Quantizer().lower(module, Bm1684xTarget(), LoweringOptions("INT8", calibration=table, passes=Session().passes, **options))


def network(graph: Graph, channels: int = 6) -> tuple[Module, dict[str, Array]]:
    """A convolution with a ReLU, a pool, two branches that are added and concatenated, a function, and a product."""
    x = graph.input(2, 3, 11, 9)
    window = {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1)}
    a = graph.op(top.Conv, x, graph.random(channels, 3, 3, 3), graph.random(channels), strides=(2, 2), do_relu=True, **window)
    p = graph.op(top.MaxPool, a, kernel_shape=(2, 2), strides=(1, 1), pads=(0, 0, 1, 1))
    b = graph.op(top.Conv, p, graph.random(channels, 1, 3, 3), graph.random(channels), strides=(1, 1), group=channels, **window)
    s = graph.op(top.SiLU, b)
    c = graph.op(top.Concat, graph.op(top.Add, s, p), s, axis=1)
    g = graph.op(top.AvgPool, c, kernel_shape=(6, 5), strides=(1, 1), pads=(0, 0, 0, 0))
    flat = graph.op(top.Reshape, g, shape=(2, 2 * channels))
    y = graph.op(top.MatMul, flat, graph.random(2 * channels, 7), graph.random(7))
    return graph.module(graph.op(top.Softmax, y, axis=1), y), dict(graph.inputs)


def opcodes(module: Module) -> list[str]:
    return [op.opcode for op in module.function.operations if op.opcode not in ("top.Input", "top.Weight")]


# --- what the source stores --------------------------------------------------------------------------------------------
SOURCE, RESULT = storage_of(CalibratedRange(1.0, -1.0, 1.0), False), storage_of(CalibratedRange(4.0, -4.0, 4.0), False)


def test_weights_keep_the_steps_of_the_source() -> None:
    stored = np.random.default_rng(0).integers(-90, 90, (4, 3, 3, 3))
    steps = np.array([0.5, 0.01, 3.0, 1.0])
    weights = (stored * steps.reshape(4, 1, 1, 1)).astype(np.float32)
    found = quantize(weights, 0, None, SOURCE, RESULT, tuple(steps))
    np.testing.assert_array_equal(found.weights, stored)
    np.testing.assert_allclose(found.scale, steps * (1 / 127) / (4 / 127), rtol=1e-6)


def test_weights_that_were_changed_since_get_steps_of_their_own() -> None:
    weights = np.random.default_rng(0).uniform(-1, 1, (4, 3, 3, 3)).astype(np.float32)
    for scales in ((1.0,), (0.3,) * 4):
        found = quantize(weights, 0, None, SOURCE, RESULT, scales)
        assert np.abs(found.weights.astype(int)).max((1, 2, 3)).tolist() == [127] * 4


def test_a_fixed_range_keeps_scale_and_zero_point() -> None:
    """Of a tensor that a source stores as int8: scale 0.03 and zero point 17; and 0.02 with -128, which is unsigned here."""
    signed = storage_of(CalibratedRange(4.35, -4.35, 3.3, fixed=True), False)
    assert (signed.element, signed.quantization) == (SI8, Quantization(pytest.approx(0.03), 17, -4.35, 3.3))
    unsigned = storage_of(CalibratedRange(5.1, 0.0, 5.1, fixed=True), False)
    assert (unsigned.element, unsigned.quantization) == (UI8, Quantization(pytest.approx(0.02), 0, 0.0, 5.1))


def test_a_fixed_range_is_no_wider_for_what_is_made_of_it(graph: Graph) -> None:
    """A function that leaves large numbers as they are, a result that reaches further: only what a calibrator found gives way."""
    x = graph.input(1, 2, 4, 4)
    c = graph.op(top.Conv, x, graph.random(2, 2, 1, 1), kernel_shape=(1, 1), strides=(1, 1), pads=(0,) * 4)
    y = graph.op(top.HardSwish, c)
    module, wide = graph.module(y), CalibratedRange(4.2, -0.375, 4.2)
    for fixed in (False, True):
        table = {c.name: CalibratedRange(4.0, -4.2, 4.0, fixed), y.name: wide}
        assert (unified(module, table)[c.name] == table[c.name]) == fixed


# --- ranges -----------------------------------------------------------------------------------------------------------
def test_never_negative_is_unsigned() -> None:
    """The figures that tpu-mlir 1.30.2 wrote for its tiny network."""
    assert storage_of(CalibratedRange(4.4466324, -4.4466324, 3.8317902), False).quantization.scale == pytest.approx(0.0350128, rel=1e-5)  # type: ignore[union-attr]
    unsigned = storage_of(CalibratedRange(5.4525051, -0.0, 5.4525051), False)
    assert unsigned.element is UI8
    assert unsigned.quantization.scale == pytest.approx(0.0213824, rel=1e-5)  # type: ignore[union-attr]
    asymmetric = storage_of(CalibratedRange(4.4466324, -4.4466324, 3.8317902), True)
    assert asymmetric.element is SI8
    assert (round(asymmetric.quantization.scale, 7), asymmetric.quantization.zero_point) == (0.0324644, 9)  # type: ignore[union-attr]


@given(st.floats(-100, 100), st.floats(-100, 100))
def test_zero_and_both_ends_are_stored_within_half_a_step(a: float, b: float) -> None:
    low, high = min(a, b), max(a, b)
    for asymmetric in (False, True):
        storage = storage_of(CalibratedRange(max(abs(low), abs(high)), low, high), asymmetric)
        q, limits = storage.quantization, np.iinfo(storage.element.numpy)
        assert q is not None
        for real in (0.0, low, high):
            stored = round(real / q.scale) + q.zero_point
            assert limits.min - 1 <= stored <= limits.max + 1


def test_an_activation_bounds_its_range() -> None:
    assert after_relu(CalibratedRange(8.0, -8.0, 7.0), 6.0) == CalibratedRange(6.0, 0.0, 6.0)
    assert after_relu(CalibratedRange(8.0, -8.0, 7.0), -1.0) == CalibratedRange(8.0, 0.0, 7.0)


def test_weights_by_channel() -> None:
    weights = np.float32([[1.0, -2.0], [0.5, 0.25]])
    source, result = Storage(SI8, Quantization(0.1, 3)), Storage(SI8, Quantization(0.5, -7))
    found = quantize(weights, 0, np.float32([1.0, -1.0]), source, result)
    np.testing.assert_array_equal(found.weights, [[64, -127], [127, 64]])  # halves to even
    steps = np.array([2 / 127, 0.5 / 127])
    np.testing.assert_allclose(found.scale, 0.1 * steps / 0.5, rtol=1e-6)
    sums = np.array([64 - 127, 127 + 64])
    np.testing.assert_allclose(found.offset, np.array([1, -1]) / 0.5 - 7 - found.scale * 3 * sums, rtol=1e-5)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_offsets_make_up_for_what_rounding_adds_to_means(groups: int) -> None:
    """Of a convolution of constant channels, all of which is mean, nothing is left of the weights' errors."""
    random = np.random.default_rng(groups)
    weights = random.normal(size=(8, 4 // groups, 3, 3)).astype(np.float32)
    means = random.uniform(0, 3, 4)
    source, result = Storage(SI8, Quantization(0.05, 3)), Storage(SI8, Quantization(0.5, -7))
    found = quantize(weights, 0, None, source, result, means=tuple(means))
    per_group = np.repeat(means.reshape(groups, -1), 8 // groups, axis=0)
    wanted = (weights.sum((2, 3)) * per_group).sum(1)
    sums = (found.weights.sum((2, 3), dtype=np.int64) * (per_group / 0.05 + 3)).sum(1)
    np.testing.assert_allclose((sums * found.scale + found.offset + 7) * 0.5, wanted, atol=1e-4)


# --- what becomes of operations ------------------------------------------------------------------------------------------
def test_integers_where_they_do_and_floats_elsewhere(graph: Graph) -> None:
    module, inputs = network(graph)
    names = [v.name for v in module.function.outputs]
    lowered = lower(module, ranges(module, inputs))
    kinds = opcodes(lowered)
    assert kinds.count("tpu.QuantizedConv") == 2
    assert {"tpu.QuantizedMatMul", "tpu.Lookup"} <= set(kinds)
    assert "tpu.Softmax" in kinds
    assert [(v.name, v.type.element) for v in lowered.function.outputs] == [(name, ElementType.F32) for name in names]


def test_weights_that_8_bit_forms_replace_are_gone(graph: Graph) -> None:
    module, inputs = network(graph)
    before = set(module.weights)
    lowered = lower(module, ranges(module, inputs))
    read = {v.name for op in lowered.function.operations for v in op.operands if v is not None}
    assert set(lowered.weights) <= read
    assert not set(lowered.weights) & before


def test_maxima_and_moves_keep_the_scale_of_their_operand(graph: Graph) -> None:
    module, inputs = network(graph)
    lowered = lower(module, ranges(module, inputs))
    for op in lowered.function.operations:
        if op.opcode in ("tpu.MaxPool", "tpu.Reshape"):
            assert op.input.type.scaling == op.output.type.scaling


def test_modes_of_single_operations(graph: Graph) -> None:
    module, inputs = network(graph)
    table, first = ranges(module, inputs), next(op for op in module.function.operations if op.opcode == "top.Conv")
    lowered = lower(module, table, modes={first.name: "F16"})
    made = next(op for op in lowered.function.operations if op.name == first.name)
    assert (made.opcode, made.output.type.element) == ("tpu.Conv", ElementType.F16)


def test_outside_types_can_stay(graph: Graph) -> None:
    module, inputs = network(graph)
    lowered = lower(module, ranges(module, inputs), quant_inputs=Positions(every=True), quant_outputs=Positions(frozenset({1})))
    fed = next(op for op in lowered.function.operations if op.opcode == "top.Input")
    assert fed.output.type.element is SI8
    assert [v.type.element for v in lowered.function.outputs] == [ElementType.F32, SI8]
    stored = SophgoExecutor().run(lowered, inputs)[fed.name]  # real numbers that are fed are stored as the input is
    np.testing.assert_array_equal(stored, np.clip(np.round(inputs[fed.name] / fed.output.type.scaling[0]), -128, 127))


def test_without_any_range_it_says_what_is_missing(graph: Graph) -> None:
    module, _ = network(graph)
    with pytest.raises(InputError, match=r"INT8 needs the range of every tensor; give --calibration-table"):
        lower(module, {})


def test_without_a_range_it_stays_float(graph: Graph) -> None:
    module, inputs = network(graph)
    table, first = ranges(module, inputs), next(op for op in module.function.operations if op.opcode == "top.Conv")
    del table[first.name]
    made = next(op for op in lower(module, table).function.operations if op.name == first.name)
    assert (made.opcode, made.output.type.element) == ("tpu.Conv", ElementType.F16)


def test_a_product_stays_float_where_8_bits_tell_too_little_of_what_floats_made() -> None:
    def opcodes(lossy: int, forced: str = "") -> list[str]:
        graph = Graph()
        values = [graph.op(top.Softmax, graph.input(1, 8, 5, 5), axis=1)]
        for channels in (8, 4):
            weight = graph.random(4, channels, 1, 1)
            values.append(graph.op(top.Conv, values[-1], weight, None, kernel_shape=(1, 1), strides=(1, 1), pads=(0,) * 4))
        modes = {values[1].name: forced} if forced else {}
        module = graph.module(values[-1])
        table = ranges(module, graph.inputs)
        name = values[lossy].name
        lowered = lower(module, {**table, name: replace(table[name], loss=0.1)}, modes=modes)
        return [op.opcode for op in lowered.function.operations if "Conv" in op.opcode]

    assert opcodes(0) == ["tpu.Conv", "tpu.QuantizedConv"]
    assert opcodes(1) == ["tpu.QuantizedConv"] * 2  # the loss is there already
    assert opcodes(0, forced="INT8") == ["tpu.QuantizedConv"] * 2


def test_what_is_too_large_for_f16_keeps_f32(graph: Graph) -> None:
    y = graph.op(top.MatMul, graph.input(3, 5), graph.random(5, 7), None)
    module = graph.module(graph.op(top.Abs, graph.op(top.Softmax, y, axis=1)))
    table = ranges(module, graph.inputs)
    for one, element in ((table[y.name], ElementType.F16), (CalibratedRange(1e6, -1e6, 1e6), ElementType.F32)):
        lowered = lower(copy.deepcopy(module), {**table, y.name: one})
        softmax = next(op for op in lowered.function.operations if op.opcode == "tpu.Softmax")
        assert (softmax.input.type.element, softmax.output.type.element) == (element, element)


WINDOW = {"kernel_shape": (2, 1), "strides": (1, 1), "pads": (0, 0, 0, 0)}
ENDS = {
    "outputs": (lambda g, y: (y,), ElementType.F32),
    "reshaped outputs": (lambda g, y: (g.op(top.Reshape, y, shape=(7, 3)),), ElementType.F32),
    "probabilities": (lambda g, y: (g.op(top.Softmax, y, axis=1),), ElementType.F32),
    "floats": (lambda g, y: (g.op(top.Floor, g.op(top.Softmax, g.op(top.Reshape, y, shape=(7, 3)), axis=1)),), ElementType.F16),
    "both": (lambda g, y: (g.op(top.Softmax, g.op(top.Softmax, y, axis=1), axis=1), y), ElementType.F16),
    "products": (lambda g, y: (g.op(top.MatMul, y, g.random(7, 4), None), y), UI8),
    "maxima": (lambda g, y: (g.op(top.MaxPool, g.op(top.Reshape, y, shape=(3, 1, 7, 1)), **WINDOW),), UI8),
}


@pytest.mark.parametrize("end", ENDS)
def test_products_that_only_floats_take_are_floats(machine: Machine, graph: Graph, end: str) -> None:
    """Straight from their sums, bit for bit as the executor has them."""
    make, element = ENDS[end]
    y = graph.op(top.MatMul, graph.input(3, 5), graph.random(5, 7), graph.random(7), do_relu=True)
    module, target = graph.module(*make(graph, y)), Bm1684xTarget()
    lowered = lower(module, ranges(module, graph.inputs))
    product = next(op for op in lowered.function.operations if op.opcode == "tpu.QuantizedMatMul")
    assert product.output.type.element is element
    lowered.function.outputs = [product.output]
    EliminateDead().run(lowered)
    found = run_module(machine, target.chip(), target.kernels(), lowered, graph.inputs)[product.name]
    np.testing.assert_array_equal(found, SophgoExecutor().run(lowered, graph.inputs)[product.name])


def test_whose_type_was_said_stays_in_8_bits(graph: Graph) -> None:
    """By the source's own range, or by the quantization table of what takes it; and by that table it becomes float too."""
    x = graph.input(3, 5)
    y = graph.op(top.MatMul, x, graph.random(5, 7), None)
    z = graph.op(top.MatMul, y, graph.random(7, 4), None)
    module = graph.module(z)
    table = ranges(module, graph.inputs)

    def elements(table: Mapping[str, CalibratedRange], **options: Any) -> list[ElementType]:
        lowered = lower(copy.deepcopy(module), table, **options)
        return [op.output.type.element for op in lowered.function.operations if op.opcode == "tpu.QuantizedMatMul"]

    assert elements(table) == [SI8, ElementType.F32]
    assert elements({**table, z.name: replace(table[z.name], fixed=True)}) == [SI8, SI8]
    assert elements(table, modes={z.name: "F16"}) == [ElementType.F16]
    assert elements(table, modes={z.name: "F32"}) == [ElementType.F32]


# --- on the emulator -----------------------------------------------------------------------------------------------------
@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 6, 70]), st.booleans())
def test_the_emulator_agrees_bit_for_bit(machine: Machine, seed: int, channels: int, asymmetric: bool) -> None:
    module, inputs = network(Graph(seed), channels)
    wanted = NumpyInterpreter().run(module, inputs)[module.function.outputs[1].name]
    lowered = lower(module, ranges(module, inputs), asymmetric=asymmetric, quant_outputs=Positions(frozenset({1})))
    y = lowered.function.outputs[1]
    expected = SophgoExecutor().run(lowered, inputs)
    target = Bm1684xTarget()
    found = run_module(machine, target.chip(), target.kernels(), lowered, inputs)
    np.testing.assert_array_equal(found[y.name], expected[y.name])
    real = to_real(found[y.name], y.type)
    error = np.linalg.norm(real - wanted) / np.linalg.norm(wanted)
    assert error < 0.15, error


# --- custom operators ------------------------------------------------------------------------------------------------------
def test_saturation_rectifies(machine: Machine, graph: Graph) -> None:
    """Where the least stored number stands for zero; limits are kept all the same."""
    x = graph.op(top.Conv, graph.input(1, 3, 7, 9), graph.random(70, 3, 1, 1), None, kernel_shape=(1, 1), strides=(1, 1), pads=(0, 0, 0, 0))
    a = graph.op(top.Scale, x, graph.random(1, 70, 1, 1), graph.random(1, 70, 1, 1), do_relu=True)
    b = graph.op(top.Add, x, a, do_relu=True, relu_limit=1.5)
    c = graph.op(top.Add, b, x, do_relu=True)
    module = graph.module(a, b, c)
    wanted, table = graph.run(module), ranges(module, graph.inputs)
    for asymmetric in (False, True):
        lowered = lower(copy.deepcopy(module), table, asymmetric=asymmetric, quant_outputs=Positions(every=True))
        found = run_module(machine, Bm1684xTarget().chip(), Bm1684xTarget().kernels(), lowered, graph.inputs)
        expected, types = SophgoExecutor().run(lowered, graph.inputs), {v.name: v.type for v in lowered.function.outputs}
        for name, array in found.items():
            np.testing.assert_array_equal(array, expected[name])
        for name, value in zip(types, (a, b, c), strict=True):
            assert np.abs(to_real(found[name], types[name]) - wanted[value.name]).max() < 0.1


class AbsKernel(ElementwiseKernel):
    """One instruction."""

    def compute(self, op: Any, operands: list[LocalTensor], out: LocalTensor, s: Any, e: Any) -> None:
        e.unary("abs", out, operands[0])


@operator("acme.Conv", "input")
class Magnitude(Operator):
    """Called like an operation of Top, which it is not; magnitudes of signed numbers have the scale of their operand."""

    quantization = "same_scale"
    kernels = {"bm1684x": AbsKernel}

    def infer(self, types: Sequence[TensorType | None]) -> list[TensorType]:
        assert types[0] is not None
        return [types[0]]

    def reference(self, x: Array) -> Array:
        return np.abs(x)


@pytest.mark.parametrize(("quantization", "element"), [("same_scale", SI8), ("float", ElementType.F16)])
def test_custom_operators_say_how_they_are_quantized(
    machine: Machine, quantization: str, element: ElementType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Magnitude, "quantization", quantization)
    graph = Graph()
    c = graph.op(top.Conv, graph.input(1, 3, 5, 5), graph.random(4, 3, 1, 1), kernel_shape=(1, 1), strides=(1, 1), pads=(0, 0, 0, 0))
    module = graph.module(graph.op(top.MaxPool, graph.op(Magnitude, c), kernel_shape=(2, 2), strides=(1, 1), pads=(0, 0, 0, 0)))
    lowered = lower(module, ranges(module, graph.inputs))
    made = next(op for op in lowered.function.operations if op.opcode == "acme.Conv")
    assert made.output.type.element is element
    target = Bm1684xTarget()
    found = run_module(machine, target.chip(), target.kernels_for(lowered.function.operations), lowered, graph.inputs)
    expected = SophgoExecutor().run(lowered, graph.inputs)
    for value in lowered.function.outputs:
        np.testing.assert_array_equal(found[value.name], expected[value.name])

"""Kernels of 8-bit numbers against the operations' semantics, which are exact: every bit has to agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.bm1684x.conftest import boxes, even
from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.kernels import quantized_folding
from tpumlir_bm1684x.kernels.quantized_scale import QuantizedScaleKernel
from tpumlir_core.ir import Array, ElementType, Operation, Quantization, TensorType, Value, WeightStore
from tpumlir_core.ir.top import Input, Weight
from tpumlir_core.ir.tpu import Lookup, QuantizedConv, QuantizedMatMul, QuantizedScale
from tpumlir_sophgo.tensor import LocalTensor
from tpumlir_sophgo.testing.kernels import read_local, run_kernel, write_local

SI8, UI8, F32 = ElementType.SI8, ElementType.UI8, ElementType.F32
SOURCES = [(SI8, 0), (SI8, -11), (UI8, 0)]
RESULTS = [SI8, SI8, UI8, F32, ElementType.F16, ElementType.BF16]


def numbers(random: np.random.Generator, shape: tuple[int, ...], element: ElementType) -> Array:
    limits = np.iinfo(element.numpy)
    return random.integers(limits.min, limits.max + 1, shape).astype(element.numpy)


def value(shape: tuple[int, ...], source: tuple[ElementType, int]) -> Value:
    return Input.create([None], [("x", TensorType(shape, source[0], Quantization(0.5, source[1])))]).output


def weights(store: WeightStore, **arrays: Array) -> list[Value]:
    for name, array in arrays.items():
        store[name] = array
    types = {np.dtype("int8"): SI8, np.dtype("uint8"): UI8, np.dtype("float32"): F32}
    return [Weight.create([], [(name, TensorType(a.shape, types[a.dtype]))]).output for name, a in arrays.items()]


def scales(random: np.random.Generator, count: int, terms: int) -> dict[str, Array]:
    """Such that results fill their range, and sometimes leave it."""
    scale = random.uniform(0.2, 1.0, count) * 60 / (5400 * np.sqrt(terms))
    return {"scale": scale.astype(np.float32), "offset": random.uniform(-20, 20, count).astype(np.float32)}


def made(shape: tuple[int, ...], element: ElementType) -> tuple[str, TensorType]:
    return "y", TensorType(shape, element, None if element.is_float else Quantization(0.1))


def check(runner: Any, op: Operation, arrays: list[Array], store: WeightStore, pieces: int = 1, loose: bool = False) -> None:
    kernel = runner.kernels[op.opcode]
    assert kernel.takes(op)

    def tiles(views: Any) -> Any:
        return boxes(views, even(kernel, op, views, pieces))

    found = run_kernel(runner.machine, Bm1684xEmitter.new, kernel, op, arrays, store, tiles if pieces > 1 else None, loose)
    np.testing.assert_array_equal(found[0], op.evaluate(arrays)[0])


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_convolution(runner: Any, data: st.DataObject) -> None:
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    group = data.draw(st.sampled_from([1, 1, 1, 2, 5]))
    inputs, outputs = (data.draw(st.sampled_from([1, 3, 7, 33, 66])) * group for _ in range(2))
    n, h, w = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(1, 13)))
    kernel = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    pads = tuple(data.draw(st.lists(st.integers(0, 3), min_size=4, max_size=4)))
    dilations, strides = (data.draw(st.tuples(st.integers(1, 2), st.integers(1, 3))) for _ in range(2))
    assume(all(x + a + b > d * (k - 1) for x, a, b, k, d in zip((h, w), pads[:2], pads[2:], kernel, dilations, strict=True)))
    source, result, relu = data.draw(st.tuples(st.sampled_from(SOURCES), st.sampled_from(RESULTS), st.booleans()))
    store = WeightStore()
    x = numbers(random, (n, inputs, h, w), source[0])
    filters = random.integers(-127, 128, (outputs, inputs // group, *kernel)).astype(np.int8)
    parts = {"filter": filters, **scales(random, outputs, filters[0].size)}
    axes = zip((h, w), pads[:2], pads[2:], kernel, dilations, strides, strict=True)
    extents = [(size + a + b - d * (k - 1) - 1) // step + 1 for size, a, b, k, d, step in axes]
    activation = {"do_relu": result.is_float and relu, "relu_limit": data.draw(st.sampled_from([-1.0, 6.0]))}
    op = QuantizedConv.create(
        [value(x.shape, source), *weights(store, **parts)], [made((n, outputs, *extents), result)],
        kernel_shape=kernel, strides=strides, pads=pads, dilations=dilations, group=group, **activation,
    )
    check(runner, op, [x, *parts.values()], store, data.draw(st.integers(1, 3)), data.draw(st.booleans()))


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_depthwise(runner: Any, data: st.DataObject) -> None:
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    channels, kernel, stride = data.draw(st.tuples(st.sampled_from([2, 64, 67]), st.integers(1, 5), st.integers(1, 2)))
    n, h, w = data.draw(st.tuples(st.integers(1, 2), st.integers(5, 11), st.integers(5, 11)))
    source, result = data.draw(st.sampled_from(SOURCES)), data.draw(st.sampled_from(RESULTS))
    store = WeightStore()
    x, filters = numbers(random, (n, channels, h, w), source[0]), random.integers(-127, 128, (channels, 1, kernel, kernel)).astype(np.int8)
    parts = {"filter": filters, **scales(random, channels, kernel * kernel)}
    pad = kernel // 2
    extents = [(size + 2 * pad - kernel) // stride + 1 for size in (h, w)]
    op = QuantizedConv.create(
        [value(x.shape, source), *weights(store, **parts)], [made((n, channels, *extents), result)],
        kernel_shape=(kernel, kernel), strides=(stride, stride), pads=(pad,) * 4, group=channels,
    )
    check(runner, op, [x, *parts.values()], store, data.draw(st.integers(1, 3)), data.draw(st.booleans()))


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("pieces", [1, 3])
@pytest.mark.parametrize(("loose", "result"), [(False, UI8), (True, UI8), (True, ElementType.F16)])
def test_few_channels_are_folded(runner: Any, source: tuple[ElementType, int], pieces: int, loose: bool, result: ElementType) -> None:
    random = np.random.default_rng(3)
    store, x = WeightStore(), numbers(random, (2, 3, 37, 41), source[0])
    parts = {"filter": random.integers(-127, 128, (70, 3, 7, 5)).astype(np.int8), **scales(random, 70, 105)}
    op = QuantizedConv.create(
        [value(x.shape, source), *weights(store, **parts)], [made((2, 70, 19, 21), result)],
        kernel_shape=(7, 5), strides=(2, 2), pads=(3, 2, 3, 2),
    )
    assert quantized_folding.pays(op)
    check(runner, op, [x, *parts.values()], store, pieces, loose)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_scale(runner: Any, data: st.DataObject) -> None:
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    n, channels = data.draw(st.tuples(st.integers(1, 3), st.sampled_from([1, 5, 64, 67, 200])))
    shape = (n, channels, *data.draw(st.lists(st.integers(1, 9), max_size=3)))
    source, target = data.draw(st.sampled_from(SOURCES)), data.draw(st.sampled_from([SI8, UI8]))
    store, x, parts = WeightStore(), numbers(random, shape, source[0]), scales(random, channels, 1)
    parts["scale"] *= 150
    result = ("y", TensorType(shape, target, Quantization(0.1)))
    op = QuantizedScale.create([value(shape, source), *weights(store, **parts)], [result])
    check(runner, op, [x, *parts.values()], store, data.draw(st.integers(1, 3)))


def test_scales_of_images_are_left_to_what_fills_the_lanes() -> None:
    source, store = (UI8, 0), WeightStore()
    parts = weights(store, **scales(np.random.default_rng(0), 3, 1))
    op = QuantizedScale.create([value((1, 3, 224, 224), source), *parts], [("y", TensorType((1, 3, 224, 224), UI8, Quantization(0.1)))])
    assert "few channels" in (QuantizedScaleKernel().supports(op) or "")


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_product(runner: Any, data: st.DataObject) -> None:
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    extents = ([1, 3], [1, 2, 5, 70], [1, 3, 64, 130, 700], [1, 7, 65, 200])
    batch, rows, inner, columns = data.draw(st.tuples(*map(st.sampled_from, extents)))
    source, transposed, result = data.draw(st.tuples(st.sampled_from(SOURCES), st.booleans(), st.sampled_from(RESULTS)))
    store = WeightStore()
    x, right = numbers(random, (batch, rows, inner), source[0]), random.integers(-127, 128, (columns, inner)).astype(np.int8)
    parts = {"right": right if transposed else np.ascontiguousarray(right.T), **scales(random, columns, inner)}
    op = QuantizedMatMul.create(
        [value(x.shape, source), *weights(store, **parts)], [made((batch, rows, columns), result)], right_transpose=transposed,
        do_relu=result.is_float and data.draw(st.booleans()),
    )
    check(runner, op, [x, *parts.values()], store, data.draw(st.integers(1, 3)))


@pytest.mark.parametrize("element", [SI8, UI8])
@pytest.mark.parametrize("shape", [(5,), (2, 70, 3, 9), (3, 130)])
def test_lookup(runner: Any, element: ElementType, shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(0)
    store, x, table = WeightStore(), numbers(random, shape, element), numbers(random, (256,), SI8)
    op = Lookup.create([value(shape, (element, 0)), *weights(store, table=table)], [("y", TensorType(shape, SI8, Quantization(0.1)))])
    check(runner, op, [x, table], store)


def test_conversion_of_fractions(runner: Any) -> None:
    """F32 to bytes keeps fractions until it rounds: a float converted to its own type would be integral."""
    x = np.linspace(-3, 3, 200).astype(np.float32).reshape(1, 4, 5, 10)
    e = Bm1684xEmitter.new()
    wide, narrow = (LocalTensor.aligned(arch(), at, x.shape, element) for at, element in ((0, F32), (4096, SI8)))
    runner.machine.fill()
    write_local(runner.machine, wide, x)
    e.narrow(narrow, wide, (0.02, 5))
    runner.machine.execute(e)
    np.testing.assert_array_equal(read_local(runner.machine, narrow), np.clip(np.rint(x * np.float32(50.0) + np.float32(5)), -128, 127))

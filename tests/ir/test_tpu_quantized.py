"""Products of 8-bit numbers against sums in int64."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tpumlir_core.ir import Array, ElementType, Quantization, TensorType, Value
from tpumlir_core.ir.top import Weight
from tpumlir_core.ir.tpu import QuantizedConv, QuantizedMatMul

random = np.random.default_rng(11)


def requantized(sums: Array, scale: Array, offset: Array) -> Array:
    real = (sums.astype(np.float32) * scale).astype(np.float32) + offset
    return np.clip(np.rint(real), -128, 127).astype(np.int8)


def weights(*shapes: tuple[str, tuple[int, ...], ElementType]) -> list[Value]:
    return [Weight.create([], [(name, TensorType(shape, element))]).output for name, shape, element in shapes]


@pytest.mark.parametrize(
    ("channels", "filters", "group", "kernel", "stride", "extreme"),
    [(8, 8, 8, 3, 2, False), (3, 5, 1, 1, 1, False), (6, 4, 2, 3, 1, False), (900, 3, 1, 1, 1, True), (70, 70, 70, 5, 1, True)],
)
def test_convolution(channels: int, filters: int, group: int, kernel: int, stride: int, extreme: bool) -> None:
    x = random.integers(250 if extreme else 0, 256, (2, channels, 7, 6)).astype(np.uint8)
    w = random.integers(120 if extreme else -127, 128, (filters, channels // group, kernel, kernel)).astype(np.int8)
    scale, offset = random.uniform(1e-4, 1e-2, filters).astype(np.float32), random.uniform(-9, 9, filters).astype(np.float32)
    pad, zero = kernel // 2, 7
    source = Value("x", TensorType(x.shape, ElementType.UI8, Quantization(0.1, zero, 0.0, 1.0)))
    parts = weights(("w", w.shape, ElementType.SI8), ("s", (filters,), ElementType.F32), ("o", (filters,), ElementType.F32))
    attributes = {"kernel_shape": (kernel,) * 2, "strides": (stride,) * 2, "pads": (pad,) * 4, "group": group}
    shape = (2, filters, *((n + 2 * pad - kernel) // stride + 1 for n in x.shape[2:]))
    result = TensorType(shape, ElementType.SI8, Quantization(1.0, 0, -1.0, 1.0))
    conv = QuantizedConv.create([source, *parts], [("y", result)], **attributes)
    padded = np.pad(x.astype(np.int64), ((0, 0), (0, 0), (pad, pad), (pad, pad)), constant_values=zero)
    sums = np.zeros(shape, np.int64)
    each = filters // group
    for f, i, j in itertools.product(range(filters), range(shape[2]), range(shape[3])):
        inputs = slice(f // each * (channels // group), (f // each + 1) * (channels // group))
        window = padded[:, inputs, i * stride : i * stride + kernel, j * stride : j * stride + kernel]
        sums[:, f, i, j] = (window * w[f].astype(np.int64)).sum((1, 2, 3))
    (found,) = conv.evaluate([x, w, scale, offset])
    np.testing.assert_array_equal(found, requantized(sums, scale.reshape(-1, 1, 1), offset.reshape(-1, 1, 1)))


@pytest.mark.parametrize(("inner", "transposed"), [(5, False), (2000, True), (2000, False)])
def test_matrix_product(inner: int, transposed: bool) -> None:
    x, w = (random.integers(100, 128, shape).astype(np.int8) for shape in ((3, inner), (4, inner) if transposed else (inner, 4)))
    scale, offset = random.uniform(1e-6, 1e-5, 4).astype(np.float32), random.uniform(-9, 9, 4).astype(np.float32)
    source = Value("x", TensorType(x.shape, ElementType.SI8, Quantization(0.1, 0, -1.0, 1.0)))
    parts = weights(("w", w.shape, ElementType.SI8), ("s", (4,), ElementType.F32), ("o", (4,), ElementType.F32))
    result = TensorType((3, 4), ElementType.SI8, Quantization(1.0, 0, -1.0, 1.0))
    product = QuantizedMatMul.create([source, *parts], [("y", result)], right_transpose=transposed)
    sums = x.astype(np.int64) @ (w.T if transposed else w).astype(np.int64)
    np.testing.assert_array_equal(product.evaluate([x, w, scale, offset])[0], requantized(sums, scale, offset))


def test_floats_straight_from_sums() -> None:
    """Of a product that only floats take: not rounded to integers, rectified, and rounded as they are stored."""
    x, w = np.int8([[100, -50, 7]]), np.int8([[1, 2], [3, 4], [-100, 127]])
    scale, offset = np.float32([0.5, 0.001]), np.float32([0.25, -7.0])
    source = Value("x", TensorType(x.shape, ElementType.SI8, Quantization(0.1, 0, -1.0, 1.0)))
    parts = weights(("w", w.shape, ElementType.SI8), ("s", (2,), ElementType.F32), ("o", (2,), ElementType.F32))
    real = np.float32([[-750.0, 889.0]]) * scale + offset
    for element, relu, wanted in (
        (ElementType.F32, False, real), (ElementType.F32, True, np.maximum(real, 0)), (ElementType.F16, False, real.astype(np.float16)),
    ):
        product = QuantizedMatMul.create([source, *parts], [("y", TensorType((1, 2), element))], do_relu=relu)
        (found,) = product.evaluate([x, w, scale, offset])
        assert found.dtype == element.numpy
        np.testing.assert_array_equal(found, wanted)
    conv = QuantizedConv.create(
        [Value("x", TensorType((1, 3, 1, 1), ElementType.SI8, source.type.quantization)), *parts],
        [("y", TensorType((1, 2, 1, 1), ElementType.F32))], kernel_shape=(1, 1), strides=(1, 1), pads=(0, 0, 0, 0),
    )
    (found,) = conv.evaluate([x.reshape(1, 3, 1, 1), w.T.reshape(2, 3, 1, 1), scale, offset])
    np.testing.assert_array_equal(found.reshape(1, 2), real)

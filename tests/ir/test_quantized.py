"""Operations on quantized integers against sums that are written out here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tpumlir_core.ir import Array, ElementType, Quantization, TensorType, Value
from tpumlir_core.ir.storage import to_bfloat16, to_real
from tpumlir_core.ir.top import Weight
from tpumlir_core.ir.tpu import Lookup, QuantizedConv, QuantizedMatMul

SI8, UI8, F32 = ElementType.SI8, ElementType.UI8, ElementType.F32


def weight(name: str, array: Array, element: ElementType) -> Value:
    return Weight.create([], [(name, TensorType(array.shape, element))]).output


def requantized(sums: Array, scale: Array, offset: Array, low: int, high: int) -> Array:
    """One number at a time: two roundings to F32, then to the nearest integer, halves to even."""
    flat = [np.float32(np.float32(np.float32(x) * a) + b) for x, a, b in zip(sums.ravel(), scale.ravel(), offset.ravel(), strict=True)]
    return np.array([min(max(round(float(value)), low), high) for value in flat]).reshape(sums.shape)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(SI8, 0), (SI8, 9), (UI8, 0)]), st.integers(1, 3), st.integers(1, 2))
def test_convolution(seed: int, source: tuple[ElementType, int], stride: int, pad: int) -> None:
    random, (element, zero) = np.random.default_rng(seed), source
    limits = np.iinfo(element.numpy)
    x = random.integers(limits.min, limits.max + 1, (2, 3, 7, 6)).astype(element.numpy)
    w = random.integers(-127, 128, (5, 3, 3, 2)).astype(np.int8)
    scale, offset = (random.uniform(0, 1e-3, 5).astype(np.float32), random.uniform(-9, 9, 5).astype(np.float32))
    operands = [Value("x", TensorType(x.shape, element, Quantization(0.5, zero)))]
    operands += [weight("w", w, SI8), weight("s", scale, F32), weight("o", offset, F32)]
    rows, columns = (7 + 2 * pad - 3) // stride + 1, (6 + 2 * pad - 2) // stride + 1
    result = TensorType((2, 5, rows, columns), SI8, Quantization(0.1))
    op = QuantizedConv.create(operands, [("y", result)], kernel_shape=(3, 2), strides=(stride, stride), pads=(pad,) * 4)
    padded = np.pad(x.astype(np.int64), ((0, 0), (0, 0), (pad, pad), (pad, pad)), constant_values=zero)
    sums = np.zeros((2, 5, rows, columns), np.int64)
    for i in range(rows):
        for j in range(columns):
            window = padded[:, :, i * stride : i * stride + 3, j * stride : j * stride + 2]
            sums[:, :, i, j] = np.einsum("ncij,ocij->no", window, w.astype(np.int64))
    wide = [np.broadcast_to(part.reshape(1, -1, 1, 1), sums.shape) for part in (scale, offset)]
    found = op.evaluate([x, w, scale, offset])[0]
    np.testing.assert_array_equal(found, requantized(sums, *wide, -128, 127))
    assert found.dtype == np.int8


@pytest.mark.parametrize("right_transpose", [False, True])
def test_product_of_many_terms_is_exact(right_transpose: bool) -> None:
    """Sums far beyond 2**24, where F32 has no odd numbers."""
    left = np.full((2, 4000), 255, np.uint8)
    right = np.full((4000, 3), 127, np.int8)
    right[0] = (1, 2, 3)
    stored = np.ascontiguousarray(right.T) if right_transpose else right
    sums = left.astype(np.int64) @ right.astype(np.int64)
    offset = (-sums[0]).astype(np.float32)
    operands = [Value("x", TensorType(left.shape, UI8, Quantization(1.0))), weight("w", stored, SI8)]
    operands += [weight("s", np.ones(3, np.float32), F32), weight("o", offset, F32)]
    op = QuantizedMatMul.create(operands, [("y", TensorType((2, 3), SI8, Quantization(1.0)))], right_transpose=right_transpose)
    found = op.evaluate([left, stored, np.ones(3, np.float32), offset])[0]
    np.testing.assert_array_equal(found, requantized(sums, np.ones((2, 3), np.float32), np.broadcast_to(offset, (2, 3)), -128, 127))


@pytest.mark.parametrize("element", [SI8, UI8])
def test_lookup_goes_by_bits(element: ElementType) -> None:
    table = np.arange(256).astype(np.uint8)[::-1].copy()
    x = np.array([-128, -1, 0, 1, 127], np.int8).view(element.numpy)
    op = Lookup.create([Value("x", TensorType((5,), element)), weight("t", table, UI8)], [("y", TensorType((5,), UI8))])
    np.testing.assert_array_equal(op.evaluate([x, table])[0], [127, 0, 255, 254, 128])


def test_real_numbers_of_stored_ones() -> None:
    quantized = TensorType((3,), SI8, Quantization(0.25, 4))
    np.testing.assert_array_equal(to_real(np.array([-128, 4, 127], np.int8), quantized), np.float32([-33, 0, 30.75]))
    np.testing.assert_array_equal(to_real(np.array([1, 2, 3], np.int32), TensorType((3,), ElementType.SI32)), [1, 2, 3])
    numbers: Any = np.float32([1.0, -2.5, 3.0e38, 1 + 2**-8, 1 + 3 * 2**-8, np.inf])
    bits = to_bfloat16(numbers)
    assert bits.dtype == np.uint16
    found = to_real(bits, TensorType((6,), ElementType.BF16))
    np.testing.assert_array_equal(found[[0, 1, 3, 4, 5]], np.float32([1, -2.5, 1, 1 + 2**-6, np.inf]))  # halves go to even
    assert np.isnan(to_real(to_bfloat16(np.float32([np.nan])), TensorType((1,), ElementType.BF16))).all()

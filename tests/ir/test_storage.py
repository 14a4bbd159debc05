"""Tables looked up by bits, and the real numbers that stored ones stand for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tpumlir_core.ir import ElementType, Quantization, TensorType, Value
from tpumlir_core.ir.storage import to_bfloat16, to_real, to_stored
from tpumlir_core.ir.top import Weight
from tpumlir_core.ir.tpu import Lookup

SI8, UI8 = ElementType.SI8, ElementType.UI8


@pytest.mark.parametrize("element", [SI8, UI8])
def test_lookup_goes_by_bits(element: ElementType) -> None:
    table = np.arange(256).astype(np.uint8)[::-1].copy()
    x = np.array([-128, -1, 0, 1, 127], np.int8).view(element.numpy)
    entries = Weight.create([], [("t", TensorType(table.shape, UI8))]).output
    op = Lookup.create([Value("x", TensorType((5,), element)), entries], [("y", TensorType((5,), UI8))])
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


def test_real_numbers_are_stored_as_the_nearest() -> None:
    real: Any = np.float32([-100, -33, 0.125, 0.374, 0.375, 30.75, 31, np.nan])
    found = to_stored(real, TensorType((8,), SI8, Quantization(0.25, 4)))
    np.testing.assert_array_equal(found, np.int8([-128, -128, 4, 5, 6, 127, 127, 0]))  # halves go to even
    np.testing.assert_array_equal(to_stored(real[2:4], TensorType((2,), ElementType.BF16)), to_bfloat16(real[2:4]))
    assert to_stored(real, TensorType((8,), ElementType.F16)).dtype == np.float16
    np.testing.assert_array_equal(to_stored(real[5:6], TensorType((1,), ElementType.SI32)), np.int32([30]))


def test_a_number_of_no_axes_stays_an_array() -> None:
    found = to_stored(np.float32([2.6])[0], TensorType((), SI8, Quantization(0.25, 4)))
    assert isinstance(found, np.ndarray)
    assert (found.shape, found.dtype, found.item()) == ((), np.int8, 14)

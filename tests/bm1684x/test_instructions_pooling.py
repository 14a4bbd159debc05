"""PorD in 8 bits and 16-bit floats against numpy."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bm1684x.bare import Bench, wide, windows
from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.instructions.convolution import Sweep
from tpumlir_core.errors import InternalError
from tpumlir_core.ir import Array, ElementType
from tpumlir_sophgo.arithmetic import requantize, saturate
from tpumlir_sophgo.tensor import LocalTensor
from tpumlir_sophgo.testing.cmodel import Machine

F32, F16, BF16 = ElementType.F32, ElementType.F16, ElementType.BF16
SI8, UI8, SI16, UI16, SI32 = ElementType.SI8, ElementType.UI8, ElementType.SI16, ElementType.UI16, ElementType.SI32
SWEEP = Sweep((3, 2), stride=(2, 1), pads=(1, 2, 0, 1), dilation=(1, 2))
SHAPE, LANE = (2, 70, 7, 9), 5
UNIT = {F32: 2.0**-23, F16: 2.0**-10, BF16: 2.0**-7}


def assert_rounded_each_time(got: Array, products: list[Array], element: ElementType) -> None:
    """Half a unit of the largest sum for each product and each sum."""
    exact, largest = np.sum(products, axis=0), np.sum(np.abs(products), axis=0)
    assert (np.abs(got - exact) <= 2 * len(products) * largest * UNIT[element] / 2).all()
    assert np.abs(got - exact).max() > 0


@pytest.mark.parametrize("element", [SI8, UI8, F16, BF16, F32])
def test_maximum(machine: Machine, element: ElementType) -> None:
    bench = Bench(machine)
    data = bench.draw(element, *SHAPE)
    values = wide(data, element) if element.is_float else data
    lowest = {UI8: 0, SI8: -128}.get(element, -np.inf)
    want = np.max(windows(values, SWEEP, lowest), axis=0)
    x, out = bench.put(data, element, LANE), bench.room(want.shape, element, LANE)
    bench.e.max_pool(out, x, SWEEP)
    got = bench.read(out)
    np.testing.assert_array_equal(wide(got, element) if element.is_float else got, want)


@pytest.mark.parametrize("element", [F16, BF16, F32])
def test_average_of_floats(machine: Machine, element: ElementType) -> None:
    bench = Bench(machine)
    data = bench.draw(element, *SHAPE)
    products = [seen * 0.375 for seen in windows(wide(data, element).astype(np.float64), SWEEP)]
    x, out = bench.put(data, element, LANE), bench.room(products[0].shape, element, LANE)
    bench.e.average_pool(out, x, SWEEP, 0.375)
    assert_rounded_each_time(wide(bench.read(out), element), products, element)


@pytest.mark.parametrize(("source", "target"), [(SI8, SI8), (UI8, UI8), (SI8, SI16), (UI8, UI16), (UI8, SI16), (SI8, SI32), (UI8, SI32)])
@pytest.mark.parametrize(("multiplier", "shift"), [(1, 0), (125, 10), (255, 8), (129, 31), (255, 63)])
def test_average_of_bytes(machine: Machine, source: ElementType, target: ElementType, multiplier: int, shift: int) -> None:
    bench = Bench(machine)
    data = bench.draw(source, *SHAPE)
    sums = sum(windows(data.astype(np.int64), SWEEP, 3))
    x, out = bench.put(data, source, LANE), bench.room(np.shape(sums), target, LANE)
    bench.e.average_pool_fixed(out, x, SWEEP, multiplier, shift, outside=3)
    np.testing.assert_array_equal(bench.read(out), requantize(np.asarray(sums), multiplier, shift, 0, target))


@pytest.mark.parametrize("element", [F16, BF16, F32])
@pytest.mark.parametrize("biased", [False, True])
def test_depthwise_of_floats(machine: Machine, element: ElementType, biased: bool) -> None:
    bench = Bench(machine)
    data, filters, bias = bench.draw(element, *SHAPE), bench.draw(element, 1, 70, *SWEEP.kernel), bench.draw(element, 1, 70, 1, 1)
    taps = wide(filters, element).astype(np.float64).reshape(1, 70, -1, 1, 1)
    products = [seen * taps[:, :, i] for i, seen in enumerate(windows(wide(data, element), SWEEP))]
    if biased:
        products.append(np.broadcast_to(wide(bias, element), products[0].shape))
    x, out = bench.put(data, element, LANE), bench.room(products[0].shape, element, LANE)
    at, added = (bench.put(each, element, LANE, compact=True).address for each in (filters, bias))
    bench.e.depthwise(out, x, at, added if biased else None, SWEEP)
    assert_rounded_each_time(wide(bench.read(out), element), products, element)


@pytest.mark.parametrize("source", [SI8, UI8])
@pytest.mark.parametrize("weights", [SI8, UI8])
@pytest.mark.parametrize("target", [SI32, SI16, SI8])
@pytest.mark.parametrize("biased", [False, True])
def test_depthwise_of_bytes(machine: Machine, source: ElementType, weights: ElementType, target: ElementType, biased: bool) -> None:
    bench = Bench(machine)
    data, filters = bench.draw(source, *SHAPE), bench.draw(weights, 1, 70, *SWEEP.kernel)
    bias = bench.generator.integers(-30000, 30000, (1, 70, 1, 1)).astype(np.int32)
    taps = filters.astype(np.int64).reshape(1, 70, -1, 1, 1)
    sums = np.asarray(sum(seen * taps[:, :, i] for i, seen in enumerate(windows(data.astype(np.int64), SWEEP, 9))))
    x, out = bench.put(data, source, LANE), bench.room(sums.shape, target, LANE)
    at, added = bench.put(filters, weights, LANE, compact=True).address, bench.put(bias, SI32, LANE, compact=True).address
    bench.e.depthwise(out, x, at, added if biased else None, SWEEP, filter_element=weights, outside=9)
    np.testing.assert_array_equal(bench.read(out), saturate(sums + bias * biased, target))


def test_depthwise_of_what_has_no_sign(machine: Machine) -> None:
    """Exact up to 255 where kernels pick numbers."""
    bench = Bench(machine)
    data, filters = bench.draw(UI8, *SHAPE), np.zeros((1, 70, *SWEEP.kernel), np.uint8)
    filters[:, :, -1, 0] = 1
    sums = np.asarray(sum(seen * filters.reshape(1, 70, -1, 1, 1)[:, :, i] for i, seen in enumerate(windows(data, SWEEP, 250))))
    x, out = bench.put(data, UI8, LANE), bench.room(sums.shape, UI8, LANE)
    bench.e.depthwise(out, x, bench.put(filters, UI8, LANE, compact=True).address, None, SWEEP, filter_element=UI8, outside=250)
    np.testing.assert_array_equal(bench.read(out), sums)


def pair(target: ElementType, source: ElementType) -> tuple[LocalTensor, LocalTensor]:
    return LocalTensor.aligned(arch(), 0, (1, 2, 2, 2), target), LocalTensor.aligned(arch(), 1 << 14, (1, 2, 2, 2), source)


def test_what_cannot_be_encoded() -> None:
    e, once = Bm1684xEmitter.new(), Sweep((1, 1))
    with pytest.raises(InternalError, match="no maximum of si8 gives ui8"):
        e.max_pool(*pair(UI8, SI8), once)
    with pytest.raises(InternalError, match="no maximum of si16 gives si16"):
        e.max_pool(*pair(SI16, SI16), once)
    with pytest.raises(InternalError, match="no average of f16 gives f32"):
        e.average_pool(*pair(F32, F16), once, 1)
    with pytest.raises(InternalError, match="no average of ui8 gives si8"):
        e.average_pool_fixed(*pair(SI8, UI8), once, 1, 0)
    with pytest.raises(InternalError, match="scaled by 256"):
        e.average_pool_fixed(*pair(SI8, SI8), once, 256, 0)
    with pytest.raises(InternalError, match="no depthwise convolution of si8 gives ui8"):
        e.depthwise(*pair(UI8, SI8), 1 << 15, None, once)
    with pytest.raises(InternalError, match="no depthwise convolution of f16 gives f32"):
        e.depthwise(*pair(F32, F16), 1 << 15, None, once)

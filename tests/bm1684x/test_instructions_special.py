"""LIN, SFU, TRANS & BC and transfers of types other than F32."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bm1684x.bare import Bench, narrow, wide
from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_core.errors import InternalError
from tpumlir_core.ir import Array, ElementType
from tpumlir_sophgo.tensor import GlobalTensor, LocalTensor
from tpumlir_sophgo.testing.cmodel import Machine

F16, BF16, SI8, UI8, SI16, SI32 = (ElementType(name) for name in ("f16", "bf16", "si8", "ui8", "si16", "si32"))
SHAPE = (2, 70, 3, 11)


def rounded(x: Array, element: ElementType) -> Array:
    return wide(narrow(x.astype(np.float32), element), element)


@pytest.mark.parametrize("element", [F16, BF16])
def test_linear_function(machine: Machine, element: ElementType) -> None:
    bench = Bench(machine)
    data, scale, bias = bench.draw(element, *SHAPE), bench.draw(element, 1, 70, 1, 1), bench.draw(element, 1, 70, 1, 1)
    x, out = bench.put(data, element), bench.room(SHAPE, element)
    bench.e.linear(out, x, bench.put(scale, element, compact=True), bench.put(bias, element, compact=True))
    want = rounded(rounded(wide(data, element) * wide(scale, element), element) + wide(bias, element), element)
    np.testing.assert_array_equal(wide(bench.read(out), element), want)
    bench.e.linear(out, x, 0.3125, 0.25)
    want = rounded(rounded(wide(data, element) * np.float32(0.3125), element) + np.float32(0.25), element)
    np.testing.assert_array_equal(wide(bench.read(out), element), want)


@pytest.mark.parametrize("element", [F16, BF16])
def test_polynomial(machine: Machine, element: ElementType) -> None:
    bench = Bench(machine)
    data = bench.draw(element, *SHAPE)
    x, table, out = bench.put(data, element), bench.room((1, arch().lanes, 1, 3), element), bench.room(SHAPE, element)
    bench.e.fill_coefficients(table, (1, 0.5, 0.25))
    bench.e.polynomial(out, x, table)
    want, values = np.float32(0.25), wide(data, element)
    for coefficient in (0.5, 1):
        want = rounded(rounded(want * values, element) + np.float32(coefficient), element)
    np.testing.assert_array_equal(wide(bench.read(out), element), want)


@pytest.mark.parametrize("element", [F16, BF16])
def test_what_narrow_floats_cannot(element: ElementType) -> None:
    x = LocalTensor.aligned(arch(), 0, SHAPE, element)
    with pytest.raises(InternalError, match=f"no reciprocal square root of {element.value}"):
        Bm1684xEmitter.new().reciprocal_sqrt(x, x)
    with pytest.raises(InternalError, match=f"no division gives {element.value}"):
        Bm1684xEmitter.new().divide(x, x, 2)


@pytest.mark.parametrize("element", [SI8, UI8, F16, BF16, SI16, SI32])
def test_movement_between_lanes(machine: Machine, element: ElementType) -> None:
    bench = Bench(machine)
    one, many = bench.draw(element, 2, 1, 3, 11), bench.draw(element, 2, 50, 3, 70)
    source, all_lanes = bench.put(one, element, 3), bench.room((2, 64, 3, 11), element)
    bench.e.lane_broadcast(all_lanes, source)
    np.testing.assert_array_equal(bench.read(all_lanes), np.broadcast_to(one, all_lanes.shape))
    matrix, turned = bench.put(many, element), bench.room((2, 70, 3, 50), element)
    bench.e.transpose(turned, matrix)
    np.testing.assert_array_equal(bench.read(turned), many.transpose(0, 3, 2, 1))


@pytest.mark.parametrize("element", [SI8, UI8, F16, BF16, SI16, SI32])
@pytest.mark.parametrize(("c", "source", "target"), [(24, 40, 0), (7, 0, 57), (1, 3, 2), (30, 5, 10)])
def test_channels_go_to_other_lanes(machine: Machine, element: ElementType, c: int, source: int, target: int) -> None:
    bench = Bench(machine)
    data = bench.draw(element, 2, c, 3, 41)
    x, out = bench.put(data, element, source), bench.room((2, c, 3, 41), element, target)
    bench.e.lane_copy(out, x)
    np.testing.assert_array_equal(bench.read(out), data)


@pytest.mark.parametrize("element", [SI8, UI8, F16, BF16, SI16, SI32])
def test_transfers(machine: Machine, element: ElementType) -> None:
    bench = Bench(machine)
    data = bench.draw(element, *SHAPE)
    x, out, memory = bench.put(data, element), bench.room(SHAPE, element), GlobalTensor.dense(arch().global_base, SHAPE, element)
    bench.e.store(memory, x)
    bench.e.load(out, memory)
    np.testing.assert_array_equal(bench.read(out), data)

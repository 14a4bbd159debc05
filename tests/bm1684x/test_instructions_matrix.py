"""MM2 against numpy."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bm1684x.bare import Bench, narrow, wide
from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.cost import Bm1684xCost
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_core.errors import InternalError
from tpumlir_core.ir import ElementType
from tpumlir_sophgo.tensor import LocalTensor
from tpumlir_sophgo.testing.cmodel import Machine

F32, F16, BF16 = ElementType.F32, ElementType.F16, ElementType.BF16
SI8, UI8, SI16, SI32 = ElementType.SI8, ElementType.UI8, ElementType.SI16, ElementType.SI32
ROWS, INNER, COLUMNS = 70, 100, 37


@pytest.mark.parametrize("left", [SI8, UI8])
@pytest.mark.parametrize("right", [SI8, UI8])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("lanes", [(0, 0, 0), (5, 0, 3)])
def test_bytes(machine: Machine, left: ElementType, right: ElementType, transposed: bool, lanes: tuple[int, int, int]) -> None:
    bench = Bench(machine)
    a = bench.draw(left, 1, ROWS, 1, INNER)
    b = bench.draw(right, 1, COLUMNS, 1, INNER) if transposed else bench.draw(right, 1, INNER, 1, COLUMNS)
    x, y, out = bench.put(a, left, lanes[0]), bench.put(b, right, lanes[1]), bench.room((1, ROWS, 1, COLUMNS), SI32, lanes[2])
    matrix = b[0, :, 0].T if transposed else b[0, :, 0]
    want = a[0, :, 0].astype(np.int64) @ (matrix.astype(np.int64) - 7)
    bench.e.multiply(out, x, y, transposed, right_zero=7)
    np.testing.assert_array_equal(bench.read(out)[0, :, 0], want)
    bench.e.multiply(out, x, y, transposed, accumulate=True, right_zero=7)
    np.testing.assert_array_equal(bench.read(out)[0, :, 0], 2 * want)


@pytest.mark.parametrize("element", [F16, BF16])
@pytest.mark.parametrize("transposed", [False, True])
def test_narrow_floats_add_up_in_f32(machine: Machine, element: ElementType, transposed: bool) -> None:
    bench = Bench(machine)
    a = bench.draw(element, 1, ROWS, 1, INNER)
    b = bench.draw(element, 1, COLUMNS, 1, INNER) if transposed else bench.draw(element, 1, INNER, 1, COLUMNS)
    x, y = bench.put(a, element), bench.put(b, element)
    left, right = (wide(each, element)[0, :, 0].astype(np.float64) for each in (a, b))
    want = left @ (right.T if transposed else right)
    sums, rounded = (bench.room((1, ROWS, 1, COLUMNS), each) for each in (F32, element))
    bench.e.multiply(sums, x, y, transposed)
    found = bench.read(sums)
    np.testing.assert_allclose(found[0, :, 0], want, rtol=1e-6, atol=5e-5)
    bench.e.multiply(rounded, x, y, transposed)
    np.testing.assert_array_equal(bench.read(rounded), narrow(found, element))
    bench.e.multiply(sums, x, y, transposed, accumulate=True)
    np.testing.assert_allclose(bench.read(sums)[0, :, 0], 2 * want, rtol=1e-6, atol=1e-4)


def matrix(rows: int, columns: int, element: ElementType) -> LocalTensor:
    return LocalTensor.aligned(arch(), 0, (1, rows, 1, columns), element)


@pytest.mark.parametrize(
    ("out", "left", "right", "accumulate"),
    [(F32, F32, F32, False), (F16, F16, BF16, False), (SI16, SI8, SI8, False), (SI32, SI8, F16, False), (F16, F16, F16, True)],
)
def test_types_that_do_not_multiply(out: ElementType, left: ElementType, right: ElementType, accumulate: bool) -> None:
    with pytest.raises(InternalError, match="no product of"):
        Bm1684xEmitter.new().multiply(matrix(4, 4, out), matrix(4, 4, left), matrix(4, 4, right), accumulate=accumulate)


def test_shapes_that_do_not_multiply() -> None:
    with pytest.raises(InternalError, match="is not"):
        Bm1684xEmitter.new().multiply(matrix(4, 5, SI32), matrix(4, 6, SI8), matrix(5, 6, SI8))
    with pytest.raises(InternalError, match="is no matrix"):
        Bm1684xEmitter.new().multiply(matrix(4, 5, SI32), LocalTensor.aligned(arch(), 0, (2, 4, 1, 6), SI8), matrix(6, 5, SI8))


@pytest.mark.parametrize(("left", "out", "cycles"), [(SI8, SI32, 2 * 10 * 2), (F16, F16, 2 * 10 * 4)])
def test_what_a_product_costs(left: ElementType, out: ElementType, cycles: int) -> None:
    e = Bm1684xEmitter.new()
    e.multiply(matrix(ROWS, COLUMNS, out), matrix(ROWS, INNER, left), matrix(INNER, COLUMNS, left))
    assert Bm1684xCost().cycles(e.commands[0]) == cycles

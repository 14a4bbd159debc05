"""CONV in 8 bits and 16-bit floats against numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from tests.bm1684x.bare import Bench, narrow, wide, windows
from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.filter_layout import filter_bytes, filter_image, filter_rows
from tpumlir_bm1684x.instructions.convolution import Sweep
from tpumlir_core.errors import InternalError
from tpumlir_core.ir import Array, ElementType
from tpumlir_sophgo.arithmetic import saturate
from tpumlir_sophgo.tensor import LocalTensor
from tpumlir_sophgo.testing.cmodel import Machine
from tpumlir_sophgo.testing.kernels import write_local

F32, F16, BF16 = ElementType.F32, ElementType.F16, ElementType.BF16
SI8, UI8, SI16, SI32, UI32 = ElementType.SI8, ElementType.UI8, ElementType.SI16, ElementType.SI32, ElementType.UI32
SWEEP = Sweep((3, 2), stride=(2, 1), pads=(1, 2, 0, 1), dilation=(1, 2))


def convolution(x: Array, filters: Array, sweep: Sweep, outside: float = 0) -> Array:
    """Tap by tap, in the arrays' own type."""
    taps = zip(windows(x, sweep, outside), filters.reshape(*filters.shape[:2], -1).transpose(2, 0, 1), strict=True)
    total: Array = sum(np.einsum("nchw,oc->nohw", seen, tap) for seen, tap in taps)
    return total


@dataclass
class Case:
    """A convolution laid out on the bench; ``exact`` is its sum."""

    bench: Bench
    x: LocalTensor
    filters: int
    exact: Array
    data: Array
    weights: Array


def lay(machine: Machine, x: ElementType, weights: ElementType, inputs: int = 100, outputs: int = 70, lane: int = 0,
        outside: int = 0, zero: int = 0) -> Case:
    bench = Bench(machine)
    data, filters = bench.draw(x, 2, inputs, 7, 9), bench.draw(weights, outputs, inputs, *SWEEP.kernel)
    wider = (lambda a, e: wide(a, e).astype(np.float64)) if x.is_float else (lambda a, _: a.astype(np.int64))
    exact = convolution(wider(data, x), wider(filters, weights) - zero, SWEEP, outside)
    return Case(bench, bench.put(data, x), bench.put_rows(filter_rows(filters, weights), lane), exact, data, filters)


def run(case: Case, out: LocalTensor, bias: int | None = None, accumulate: bool = False, weights: ElementType | None = None,
        zero: int = 0, outside: int = 0) -> Array:
    case.bench.e.convolve(
        out, case.x, case.filters, bias, SWEEP, accumulate, filter_element=weights, filter_zero=zero, outside=outside
    )
    return case.bench.read(out)


@pytest.mark.parametrize("x", [SI8, UI8])
@pytest.mark.parametrize("weights", [SI8, UI8])
@pytest.mark.parametrize("sizes", [(100, 70, 0), (3, 5, 61), (64, 64, 0), (130, 130, 7)])
def test_bytes_add_up_exactly(machine: Machine, x: ElementType, weights: ElementType, sizes: tuple[int, int, int]) -> None:
    case = lay(machine, x, weights, *sizes)
    out = case.bench.room(case.exact.shape, SI32, sizes[2])
    np.testing.assert_array_equal(run(case, out, weights=weights), case.exact)


@pytest.mark.parametrize("x", [SI8, UI8])
def test_zero_points_of_input_and_filters(machine: Machine, x: ElementType) -> None:
    case = lay(machine, x, SI8, outside=77, zero=-9)
    out = case.bench.room(case.exact.shape, SI32)
    np.testing.assert_array_equal(run(case, out, outside=77, zero=-9), case.exact)


def test_narrow_results_saturate(machine: Machine) -> None:
    for element in (SI16, SI8):
        case = lay(machine, SI8, SI8)
        out = case.bench.room(case.exact.shape, element)
        np.testing.assert_array_equal(run(case, out), saturate(case.exact, element))


def test_sums_continue_what_the_result_holds(machine: Machine) -> None:
    case = lay(machine, UI8, SI8)
    bias = case.bench.generator.integers(-(10**6), 10**6, case.exact.shape).astype(np.int32)
    np.testing.assert_array_equal(run(case, case.bench.put(bias, SI32), accumulate=True), case.exact + bias)


def test_an_input_with_gaps(machine: Machine) -> None:
    bench = Bench(machine)
    data, filters = bench.draw(SI8, 1, 70, 6, 8), bench.draw(SI8, 20, 70, 1, 1)
    x = LocalTensor(bench.free, (1, 70, 6, 4), SI8, (128, 64, 8, 2), 5)
    whole = LocalTensor(bench.free, (1, 70, 6, 8), SI8, (128, 64, 8, 1), 5)
    bench.free += arch().bank_bytes
    write_local(machine, whole, data)
    at, out = bench.put_rows(filter_rows(filters, SI8)), bench.room((1, 20, 6, 4), SI32)
    bench.e.convolve(out, x, at, None, Sweep((1, 1)))
    got = bench.read(out)
    seen = data[:, :, :, ::2].astype(np.int64)
    np.testing.assert_array_equal(got, convolution(seen, filters.astype(np.int64), Sweep((1, 1))))


@pytest.mark.parametrize("element", [F16, BF16])
@pytest.mark.parametrize("sizes", [(100, 70, 0), (3, 5, 61), (32, 64, 0)])
def test_narrow_floats_add_up_in_f32(machine: Machine, element: ElementType, sizes: tuple[int, int, int]) -> None:
    case = lay(machine, element, element, *sizes)
    bias = case.bench.draw(F32, 1, sizes[1], 1, 1)
    at = case.bench.put(bias, F32, sizes[2], compact=True).address
    sums = run(case, case.bench.room(case.exact.shape, F32, sizes[2]), at)
    np.testing.assert_allclose(sums, case.exact + bias, rtol=1e-6, atol=5e-5)
    rounded = run(case, case.bench.room(case.exact.shape, element, sizes[2]), at)
    np.testing.assert_array_equal(rounded, narrow(sums, element))


def test_f32_results_of_narrow_floats_accumulate(machine: Machine) -> None:
    case = lay(machine, F16, F16)
    held = case.bench.draw(F32, *case.exact.shape)
    got = run(case, case.bench.put(held, F32), accumulate=True)
    np.testing.assert_allclose(got, case.exact + held, rtol=1e-6, atol=5e-5)


@pytest.mark.parametrize(
    ("x", "weights", "out", "bias", "accumulate"),
    [(F32, None, F16, None, False), (F16, BF16, F16, None, False), (SI8, F16, SI32, None, False), (SI8, None, SI32, 64, False),
     (F16, None, F16, None, True), (SI16, None, SI32, None, False), (SI8, None, F32, None, False)],
)
def test_what_cannot_be_encoded(
    x: ElementType, weights: ElementType | None, out: ElementType, bias: int | None, accumulate: bool
) -> None:
    tensors = [LocalTensor.aligned(arch(), i << 14, (1, 4, 2, 2), element) for i, element in enumerate((out, x))]
    with pytest.raises(InternalError, match="no convolution of"):
        Bm1684xEmitter.new().convolve(*tensors, 1 << 16, bias, Sweep((1, 1)), accumulate, filter_element=weights)


@pytest.mark.parametrize(("element", "step"), [(SI8, 64), (F16, 32), (F32, 1)])
def test_filter_rows_take_whole_steps(element: ElementType, step: int) -> None:
    filters = np.arange(1, 2 * 70 * 3 + 1).reshape(2, 70, 1, 3).astype(element.numpy)
    rows = filter_rows(filters, element)
    assert rows.shape[1] * element.bytes == filter_bytes(70, 3, element)
    assert rows[1, 2 * step] == filters[1, 0, 0, 2] if step > 1 else rows[1, 2] == filters[1, 0, 0, 2]
    assert rows[1, -1] == (filters[1, 69, 0, 2] if step == 1 else 0)


def test_filters_lie_in_the_lane_of_their_channel() -> None:
    filters = np.arange(130 * 33 * 2).reshape(130, 33, 1, 2).astype(np.float16)
    rows, image = filter_rows(filters, F16), filter_image(filters, F16)
    length = rows.shape[1]
    for channel in (0, 63, 64, 129):
        at = channel // 64 * length
        np.testing.assert_array_equal(image[channel % 64, at : at + length], rows[channel])
    assert not image[2:, 2 * length :].any()

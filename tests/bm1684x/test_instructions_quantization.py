"""RQ and DQ against their numpy references, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bm1684x.bare import Bench
from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.instructions.quantization import FixedScale, FloatScale, fixed_scales
from tpumlir_core.errors import InternalError
from tpumlir_core.ir import Array, ElementType
from tpumlir_sophgo import arithmetic
from tpumlir_sophgo.arithmetic import Rounding
from tpumlir_sophgo.tensor import LocalTensor
from tpumlir_sophgo.testing.cmodel import Machine

F32, F16, SI32 = ElementType.F32, ElementType.F16, ElementType.SI32
SI8, UI8, SI16, UI16 = ElementType.SI8, ElementType.UI8, ElementType.SI16, ElementType.UI16
SCALES = [
    FixedScale(1, 1), FixedScale(3, 3, 5), FixedScale(1 << 30, 31), FixedScale(12345, 14, 7), FixedScale(2**31 - 1, 40), FixedScale(7, -2),
    FixedScale(-5, 4), FixedScale(1, 62), FixedScale(2**31 - 1, 63, 3), FixedScale(-(2**31), 31, 30000), FixedScale(1, -31),
]


def values(bench: Bench, element: ElementType, *shape: int) -> Array:
    """Half of them over the whole range, half small; small ones near every half and both ends."""
    drawn = bench.draw(element, *shape)
    drawn[..., ::2] = bench.generator.integers(0 if element in (UI8, UI16) else -120, 120, drawn[..., ::2].shape)
    return drawn


@pytest.mark.parametrize("rounding", list(Rounding))
@pytest.mark.parametrize("element", [SI8, UI8, SI16, UI16])
def test_requantization_by_constants(machine: Machine, rounding: Rounding, element: ElementType) -> None:
    for scale in SCALES:
        bench = Bench(machine)
        data = values(bench, SI32, 2, 67, 5, 7)
        x, out = bench.put(data, SI32), bench.room(data.shape, element)
        bench.e.requantize(out, x, scale, rounding)
        got = bench.read(out)
        want = arithmetic.requantize(data, scale.multiplier, scale.shift, scale.zero_point, element, rounding)
        np.testing.assert_array_equal(got, want, str(scale))


@pytest.mark.parametrize("element", [SI16, UI16])
def test_requantization_of_sixteen_bits(machine: Machine, element: ElementType) -> None:
    bench = Bench(machine)
    data = bench.draw(element, 1, 5, 4, 50)
    x, out = bench.put(data, element), bench.room(data.shape, SI8)
    bench.e.requantize(out, x, FixedScale(12345, 20, -3))
    got = bench.read(out)
    np.testing.assert_array_equal(got, arithmetic.requantize(data, 12345, 20, -3, SI8))


@pytest.mark.parametrize("element", [SI8, UI8])
@pytest.mark.parametrize(("channels", "lane"), [(150, 0), (150, 3), (20, 60), (64, 0)])
def test_requantization_by_channel(machine: Machine, element: ElementType, channels: int, lane: int) -> None:
    bench = Bench(machine)
    draw = bench.generator.integers
    data = draw(-(10**6), 10**6, (2, channels, 3, 5)).astype(np.int32)
    multipliers, shifts = draw(1 << 28, (1 << 31) - 1, channels), draw(40, 50, channels)
    zeros = draw(0, 20, channels) if element is UI8 else draw(-20, 20, channels)
    beside = np.full((channels, 1), 77, np.int32)
    table = np.concatenate([fixed_scales(multipliers, shifts, zeros), beside], axis=1)
    x, scale = bench.put(data, SI32, lane), bench.put(table.reshape(1, channels, 1, 4), SI32, lane)
    out = bench.room(data.shape, element, lane)
    bench.e.requantize(out, x, scale)
    got = bench.read(out)
    by_channel = [each.reshape(1, -1, 1, 1) for each in (multipliers, shifts, zeros)]
    np.testing.assert_array_equal(got, arithmetic.requantize(data, *by_channel, element))


@pytest.mark.parametrize("rounding", list(Rounding)[:5])
@pytest.mark.parametrize("element", [SI8, UI8, SI16, UI16])
def test_requantization_by_floats(machine: Machine, rounding: Rounding, element: ElementType) -> None:
    for scale in (FloatScale(0.25), FloatScale(0.0371, 3), FloatScale(0.5, -2.5), FloatScale(1e-5), FloatScale(-1.2345e-3, 0.777)):
        bench = Bench(machine)
        data = values(bench, SI32, 2, 67, 5, 7)
        x, out = bench.put(data, SI32), bench.room(data.shape, element)
        bench.e.requantize_scaled(out, x, scale, rounding)
        got = bench.read(out)
        want = arithmetic.requantize_scaled(data, scale.scale, scale.offset, element, rounding)
        np.testing.assert_array_equal(got, want, str(scale))


def test_float_scales_by_channel(machine: Machine) -> None:
    bench = Bench(machine)
    data = bench.generator.integers(-(10**6), 10**6, (2, 150, 3, 5)).astype(np.int32)
    table = bench.draw(F32, 1, 150, 1, 2) * np.float32([1e-4, 1])
    x, scale, out = bench.put(data, SI32), bench.put(table, F32), bench.room(data.shape, SI8)
    bench.e.requantize_scaled(out, x, scale, Rounding.HALF_AWAY_FROM_ZERO)
    got = bench.read(out)
    columns = [table[:, :, :, i : i + 1] for i in range(2)]
    np.testing.assert_array_equal(got, arithmetic.requantize_scaled(data, *columns, SI8, Rounding.HALF_AWAY_FROM_ZERO))


@pytest.mark.parametrize("element", [SI8, UI8, SI16, UI16])
@pytest.mark.parametrize("zero_point", [0, 3, 200, -7])
def test_dequantization(machine: Machine, element: ElementType, zero_point: int) -> None:
    bench = Bench(machine)
    data = bench.draw(element, 2, 70, 5, 7)
    x, out = bench.put(data, element, 5), bench.room(data.shape, F32, 5)
    zero_point = abs(zero_point) if element in (UI8, UI16) else zero_point
    bench.e.dequantize(out, x, 0.0371, zero_point)
    got = bench.read(out)
    np.testing.assert_array_equal(got, arithmetic.dequantize(data, zero_point, 0.0371))


@pytest.mark.parametrize("rounding", list(Rounding))
@pytest.mark.parametrize("element", [SI8, UI8, SI16, UI16])
@pytest.mark.parametrize("result", [SI8, SI16, SI32])
def test_dequantization_to_integers(machine: Machine, element: ElementType, result: ElementType, rounding: Rounding) -> None:
    for scale in (FixedScale(1, 0), FixedScale(5, 2, 3), FixedScale(1 << 30, 31, 1), FixedScale(-7, 3), FixedScale(3, -4)):
        bench = Bench(machine)
        data = bench.draw(element, 1, 4, 5, 50)
        x, out = bench.put(data, element), bench.room(data.shape, result)
        bench.e.dequantize_fixed(out, x, scale, rounding)
        got = bench.read(out)
        want = arithmetic.dequantize_fixed(data, scale.zero_point, scale.multiplier, scale.shift, result, rounding)
        np.testing.assert_array_equal(got, want, str(scale))


def tensor(element: ElementType, shape: tuple[int, int, int, int] = (1, 70, 2, 2), lane: int = 0) -> LocalTensor:
    return LocalTensor.aligned(arch(), 0, shape, element, lane)


@pytest.mark.parametrize(
    ("out", "x", "scale", "message"),
    [
        (tensor(SI8), tensor(F16), FixedScale(1, 0), "no quantization from f16 to si8"),
        (tensor(SI32), tensor(SI32), FixedScale(1, 0), "no quantization from si32 to si32"),
        (tensor(SI8), tensor(SI8), FixedScale(1, 0), "no quantization from si8 to si8"),
        (tensor(SI8), tensor(SI32, lane=1), FixedScale(1, 0), "lanes differ"),
        (tensor(SI8), tensor(SI32), FixedScale(1, 64), "a shift by 64 bits"),
        (tensor(UI8), tensor(SI32), FixedScale(1, 1, -1), "no zero point of ui8"),
        (tensor(SI8), tensor(SI32), tensor(SI32, (1, 70, 1, 2)), "does not hold 3 si32"),
        (tensor(SI8), tensor(SI32), tensor(SI32, (1, 70, 1, 20)), "does not hold 3 si32"),
        (tensor(SI8), tensor(SI32), tensor(F32, (1, 70, 1, 3)), "does not hold 3 si32"),
    ],
)
def test_what_cannot_be_encoded(out: LocalTensor, x: LocalTensor, scale: LocalTensor | FixedScale, message: str) -> None:
    with pytest.raises(InternalError, match=message):
        Bm1684xEmitter.new().requantize(out, x, scale)


def test_a_float_cannot_round_halves_up() -> None:
    with pytest.raises(InternalError, match="HALF_UP"):
        Bm1684xEmitter.new().requantize_scaled(tensor(SI8), tensor(SI32), FloatScale(1), Rounding.HALF_UP)

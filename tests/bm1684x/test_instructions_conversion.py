"""Conversion between element types against its numpy reference, bit for bit."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from tests.bm1684x.bare import Bench, narrow
from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_core.errors import InternalError
from tpumlir_core.ir import Array, ElementType
from tpumlir_sophgo.arithmetic import Rounding
from tpumlir_sophgo.conversion import convert, to_real
from tpumlir_sophgo.tensor import LocalTensor
from tpumlir_sophgo.testing.cmodel import Machine

F32, F16, BF16 = ElementType.F32, ElementType.F16, ElementType.BF16
TYPES = [t for t in ElementType if t is not ElementType.SI64]
PAIRS = [(a, b) for a, b in product(TYPES, TYPES) if {a, b} != {F16, BF16}]
EDGES = [
    0, -0.0, 0.5, -0.5, 1.5, -1.5, 2.5, -2.5, 0.49999997, 127.5, 128, -128.5, 255.5, 256, 32767.5, -32768.5, 65535.5, 2**31, 2**31 - 128,
    -(2**31), 2**32, 1e10, -1e10, 3.3895e38, 3.3961e38, 1e-40, -1e-40, 65504, 65519, 65520, -65535, 65536, 131071, 1e-8, 6e-8, 2.98e-8,
    8388607.5, 3.4e38, -3.4e38, np.inf, -np.inf, np.nan, -np.nan,
]


def numbers(bench: Bench, element: ElementType) -> Array:
    """Edges, small and large numbers; of 16-bit floats all there are."""
    if not element.is_float:
        drawn = bench.draw(element, 1, 4, 8, 64)
        drawn[:, 2:] = convert(bench.generator.integers(-70000, 70000, (1, 2, 8, 64)).astype(np.int32), ElementType.SI32, element)
        return drawn
    if element is not F32:
        return np.arange(1 << 16, dtype=np.uint16).reshape(1, 64, 32, 32).view(element.numpy)
    draw = bench.generator
    many = np.concatenate([draw.standard_normal(1000) * 100, np.exp2(draw.uniform(-130, 40, 1000)) * draw.choice([-1, 1], 1000)])
    halves = narrow(draw.standard_normal(200).astype(np.float32), F16)
    between = (halves.astype(np.float64) + np.nextafter(halves, np.float16(np.inf))) / 2
    found = np.concatenate([EDGES, many, between, np.float32(1) + np.arange(40) / 256]).astype(np.float32)
    return found[: len(found) // 2 * 2].reshape(1, 2, 1, -1)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_every_pair(machine: Machine, source: ElementType, target: ElementType) -> None:
    whole = not (source.is_float or target.is_float)
    for rounding in [Rounding.HALF_UP] if whole else list(Rounding)[:5]:
        bench = Bench(machine)
        data = numbers(bench, source)
        x, out = bench.put(data, source), bench.room(data.shape, target)
        bench.e.convert(out, x, rounding)
        got, want = bench.read(out), convert(data, source, target, rounding)
        np.testing.assert_array_equal(to_real(got, target), to_real(want, target), rounding.name)
        if target.is_float:
            np.testing.assert_array_equal(np.signbit(to_real(got, target)), np.signbit(to_real(want, target)), rounding.name)


def test_the_reference_rounds_to_even_as_numpy_does() -> None:
    data = np.random.default_rng(1).standard_normal(10000).astype(np.float32) * 1000
    np.testing.assert_array_equal(convert(data, F32, F16), data.astype(np.float16))
    np.testing.assert_array_equal(convert(data, F32, BF16), narrow(data, BF16))
    np.testing.assert_array_equal(convert(data, F32, ElementType.SI16), np.rint(data).astype(np.int16))


@pytest.mark.parametrize(
    ("target", "source", "rounding", "message"),
    [(F16, BF16, Rounding.UP, "by way of f32"), (F32, F16, Rounding.HALF_UP, "cannot be rounded HALF_UP")],
)
def test_what_cannot_be_encoded(target: ElementType, source: ElementType, rounding: Rounding, message: str) -> None:
    out, x = (LocalTensor.aligned(arch(), 0, (1, 2, 2, 2), element) for element in (target, source))
    with pytest.raises(InternalError, match=message):
        Bm1684xEmitter.new().convert(out, x, rounding)

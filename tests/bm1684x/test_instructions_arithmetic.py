"""AR and CMP in integers and 16-bit floats against numpy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.bm1684x.bare import Bench, narrow, wide
from tpumlir_bm1684x.chip import arch
from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_core.errors import InternalError
from tpumlir_core.ir import Array, ElementType
from tpumlir_sophgo import arithmetic
from tpumlir_sophgo.arithmetic import Rounding
from tpumlir_sophgo.tensor import LocalTensor
from tpumlir_sophgo.testing.cmodel import Machine

F32, F16, BF16 = ElementType.F32, ElementType.F16, ElementType.BF16
SI8, UI8, SI16, UI16, SI32 = ElementType.SI8, ElementType.UI8, ElementType.SI16, ElementType.UI16, ElementType.SI32
SHAPE = (2, 70, 3, 11)
OPERANDS = [(SI8, SI8), (UI8, UI8), (SI8, UI8), (SI16, SI8), (UI8, SI16), (SI16, SI16), (SI32, SI32), (SI32, SI16), (UI16, UI8)]


def results(operation: str, a: ElementType, b: ElementType) -> list[ElementType]:
    if operation == "sub" or {a, b} & {SI8, SI16, SI32}:
        return [SI8, SI16, SI32]
    return [UI8, UI16, SI32]


@pytest.mark.parametrize("operation", ["add", "sub", "mul"])
@pytest.mark.parametrize(("a", "b"), OPERANDS)
def test_integers_of_two_sizes(machine: Machine, operation: str, a: ElementType, b: ElementType) -> None:
    for target, shift in zip(results(operation, a, b), (0, 7, 31), strict=True):
        bench = Bench(machine)
        left, right = bench.draw(a, *SHAPE), bench.draw(b, *SHAPE)[:, ::-1]
        x, y, out = bench.put(left, a), bench.put(right, b), bench.room(SHAPE, target)
        bench.e.combine(operation, out, x, y, shift)
        np.testing.assert_array_equal(bench.read(out), arithmetic.combine(operation, left, right, target, shift), target.value)


def test_a_shift_to_the_left(machine: Machine) -> None:
    bench = Bench(machine)
    left, right = bench.draw(SI16, *SHAPE), bench.draw(UI8, *SHAPE)
    x, y, out = bench.put(left, SI16), bench.put(right, UI8), bench.room(SHAPE, SI32)
    bench.e.combine("add", out, x, y, -15)
    np.testing.assert_array_equal(bench.read(out), arithmetic.combine("add", left, right, SI32, -15))


@pytest.mark.parametrize("rounding", list(Rounding))
def test_every_rounding(machine: Machine, rounding: Rounding) -> None:
    bench = Bench(machine)
    left, right = bench.draw(SI8, *SHAPE), bench.draw(SI8, *SHAPE)
    x, y, out = bench.put(left, SI8), bench.put(right, SI8), bench.room(SHAPE, SI16)
    bench.e.combine("mul", out, x, y, 3, rounding)
    np.testing.assert_array_equal(bench.read(out), arithmetic.combine("mul", left, right, SI16, 3, rounding))


def test_a_constant_of_another_type(machine: Machine) -> None:
    bench = Bench(machine)
    data = bench.draw(SI8, *SHAPE)
    x, out = bench.put(data, SI8), bench.room(SHAPE, SI16)
    bench.e.combine("mul", out, x, 200, 5, constant=UI8)
    np.testing.assert_array_equal(bench.read(out), arithmetic.combine("mul", data, np.array(200), SI16, 5))


def test_one_value_a_channel(machine: Machine) -> None:
    bench = Bench(machine)
    data, bias = bench.generator.integers(-1000, 1000, SHAPE).astype(np.int32), bench.draw(SI32, 1, 70, 1, 1)
    x, y, out = bench.put(data, SI32), bench.put(bias, SI32, compact=True), bench.room(SHAPE, SI32)
    bench.e.combine("add", out, x, y)
    np.testing.assert_array_equal(bench.read(out), arithmetic.combine("add", data, bias, SI32))


@pytest.mark.parametrize("shape", [(2, 3, 230, 304), (1, 100, 230, 304)])
def test_planes_too_large_for_a_stride(machine: Machine, shape: tuple[int, int, int, int]) -> None:
    """Every other number of every other row: from one plane of a lane to the next there are more than 65,535."""
    bench = Bench(machine)
    data, half = bench.draw(SI8, *shape), (*shape[:2], shape[2] // 2, shape[3] // 2)
    x, out = bench.put(data, SI8), bench.room(half, SI8)
    s = x.strides
    assert s[1] > 65535
    bench.e.copy(out, LocalTensor(x.address, half, SI8, (s[0], s[1], 2 * s[2], 2)))
    np.testing.assert_array_equal(bench.read(out), data[:, :, ::2, ::2])


FUNCTIONS: dict[str, Callable[[Array, Array], Array]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "max": np.maximum, "min": np.minimum,
}


@pytest.mark.parametrize("element", [F16, BF16])
@pytest.mark.parametrize("operation", list(FUNCTIONS))
def test_narrow_floats_round_once(machine: Machine, element: ElementType, operation: str) -> None:
    bench = Bench(machine)
    left, right = bench.draw(element, *SHAPE), bench.draw(element, *SHAPE)
    x, y, out = bench.put(left, element), bench.put(right, element), bench.room(SHAPE, element)
    bench.e.binary(operation, out, x, y)
    exact = FUNCTIONS[operation](wide(left, element).astype(np.float64), wide(right, element).astype(np.float64))
    np.testing.assert_array_equal(bench.read(out), narrow(exact.astype(np.float32), element))
    bench.e.binary(operation, out, x, 0.75)
    exact = FUNCTIONS[operation](wide(left, element).astype(np.float64), np.float64(0.75))
    np.testing.assert_array_equal(bench.read(out), narrow(exact.astype(np.float32), element))


@pytest.mark.parametrize("element", [SI8, UI8, SI16, SI32])
@pytest.mark.parametrize("operation", ["max", "min"])
def test_largest_and_smallest_integers(machine: Machine, element: ElementType, operation: str) -> None:
    bench = Bench(machine)
    left, right = bench.draw(element, *SHAPE), bench.draw(element, *SHAPE)[:, ::-1]
    x, y, out = bench.put(left, element), bench.put(right, element), bench.room(SHAPE, element)
    bench.e.binary(operation, out, x, y)
    np.testing.assert_array_equal(bench.read(out), FUNCTIONS[operation](left, right))
    bench.e.binary(operation, out, x, 5)
    np.testing.assert_array_equal(bench.read(out), FUNCTIONS[operation](left, np.array(5, left.dtype)))


RELATIONS: dict[str, Callable[[Array, Array], Array]] = {"gt": np.greater, "eq": np.equal, "lt": np.less}


@pytest.mark.parametrize(("compared", "chosen"), [(SI8, SI8), (UI8, F16), (SI16, SI32), (SI32, SI8), (F16, F16), (BF16, SI32), (F32, F16)])
@pytest.mark.parametrize("relation", list(RELATIONS))
def test_choice(machine: Machine, compared: ElementType, chosen: ElementType, relation: str) -> None:
    bench = Bench(machine)
    left, right = bench.draw(compared, *SHAPE), bench.draw(compared, *SHAPE)
    right[:, ::3] = left[:, ::3]
    yes = bench.draw(chosen, *SHAPE)
    x, y, z, out = bench.put(left, compared), bench.put(right, compared), bench.put(yes, chosen), bench.room(SHAPE, chosen)
    bench.e.choose(relation, out, x, y, z, 1)
    holds = RELATIONS[relation](*(wide(each, compared) if compared.is_float else each for each in (left, right)))
    np.testing.assert_array_equal(bench.read(out), np.where(holds, yes, np.array(1, yes.dtype)))


def tensor(element: ElementType) -> LocalTensor:
    return LocalTensor.aligned(arch(), 0, (1, 2, 2, 2), element)


@pytest.mark.parametrize(
    ("operation", "target", "a", "b"), [("add", SI8, UI8, UI8), ("sub", UI8, UI8, UI8), ("mul", UI16, UI8, SI8), ("add", F16, F16, F16)]
)
def test_what_cannot_be_encoded(operation: str, target: ElementType, a: ElementType, b: ElementType) -> None:
    with pytest.raises(InternalError, match=f"{a.value} {operation} {b.value} cannot give {target.value}"):
        Bm1684xEmitter.new().combine(operation, tensor(target), tensor(a), tensor(b))


def test_a_shift_beyond_the_field() -> None:
    with pytest.raises(InternalError, match="a shift by 64 bits"):
        Bm1684xEmitter.new().combine("add", tensor(SI8), tensor(SI8), 1, 64)

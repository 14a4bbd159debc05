"""Whole programs in 16 and 8 bits on the emulator: sizes beyond local memory, operations side by side with others that compute in F32."""

from __future__ import annotations

import pytest

from sweeps.calls import Call, Operand
from sweeps.shapes import judge_in
from tests.bm1684x.conftest import ROUNDING
from tests.bm1684x.modules import Builder, conv
from tests.bm1684x.test_kernels_convolution import plain
from tpumlir_core.ir import ElementType
from tpumlir_sophgo.schedule import steps
from tpumlir_sophgo.testing.cmodel import Machine

BOTH = pytest.mark.parametrize("element", [ElementType.F16, ElementType.BF16])


@BOTH
def test_tiles_with_overlapping_rows(machine: Machine, element: ElementType) -> None:
    b = Builder(element=element)
    x = b.input(1, 3, 200, 330)
    y = conv(b, conv(b, x, 16, 3, stride=2), 16, 3)
    b.check(machine, b.op("Add", y, conv(b, y, 16, 5)), tolerance=4 * ROUNDING[element])


@BOTH
def test_values_with_users_of_different_rows(machine: Machine, element: ElementType) -> None:
    b = Builder(element=element)
    x = b.input(2, 70, 150, 40)
    y = b.op("MaxPool", x, kernel_shape=(3, 3), strides=(1, 1), pads=(1, 1, 1, 1))
    b.check(machine, b.op("Add", b.op("Mul", x, y), conv(b, x, 70, 3, group=70)), tolerance=6 * ROUNDING[element])


@BOTH
def test_filters_beyond_local_memory(machine: Machine, element: ElementType) -> None:
    b = Builder(element=element)
    x = b.input(2, 600, 6, 5)
    y = conv(b, conv(b, x, 700, 3), 40, 1)
    b.check(machine, y, tolerance=4 * ROUNDING[element])


@BOTH
def test_functions_in_f32_between_products_in_16_bits(machine: Machine, element: ElementType) -> None:
    b = Builder(element=element)
    x = b.input(3, 100, 70)
    scores = b.op("MatMul", b.op("MulConst", x, const_val=0.125), x, None, right_transpose=True)
    y = b.op("MatMul", b.op("Softmax", scores, axis=2), x, None)
    z = b.op("MatMul", y, b.weight(b.random.standard_normal((70, 1100)) / 8), b.weight(b.random.standard_normal(1100)), do_relu=True)
    b.check(machine, z, tolerance=6 * ROUNDING[element])


@BOTH
def test_a_classifier_of_one_row(machine: Machine, element: ElementType) -> None:
    b = Builder(element=element)
    x = b.op("Reshape", conv(b, b.input(1, 5, 9, 9), 70, 3), shape=(1, 5670))
    y = b.op("MatMul", x, b.weight(b.random.standard_normal((5670, 300)) / 75), b.weight(b.random.standard_normal(300)))
    b.check(machine, y, tolerance=4 * ROUNDING[element])


@BOTH
def test_columns_in_pieces_begin_with_a_word_of_the_execution_units(machine: Machine, element: ElementType) -> None:
    b = Builder(element=element)
    y = b.op("MatMul", b.input(3, 70, 512), b.weight(b.random.standard_normal((512, 2000)) / 23), None)
    b.check(machine, y, tolerance=4 * ROUNDING[element])


@pytest.mark.parametrize("mode", ["INT8", "INT8 asymmetric"])
@pytest.mark.parametrize("call", [
    Call("MatMul", [Operand((130, 1024)), Operand((1024, 1100), weight=True)], {}, seed=7),
    Call("Conv", [Operand((4, 512, 7, 7)), Operand((512, 512, 3, 3), weight=True)], plain(), seed=5),
], ids=lambda call: call.opcode)
def test_pieces_of_results_of_8_bits(machine: Machine, call: Call, mode: str) -> None:
    """Of several groups of lanes, or of several batches: they are not in the standard layout."""
    assert judge_in((mode, call)).kind == "right"


@BOTH
def test_small_pieces_of_results_of_several_batches(machine: Machine, element: ElementType, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is turned about, few channels that are folded, and what is chosen."""
    monkeypatch.setattr(steps, "PIECE_BYTES", 512)
    b = Builder(element=element)
    columns = b.op("MatMul", b.input(6, 200), b.weight(b.random.standard_normal((200, 1025)) / 14), None)
    folded = conv(b, b.input(3, 1, 10, 21), 200, 5, relu=False)
    slopes = b.weight(b.random.standard_normal((1, 65536, 1, 1)))
    chosen = b.op("PRelu", b.input(2, 65536, 3, 1), slopes)
    b.check(machine, columns, folded, chosen, tolerance=4 * ROUNDING[element])


@pytest.mark.parametrize("mode", ["F32", "F16", "INT8"])
@pytest.mark.parametrize(("shapes", "axis"), [
    (((1000, 700), (3, 700)), 0), (((20, 66_000), (20, 1), (20, 5)), 1), (((3, 4000, 70), (3, 40, 70)), 1), (((1, 3, 40_000, 2),) * 2, 2),
])
def test_concatenation_of_more_than_local_memory_holds(machine: Machine, shapes: tuple[tuple[int, ...], ...], axis: int, mode: str) -> None:
    """Along its axis, too, of one element a lane: some tiles have nothing of an operand."""
    call = Call("Concat", [Operand(shape) for shape in shapes], {"axis": axis}, seed=3)
    assert judge_in((mode, call)).kind == "right"

"""Element-by-element operations, comparisons and activations against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ir.onnx_node import assert_same, evaluate, normal, run_node
from tpumlir_core.errors import InputError
from tpumlir_core.ir import Array, Operation, top
from tpumlir_core.ir.rounding import round_to_integer

FEW = settings(max_examples=25, deadline=None)
SHAPES = st.lists(st.integers(1, 5), max_size=4)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Array, Array]:
    full = draw(SHAPES)
    left, right = ([d if draw(st.booleans()) else 1 for d in full][draw(st.integers(0, len(full))) :] for _ in range(2))
    return normal(1, *left), normal(2, *right)


BINARY: list[tuple[type[Operation], str]] = [
    (top.Add, "Add"), (top.Sub, "Sub"), (top.Mul, "Mul"), (top.Div, "Div"), (top.Max, "Max"), (top.Min, "Min"),
]


@pytest.mark.parametrize(("kind", "name"), BINARY)
@FEW
@given(pairs())
def test_arithmetic(kind: type[Operation], name: str, pair: tuple[Array, Array]) -> None:
    assert_same(evaluate(kind, pair), run_node(name, pair))


@pytest.mark.parametrize("kind", [top.Sub, top.Div])
def test_reversed_arithmetic(kind: type[Operation]) -> None:
    left, right = normal(1, 3, 4), normal(2, 4)
    assert_same(evaluate(kind, [left, right], is_reverse=True), evaluate(kind, [right, left]))


def test_coeff_and_fused_activation() -> None:
    left, right = normal(1, 3, 4), normal(2, 3, 4)
    assert_same(evaluate(top.Add, [left, right], coeff=[2.0, -1.0]), [2 * left - right])
    assert_same(evaluate(top.Sub, [left, right], coeff=[2.0, -1.0]), [2 * left + right])
    assert_same(evaluate(top.Mul, [left, right], do_relu=True, relu_limit=0.3), [(left * right).clip(0, np.float32(0.3))])
    assert_same(evaluate(top.AddConst, [left], const_val=0.5, do_relu=True), [np.maximum(left + np.float32(0.5), 0)])


@FEW
@given(pairs())
def test_powers_and_remainders(pair: tuple[Array, Array]) -> None:
    base, exponent = np.abs(pair[0]) + np.float32(0.1), pair[1]
    assert_same(evaluate(top.Pow3, [base, exponent]), run_node("Pow", [base, exponent]))
    assert_same(evaluate(top.Pow, [base], exponent=1.7), run_node("Pow", [base, np.asarray(1.7, np.float32)]))
    assert_same(evaluate(top.Pow2, [exponent], const_val=1.7), run_node("Pow", [np.asarray(1.7, np.float32), exponent]))
    dividend, divisor = np.rint(pair[0] * 9), np.where(np.rint(exponent * 3) == 0, np.float32(2), np.rint(exponent * 3))
    theirs = run_node("Mod", [dividend.astype(np.int32), divisor.astype(np.int32)])
    for kind in (top.Mod, top.Remainder):
        assert_same(evaluate(kind, [dividend, divisor]), theirs)


@pytest.mark.parametrize(
    ("kind", "attributes", "name", "left"),
    [
        (top.AddConst, {}, "Add", False), (top.SubConst, {}, "Sub", False), (top.SubConst, {"is_reverse": True}, "Sub", True),
        (top.MulConst, {}, "Mul", False), (top.DivConst, {}, "Div", False), (top.DivConst, {"is_reverse": True}, "Div", True),
        (top.MaxConst, {}, "Max", False), (top.MinConst, {}, "Min", False), (top.Reciprocal, {}, "Div", True),
    ],
)
def test_constants(kind: type[Operation], attributes: dict[str, Any], name: str, left: bool) -> None:
    values, constant = normal(1, 2, 7, 5), np.asarray(0.7, np.float32)
    theirs = run_node(name, [constant, values] if left else [values, constant])
    assert_same(evaluate(kind, [values], const_val=0.7, **attributes), theirs)


@pytest.mark.parametrize("mode", ["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"])
@FEW
@given(pairs())
def test_comparisons(mode: str, pair: tuple[Array, Array]) -> None:
    left, right = np.rint(pair[0]), np.rint(pair[1])
    theirs = [run_node(mode, [left, right])[0].astype(np.float32)]
    assert_same(evaluate(top.Compare, [left, right], mode=mode), theirs)
    one = np.asarray(1, np.float32)
    assert_same(evaluate(top.CompareConst, [left], mode=mode, const_val=1.0, inversed=False), run_node(mode, [left, one]))
    assert_same(evaluate(top.CompareConst, [left], mode=mode, const_val=1.0, inversed=True), run_node(mode, [one, left]))


@FEW
@given(pairs())
def test_logic(pair: tuple[Array, Array]) -> None:
    left, right = pair[0] > 0, pair[1] > 0
    floats = [left.astype(np.float32), right.astype(np.float32)]
    assert_same(evaluate(top.Compare, floats, mode="And"), run_node("And", [left, right]))
    assert_same(evaluate(top.LogicalAnd, floats), run_node("And", [left, right]))
    assert_same(evaluate(top.Compare, floats, mode="Xor"), run_node("Xor", [left, right]))
    assert_same(evaluate(top.CompareConst, floats[:1], mode="Not", const_val=0.0, inversed=False), run_node("Not", [left]))


@FEW
@given(pairs())
def test_selection(pair: tuple[Array, Array]) -> None:
    condition = normal(3, *pair[1].shape) > 0
    mask, constant = condition.astype(np.float32), np.asarray(-2, np.float32)
    assert_same(evaluate(top.Where, [mask, *pair]), run_node("Where", [condition, *pair]))
    theirs = run_node("Where", [condition, constant, pair[0]])
    assert_same(evaluate(top.Where, [mask, None, pair[0]], x_is_const=True, x_const_val=-2.0), theirs)
    assert_same(evaluate(top.MaskedFill, [mask, pair[0]], inversed=True, const_val=-2.0), theirs)
    theirs = run_node("Where", [condition, pair[0], constant])
    assert_same(evaluate(top.Where, [mask, pair[0], None], y_is_const=True, y_const_val=-2.0), theirs)
    assert_same(evaluate(top.MaskedFill, [mask, pair[0]], inversed=False, const_val=-2.0), theirs)


def test_shapes_that_clash_are_named() -> None:
    with pytest.raises(InputError, match=r"top\.Add: operand shapes 2x3 and 2x4"):
        evaluate(top.Add, [normal(1, 2, 3), normal(2, 2, 4)])
    with pytest.raises(InputError, match=r"top\.Where: operand tbrn"):
        evaluate(top.Where, [normal(1, 2), None, normal(2, 2)])


def test_clip_cast_copy() -> None:
    values = normal(1, 3, 8) * 4
    bounds = [np.asarray(-1, np.float32), np.asarray(2, np.float32)]
    assert_same(evaluate(top.Clip, [values], min=-1.0, max=2.0), run_node("Clip", [values, *bounds]))
    assert_same(evaluate(top.Cast, [values], to="INT32", round_mode="TowardsZero"), run_node("Cast", [values], to=6))
    assert_same(evaluate(top.Cast, [values], to="F16"), run_node("Cast", [values], to=10), 0)
    bits = np.array([1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-8 - 2**-9, 3.0], np.float32)  # bfloat16 has 7 fraction bits
    assert_same(evaluate(top.Cast, [bits], to="BF16"), [np.array([1, 1 + 4 * 2**-8, -1 - 2 * 2**-8, 3], np.float32)], 0)
    turned = evaluate(top.Copy, [values], shape=[8, 3], input_stride=[1, 8], output_stride=[3, 1])[0]
    np.testing.assert_array_equal(turned.ravel(), values.T.ravel())


def test_rounding_modes() -> None:
    values = np.array([-2.5, -1.5, -1.2, -0.5, 0.5, 1.5, 1.7, 2.5], np.float32)
    expected = {
        "HalfAwayFromZero": [-3, -2, -1, -1, 1, 2, 2, 3], "HalfTowardsZero": [-2, -1, -1, 0, 0, 1, 2, 2],
        "HalfUp": [-2, -1, -1, 0, 1, 2, 2, 3], "HalfDown": [-3, -2, -1, -1, 0, 1, 2, 2],
        "HalfToEven": [-2, -2, -1, 0, 0, 2, 2, 2], "HalfToOdd": [-3, -1, -1, -1, 1, 1, 2, 3],
        "TowardsZero": [-2, -1, -1, 0, 0, 1, 1, 2], "Up": [-2, -1, -1, 0, 1, 2, 2, 3], "Down": [-3, -2, -2, -1, 0, 1, 1, 2],
    }
    for mode, rounded in expected.items():
        np.testing.assert_array_equal(round_to_integer(values, mode), np.array(rounded, np.float32), mode)


UNARY: list[tuple[type[Operation], dict[str, Any], str, dict[str, Any]]] = [
    (top.Relu, {}, "Relu", {}), (top.LeakyRelu, {"alpha": 0.2}, "LeakyRelu", {"alpha": 0.2}),
    (top.Elu, {"alpha": 0.8}, "Elu", {"alpha": 0.8}), (top.Sigmoid, {}, "Sigmoid", {}),
    (top.HardSigmoid, {"alpha": 0.3, "beta": 0.4}, "HardSigmoid", {"alpha": 0.3, "beta": 0.4}),
    (top.HardSwish, {}, "HardSwish", {}), (top.Tanh, {}, "Tanh", {}), (top.Softplus, {}, "Softplus", {}),
    (top.Softsign, {}, "Softsign", {}), (top.Mish, {}, "Mish", {}), (top.GELU, {}, "Gelu", {}),
    (top.GELU, {"approx_mode": "tanh"}, "Gelu", {"approximate": "tanh"}), (top.Abs, {}, "Abs", {}), (top.Exp, {}, "Exp", {}),
    (top.Floor, {}, "Floor", {}), (top.Ceil, {}, "Ceil", {}), (top.Round, {}, "Round", {}), (top.Erf, {}, "Erf", {}),
    (top.Sin, {}, "Sin", {}), (top.Cos, {}, "Cos", {}), (top.Tan, {}, "Tan", {}), (top.Sinh, {}, "Sinh", {}),
    (top.Cosh, {}, "Cosh", {}), (top.Sign, {}, "Sign", {}),
]


@pytest.mark.parametrize(("kind", "ours", "name", "theirs"), UNARY)
def test_functions(kind: type[Operation], ours: dict[str, Any], name: str, theirs: dict[str, Any]) -> None:
    values = normal(1, 2, 65, 3, 5) * 3
    assert_same(evaluate(kind, [values], **ours), run_node(name, [values], opset=20, **theirs))


@pytest.mark.parametrize(("kind", "name"), [(top.Sqrt, "Sqrt"), (top.Log, "Log"), (top.Arccos, "Acos"), (top.Arctanh, "Atanh")])
def test_functions_of_a_domain(kind: type[Operation], name: str) -> None:
    values = np.random.default_rng(1).uniform(0.01, 0.99, (3, 17)).astype(np.float32)
    assert_same(evaluate(kind, [values]), run_node(name, [values]))


def test_functions_that_onnx_composes() -> None:
    values = normal(1, 3, 17) * 2
    gate = run_node("Sigmoid", [values])[0]
    assert_same(evaluate(top.SiLU, [values]), [values * gate])
    assert_same(evaluate(top.Swish, [values], beta=1.5), [values * run_node("Sigmoid", [values * np.float32(1.5)])[0]])
    assert_same(evaluate(top.Sigmoid, [values], scale=2.0, bias=-1.0), [2 * gate - 1])
    assert_same(evaluate(top.Sigmoid, [values], log=True), [np.log(gate)])
    assert_same(evaluate(top.GELU, [values], approx_mode="sigm"), [values * run_node("Sigmoid", [values * np.float32(1.702)])[0]])
    assert_same(evaluate(top.Rsqrt, [np.abs(values)]), [1 / np.sqrt(np.abs(values))])
    assert_same(evaluate(top.LogB, [np.abs(values)], base=2), [np.log2(np.abs(values))])
    assert_same(evaluate(top.Relu, [values], relu_limit=1.0), [values.clip(0, 1)])
    assert_same(evaluate(top.Relu, [values], relu_limit=0.0), run_node("Relu", [values]))


def test_sigmoid_family_survives_large_values() -> None:
    values = np.array([-1e4, -100, 0, 100, 1e4], np.float32)
    assert_same(evaluate(top.Sigmoid, [values]), [np.array([0, 0, 0.5, 1, 1], np.float32)])
    assert_same(evaluate(top.Softplus, [values]), [np.array([0, 0, np.log(2), 100, 1e4], np.float32)])


@pytest.mark.parametrize("shape", [(1,), (5,), (7, 1, 1), (1, 7, 1, 1), (2, 7, 3, 5)])
def test_prelu(shape: tuple[int, ...]) -> None:
    inputs = [normal(1, 2, 7, 3, 5), normal(2, *shape)]
    assert_same(evaluate(top.PRelu, inputs), run_node("PRelu", inputs))


def test_prelu_rejects_a_slope_that_widens() -> None:
    with pytest.raises(InputError, match="slope"):
        evaluate(top.PRelu, [normal(1, 1, 5), normal(2, 3, 5)])

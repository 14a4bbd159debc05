"""Element-wise kernels of several operands on the emulator: arithmetic, comparison, selection, scale."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tpumlir_core.ir import Array

few = settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
layouts = st.sampled_from([{}, {"loose": True}, {"loose": True, "cut": (None, 64, 40, None)}])
sizes = st.sampled_from([1, 2, 3, 5, 7, 16, 33, 70, 130])
ARITHMETIC = ("tpu.Add", "tpu.Sub", "tpu.Mul", "tpu.Div", "tpu.Max", "tpu.Min")
RELATIONS = ("Equal", "NotEqual", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "And", "Xor")


def random(shape: Any, seed: int = 0) -> Array:
    return np.asarray(np.random.default_rng(seed).standard_normal(shape), np.float32)


def truth(shape: Any, seed: int = 0) -> Array:
    return np.asarray(np.random.default_rng(seed).random(shape) > 0.5, np.float32)


def row(*numbers: float) -> Array:
    return np.array([numbers], np.float32)


@st.composite
def broadcasting(draw: st.DrawFn, count: int = 2) -> list[tuple[int, ...]]:
    """Shapes of operands that broadcast to one another: of a common shape, axes become 1 and leading axes go."""
    common = draw(st.lists(sizes, min_size=1, max_size=4).filter(lambda s: np.prod(s) <= 20000))
    shapes = []
    for _ in range(count):
        ones = draw(st.lists(st.booleans(), min_size=len(common), max_size=len(common)))
        shape = tuple(1 if one else size for size, one in zip(common, ones, strict=True))
        shapes.append(shape[draw(st.integers(0, len(shape) - 1)) :])
    return shapes


@few
@given(st.sampled_from(ARITHMETIC), broadcasting(), layouts, st.sampled_from([frozenset(), frozenset({0}), frozenset({1})]))
def test_arithmetic_broadcasts(
    runner: Any, opcode: str, shapes: list[tuple[int, ...]], layout: dict[str, Any], weights: frozenset[int]
) -> None:
    left, right = random(shapes[0]), np.exp(random(shapes[1], 1))
    runner.check(opcode, [left, right], weights, tolerance=1e-6, **layout)


@few
@given(st.sampled_from(ARITHMETIC), broadcasting(4), layouts)
def test_chains_of_operands(runner: Any, opcode: str, shapes: list[tuple[int, ...]], layout: dict[str, Any]) -> None:
    if opcode in ("tpu.Sub", "tpu.Div"):
        shapes = shapes[:2]
    arrays = [1 + random(s, i) ** 2 for i, s in enumerate(shapes)]
    runner.check(opcode, arrays, frozenset({len(shapes) - 1}), tolerance=2e-6, **layout)


@pytest.mark.parametrize("limit", [-1.0, 0.7])
@pytest.mark.parametrize("opcode", ["tpu.Add", "tpu.Sub", "tpu.Mul", "tpu.Div"])
def test_fused_activation(runner: Any, opcode: str, limit: float) -> None:
    runner.check(opcode, [random((2, 70, 3, 5)), random((2, 70, 3, 5), 1)], do_relu=True, relu_limit=limit)


def test_coefficients_and_reversed_operands(runner: Any) -> None:
    arrays = [random((2, 70, 3, 5)), random((70, 1, 1), 1)]
    runner.check("tpu.Add", [*arrays, random((5,), 2)], coeff=(2.0, -1.0, 0.5))
    runner.check("tpu.Sub", arrays, coeff=(1.0, 3.0))
    runner.check("tpu.Sub", arrays, frozenset({1}), is_reverse=True)
    runner.check("tpu.Div", arrays, frozenset({1}), is_reverse=True, do_relu=True)


@pytest.mark.parametrize("weights", [frozenset(), frozenset({1})])
def test_division_by_zero_follows_ieee(runner: Any, weights: frozenset[int]) -> None:
    _, (ours,) = runner.run("tpu.Div", [row(1, -1, 0), row(0, 0, 0)], weights)
    np.testing.assert_array_equal(ours, row(np.inf, -np.inf, np.nan))


@pytest.mark.parametrize("shape", [(70, 1, 1), (2, 70, 9, 1), (20,), (2, 1, 9, 1), (2, 1, 1, 1), (1,)])
def test_division_by_what_broadcasts(runner: Any, shape: tuple[int, ...]) -> None:
    runner.check("tpu.Div", [random((2, 70, 9, 20)), np.exp(random(shape, 1))], tolerance=1e-6, loose=True)


def test_modulo_of_multiples_is_zero(runner: Any) -> None:
    x, y = np.meshgrid(np.arange(-40, 41, dtype=np.float32), row(-9, -7, -3, -1, 1, 2, 3, 5, 7, 9))
    _, (ours,) = runner.run("tpu.Mod", [x, y])
    np.testing.assert_array_equal(ours, np.mod(x, y))


@few
@given(broadcasting(), layouts, st.sampled_from([frozenset(), frozenset({0}), frozenset({1})]))
def test_powers_broadcast(runner: Any, shapes: list[tuple[int, ...]], layout: dict[str, Any], weights: frozenset[int]) -> None:
    runner.check("tpu.Pow3", [np.exp(random(shapes[0])), random(shapes[1], 1)], weights, tolerance=2e-6, **layout)


def test_powers_of_every_sign_and_parity(runner: Any) -> None:
    bases = row(0, 1, -1, 2, -2, 0.3, -0.3, 1e3, -1e3, 7.5, -7.5, 1e-20, 1e10, np.inf)
    exponents = row(0, 1, -1, 2, -2, 3, -3, 0.5, -1.5, 1 / 3, 17, -18, 31, 100, 1e6)
    x, y = (np.ascontiguousarray(a) for a in np.meshgrid(bases[0], exponents[0]))
    _, (ours,) = runner.run("tpu.Pow3", [x, y])
    np.testing.assert_allclose(ours, powers(x, y), rtol=1e-5, atol=1e-37)
    for exponent in (17.0, -18.0, 31.0, 1.5, -1.5):
        _, (ours,) = runner.run("tpu.Pow", [bases], exponent=exponent)
        np.testing.assert_allclose(ours, powers(bases, exponent), rtol=1e-5, atol=1e-37)
    for base in (0.0, -2.5, 2.5, 1.0):
        _, (ours,) = runner.run("tpu.Pow2", [exponents], const_val=base)
        np.testing.assert_allclose(ours, powers(base, exponents), rtol=1e-5, atol=1e-37)


def powers(x: Array | float, y: Array | float) -> Array:
    with np.errstate(all="ignore"):
        return np.asarray(np.power(np.asarray(x, np.float64), y), np.float32)


@pytest.mark.parametrize(
    ("opcode", "attributes", "expected"),
    [
        ("tpu.AddConst", {"const_val": 1.5}, lambda x: x + 1.5),
        ("tpu.SubConst", {"const_val": 1.5}, lambda x: x - 1.5),
        ("tpu.SubConst", {"const_val": 1.5, "is_reverse": True}, lambda x: 1.5 - x),
        ("tpu.MulConst", {"const_val": -0.3, "do_relu": True}, lambda x: np.maximum(-0.3 * x, 0)),
        ("tpu.DivConst", {"const_val": 3.0}, lambda x: x / 3),
        ("tpu.DivConst", {"const_val": 3.0, "is_reverse": True}, lambda x: 3 / x),
        ("tpu.MaxConst", {"const_val": 0.25}, lambda x: np.maximum(x, 0.25)),
        ("tpu.MinConst", {"const_val": 0.25}, lambda x: np.minimum(x, 0.25)),
        ("tpu.Reciprocal", {"const_val": 2.0}, lambda x: 2 / x),
        ("tpu.Clip", {"min": -0.5, "max": 0.7}, lambda x: np.clip(x, -0.5, 0.7)),
        ("tpu.CompareConst", {"mode": "Greater", "const_val": 0.1, "inversed": True}, lambda x: x < 0.1),
        ("tpu.CompareConst", {"mode": "Not", "const_val": 0.0, "inversed": True}, lambda x: x == 0),
    ],
)
@pytest.mark.parametrize("layout", [{}, {"loose": True}])
def test_constant_operand(runner: Any, opcode: str, attributes: dict[str, Any], expected: Any, layout: dict[str, Any]) -> None:
    values = random((3, 66, 5, 3))
    _, (ours,) = runner.run(opcode, [values], **attributes, **layout)
    np.testing.assert_allclose(ours, expected(values.astype(np.float64)), rtol=1e-6, atol=1e-6)


@few
@given(st.sampled_from(RELATIONS), broadcasting(), layouts)
def test_comparison(runner: Any, mode: str, shapes: list[tuple[int, ...]], layout: dict[str, Any]) -> None:
    runner.check("tpu.Compare", [truth(shapes[0]), truth(shapes[1], 1)], tolerance=0.0, mode=mode, **layout)


def test_zero_equals_minus_zero(runner: Any) -> None:
    left, right = row(0.0, -0.0, 0.0, -0.0, 1.0), row(0.0, 0.0, -0.0, -0.0, 0.0)
    for mode in ("Equal", "NotEqual", "GreaterOrEqual", "Less"):
        runner.check("tpu.Compare", [left, right], tolerance=0.0, mode=mode)
        runner.check("tpu.CompareConst", [right], tolerance=0.0, mode=mode, const_val=0.0, inversed=False)


@few
@given(broadcasting(3), layouts, st.integers(1, 3))
def test_conjunction(runner: Any, shapes: list[tuple[int, ...]], layout: dict[str, Any], count: int) -> None:
    runner.check("tpu.LogicalAnd", [truth(s, i) for i, s in enumerate(shapes[:count])], tolerance=0.0, **layout)


@few
@given(broadcasting(3), layouts)
def test_selection(runner: Any, shapes: list[tuple[int, ...]], layout: dict[str, Any]) -> None:
    condition, x, y = truth(shapes[0]), random(shapes[1], 1), random(shapes[2], 2)
    runner.check("tpu.Where", [condition, x, y], tolerance=0.0, **layout)
    runner.check("tpu.Where", [condition, x, y], frozenset({0, 1}), tolerance=0.0, **layout)
    runner.check("tpu.Where", [condition, None, y], tolerance=0.0, x_is_const=True, x_const_val=-7.0, **layout)
    runner.check("tpu.Where", [condition, x, None], tolerance=0.0, y_is_const=True, y_const_val=-7.0, **layout)
    for inversed in (False, True):
        runner.check("tpu.MaskedFill", [condition, x], tolerance=0.0, inversed=inversed, const_val=-1e9, **layout)


@few
@given(st.lists(sizes, min_size=2, max_size=4).filter(lambda s: np.prod(s) <= 20000), layouts, st.booleans())
def test_scale_and_batch_normalization(runner: Any, shape: list[int], layout: dict[str, Any], relu: bool) -> None:
    values, factors = random(shape), [random(shape[1], i + 1) for i in range(4)]
    runner.check("tpu.Scale", [values, *factors[:2]], frozenset({1, 2}), do_relu=relu, **layout)
    mean, variance = factors[0], 0.1 + factors[1] ** 2
    runner.check("tpu.BatchNorm", [values, mean, variance, *factors[2:]], frozenset(range(1, 5)), do_relu=relu, **layout)
    runner.check("tpu.BatchNorm", [values, mean, variance], frozenset({1, 2}), **layout)


@few
@given(broadcasting(), layouts, st.booleans())
def test_prelu(runner: Any, shapes: list[tuple[int, ...]], layout: dict[str, Any], weight: bool) -> None:
    common = np.broadcast_shapes(*shapes)
    runner.check("tpu.PRelu", [random(common), random(shapes[1], 1)], frozenset({1} if weight else ()), **layout)


def test_what_no_instruction_does_is_refused_with_its_reason(runner: Any) -> None:
    def reason(opcode: str, arrays: list[Array], **attributes: Any) -> str | None:
        op, _ = runner.operation(opcode, arrays, **attributes)
        found: str | None = runner.kernels[opcode].supports(op)
        return found

    assert reason("tpu.Add", [random((2, 1, 3, 1, 5)), random((1, 2, 1, 4, 1))]) is not None
    assert reason("tpu.Add", [random((2, 3, 3, 4, 5)), random((3, 1, 1))]) is None
    assert reason("tpu.Cast", [random((2, 3))], to="INT8", round_mode="HalfToOdd") is not None
    assert reason("tpu.Scale", [random((2, 3)), random((3,)), random((3,))]) is not None

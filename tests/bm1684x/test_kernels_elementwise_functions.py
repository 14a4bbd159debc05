"""Functions of one operand on the emulator, against float64 over wide ranges."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tpumlir_core.ir import Array

Function = Callable[[Array], Array]

_erf = np.vectorize(math.erf, otypes=[np.float64])
SPECIAL = (0.0, -0.0, 1e-30, -1e-30, 1.0, -1.0, 87.0, -87.0, 1e4, -1e4, 1e18, -1e18)


def values(low: float = -1e38, high: float = 1e38) -> Array:
    """Small, middling and large numbers of both signs between two ends, and the ends."""
    generator = np.random.default_rng(0)
    normal = generator.standard_normal(6000) * np.repeat([1e-3, 1.0, 5.0, 30.0], 1500)
    found = np.concatenate([normal, SPECIAL, [low, high]]).astype(np.float32)
    return np.clip(np.resize(found, (2, 67, 9, 5)), np.float32(low), np.float32(high))


def sigmoid(x: Array) -> Array:
    return np.asarray(np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x))))


def softplus(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _to_the(exponent: float) -> Function:
    return lambda x: np.float_power(x, exponent)


def gelu_tanh(x: Array) -> Array:
    return x * sigmoid(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))


# opcode, attributes, reference, range, relative error, absolute error
EXACT: list[tuple[str, dict[str, Any], Function]] = [
    ("tpu.Relu", {}, lambda x: np.maximum(x, 0)),
    ("tpu.Relu", {"relu_limit": 6.0}, lambda x: np.clip(x, 0, 6)),
    ("tpu.Abs", {}, np.abs),
    ("tpu.Floor", {}, np.floor),
    ("tpu.Ceil", {}, np.ceil),
    ("tpu.Round", {}, np.rint),
    ("tpu.Sign", {}, np.sign),
    ("tpu.Cast", {"to": "INT32", "round_mode": "TowardsZero"}, np.trunc),
    ("tpu.Cast", {"to": "INT8", "round_mode": "HalfUp"}, lambda x: np.floor(x + 0.5)),
    ("tpu.Cast", {"to": "F32"}, lambda x: x),
    ("tpu.LeakyRelu", {"alpha": 0.25}, lambda x: np.where(x > 0, x, 0.25 * x)),
    ("tpu.LeakyRelu", {"alpha": 4.0}, lambda x: np.where(x > 0, x, 4 * x)),
    ("tpu.LeakyRelu", {"alpha": -0.5}, lambda x: np.where(x > 0, x, -0.5 * x)),
]
SMOOTH: list[tuple[str, dict[str, Any], Function, tuple[float, float], float, float]] = [
    ("tpu.Exp", {}, np.exp, (-86, 88.7), 5e-6, 1e-38),
    ("tpu.Sigmoid", {}, sigmoid, (-1e38, 1e38), 5e-6, 1e-37),
    ("tpu.Sigmoid", {"scale": 2.0, "bias": -1.0}, lambda x: 2 * sigmoid(x) - 1, (-1e38, 1e38), 0, 5e-7),
    ("tpu.Sigmoid", {"log": True}, lambda x: -softplus(-x), (-1e38, 1e38), 5e-6, 1e-37),
    ("tpu.Tanh", {}, np.tanh, (-1e38, 1e38), 5e-7, 1e-37),
    ("tpu.Elu", {"alpha": 0.7}, lambda x: np.where(x > 0, x, 0.7 * np.expm1(np.minimum(x, 0))), (-1e38, 1e38), 5e-7, 1e-37),
    ("tpu.Softplus", {}, softplus, (-1e38, 1e38), 5e-6, 1e-37),
    ("tpu.Softsign", {}, lambda x: x / (1 + np.abs(x)), (-1e37, 1e37), 5e-7, 1e-37),
    ("tpu.SiLU", {}, lambda x: x * sigmoid(x), (-1e18, 1e38), 5e-6, 1e-18),
    ("tpu.Swish", {"beta": 1.7}, lambda x: x * sigmoid(1.7 * x), (-1e18, 1e38), 5e-6, 1e-18),
    ("tpu.Swish", {"beta": -0.5}, lambda x: x * sigmoid(-0.5 * x), (-1e18, 1e18), 5e-6, 1e-18),
    ("tpu.Swish", {"beta": 0.0}, lambda x: x / 2, (-1e38, 1e38), 0, 0),
    ("tpu.Mish", {}, lambda x: x * np.tanh(softplus(x)), (-1e18, 1e38), 5e-6, 1e-18),
    ("tpu.HardSigmoid", {"alpha": 0.2, "beta": 0.5}, lambda x: np.clip(0.2 * x + 0.5, 0, 1), (-1e38, 1e38), 0, 2e-7),
    ("tpu.HardSwish", {}, lambda x: x * np.clip(x / 6 + 0.5, 0, 1), (-1e38, 1e38), 2e-7, 1e-6),
    ("tpu.Erf", {}, _erf, (-1e38, 1e38), 5e-7, 1e-37),
    ("tpu.GELU", {}, lambda x: x * (1 + _erf(x / math.sqrt(2))) / 2, (-1e38, 1e38), 5e-7, 2e-6),
    ("tpu.GELU", {"approx_mode": "tanh"}, gelu_tanh, (-1e12, 1e12), 1e-5, 1e-18),
    ("tpu.GELU", {"approx_mode": "sigm"}, lambda x: x * sigmoid(1.702 * x), (-1e18, 1e38), 5e-6, 1e-18),
    ("tpu.Sqrt", {}, np.sqrt, (0, 1e38), 3e-7, 0),
    ("tpu.Rsqrt", {}, lambda x: 1 / np.sqrt(x), (1e-37, 1e38), 3e-7, 0),
    ("tpu.Log", {}, np.log, (1e-37, 1e38), 5e-7, 5e-7),
    ("tpu.LogB", {"base": 2}, np.log2, (1e-37, 1e38), 5e-7, 5e-7),
    ("tpu.Sin", {}, np.sin, (-1e4, 1e4), 0, 2e-6),
    ("tpu.Cos", {}, np.cos, (-1e4, 1e4), 0, 2e-6),
    ("tpu.Tan", {}, np.tan, (-1.5, 1.5), 5e-6, 1e-37),
    ("tpu.Sinh", {}, np.sinh, (-88, 88), 5e-6, 1e-37),
    ("tpu.Cosh", {}, np.cosh, (-88, 88), 5e-6, 0),
    ("tpu.Arccos", {}, np.arccos, (-1, 1), 0, 1e-6),
    ("tpu.Arctanh", {}, np.arctanh, (-0.9999, 0.9999), 5e-6, 2e-7),
    ("tpu.Pow2", {"const_val": 0.3}, lambda x: 0.3**x, (-70, 70), 5e-6, 1e-37),
    ("tpu.Pow", {"exponent": 2.5}, lambda x: x**2.5, (0, 1e15), 1e-5, 1e-37),
    ("tpu.Pow", {"exponent": -1.3}, lambda x: x**-1.3, (1e-28, 1e28), 1e-5, 1e-37),
    *(
        ("tpu.Pow", {"exponent": p}, _to_the(p), (1e-3, 1e4), 2e-6, 0.0)
        for p in (0.0, 1.0, 2.0, 3.0, 7.0, 8.0, -1.0, -2.0, 0.5, -0.5)
    ),
]


@pytest.mark.parametrize(("opcode", "attributes", "function"), EXACT)
@pytest.mark.parametrize("layout", [{}, {"loose": True}])
def test_exact_functions(runner: Any, opcode: str, attributes: dict[str, Any], function: Function, layout: dict[str, Any]) -> None:
    x = values(-1e6, 1e6)
    _, (ours,) = runner.run(opcode, [x], **attributes, **layout)
    np.testing.assert_array_equal(ours, function(x.astype(np.float64)).astype(np.float32))


@pytest.mark.parametrize(("opcode", "attributes", "function", "ends", "relative", "absolute"), SMOOTH)
@pytest.mark.parametrize("layout", [{}, {"loose": True}])
def test_smooth_functions(
    runner: Any, opcode: str, attributes: dict[str, Any], function: Function, ends: tuple[float, float], relative: float,
    absolute: float, layout: dict[str, Any],
) -> None:
    x = values(*ends)
    _, (ours,) = runner.run(opcode, [x], **attributes, **layout)
    with np.errstate(over="ignore", under="ignore"):
        expected = function(x.astype(np.float64))
    np.testing.assert_allclose(ours, expected, rtol=relative, atol=absolute)


def test_infinities_and_zeros(runner: Any) -> None:
    numbers = (math.inf, -math.inf, 0.0, 89.0, -200.0)

    def run(opcode: str, data: tuple[float, ...] = numbers, **attributes: Any) -> list[float]:
        _, (ours,) = runner.run(opcode, [np.array([data], np.float32)], **attributes)
        found: list[float] = ours[0].tolist()
        return found

    magnitudes = tuple(map(abs, numbers))
    assert run("tpu.Exp") == [np.inf, 0, 1, np.inf, 0]
    assert run("tpu.Sigmoid")[:3] == [pytest.approx(1), pytest.approx(0, abs=1e-37), pytest.approx(0.5)]
    assert run("tpu.Tanh")[:3] == [pytest.approx(1), pytest.approx(-1), 0]
    assert run("tpu.Log", magnitudes)[:3] == [np.inf, np.inf, -np.inf]
    assert run("tpu.Sqrt", magnitudes)[:3] == [np.inf, np.inf, 0]
    assert run("tpu.Rsqrt", magnitudes)[2] == np.inf
    assert run("tpu.Pow", magnitudes, exponent=1.5)[:3] == [np.inf, np.inf, 0]
    assert run("tpu.Log", (-0.0, 1e-40)) == [-np.inf, -np.inf]
    assert np.isfinite(run("tpu.Sin", (1e30, -3e38))).all()


@pytest.mark.parametrize("kind", ["F16", "BF16"])
def test_cast_to_a_narrower_float(runner: Any, kind: str) -> None:
    runner.check("tpu.Cast", [values(-1e4, 1e4)], tolerance=0.0, to=kind)


def test_dense_copy(runner: Any) -> None:
    runner.check("tpu.Copy", [values()], tolerance=0.0, shape=(2, 67, 45), input_stride=(3015, 45, 1), output_stride=(3015, 45, 1))

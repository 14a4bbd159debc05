"""Matrix products on the emulator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tpumlir_sophgo.tensor import Shape4

SWEEP = settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
CUTS: list[tuple[int | None, ...]] = [(), (1, 64, None, None), (None, None, None, 64)]


@st.composite
def products(draw: st.DrawFn) -> dict[str, Any]:
    """A product with a weight or an activation on the right."""

    def integers(low: int, high: int) -> int:
        return draw(st.integers(low, high))

    rows, inner, columns = integers(1, 140), integers(1, 90), integers(1, 140)
    batches = draw(st.sampled_from([((), ()), ((2,), (2,)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((1,), (2,)), ((3,), ())]))
    left_transpose, right_transpose = draw(st.booleans()), draw(st.booleans())
    weight = draw(st.booleans())
    cuts = CUTS[:2] if right_transpose and not (weight and np.prod(batches[1]) == 1) else CUTS
    return {
        "left": (*batches[0], *((inner, rows) if left_transpose else (rows, inner))),
        "right": (*batches[1], *((columns, inner) if right_transpose else (inner, columns))),
        "bias": columns if draw(st.booleans()) else 0, "weight": weight, "cut": draw(st.sampled_from(cuts)), "loose": draw(st.booleans()),
        "attributes": {"left_transpose": left_transpose, "right_transpose": right_transpose, "do_relu": draw(st.booleans())},
    }


@given(case=products())
@SWEEP
def test_any_shape(runner: Any, normal: Any, case: dict[str, Any]) -> None:
    arrays = [normal(*case["left"]), normal(*case["right"]), normal(case["bias"]) if case["bias"] else None]
    weights = frozenset({1, 2}) if case["weight"] else frozenset({2})
    runner.check("tpu.MatMul", arrays, weights, cut=case["cut"], loose=case["loose"], **case["attributes"])


@pytest.mark.parametrize(("rows", "cut"), [(1, ()), (3, (2, None, None, 64)), (4, (None, None, None, 128))])
@pytest.mark.parametrize("transpose", [False, True])
def test_few_rows(runner: Any, normal: Any, rows: int, cut: Any, transpose: bool) -> None:
    right = normal(200, 300) if transpose else normal(300, 200)
    arrays = [normal(rows, 300), right, normal(200)]
    runner.check("tpu.MatMul", arrays, frozenset({1, 2}), cut=cut, right_transpose=transpose, do_relu=True)


@pytest.mark.parametrize(("left", "right"), [((33,), (33, 50)), ((5, 6, 33), (33,)), ((33,), (33,))])
def test_vectors(runner: Any, normal: Any, left: Any, right: Any) -> None:
    runner.check("tpu.MatMul", [normal(*left), normal(*right)])


def test_takes_what_a_convolution_leaves(runner: Any, normal: Any) -> None:
    """A known view with channels in the lanes is taken as it is: a flattened (2, 20, 3, 3) needs no transposition."""
    op, _ = runner.operation("tpu.MatMul", [normal(2, 180), normal(180, 64)], frozenset({1}))
    known: list[Shape4 | None] = [(2, 20, 3, 3), None]
    views = runner.kernels["tpu.MatMul"].views(op, known)
    assert views is not None
    assert views.operands[0] == known[0]


def test_says_why_not(runner: Any, normal: Any) -> None:
    op, _ = runner.operation("tpu.MatMul", [normal(2, 5, 6), normal(6, 7), normal(5, 7)], frozenset({1, 2}))
    assert runner.kernels["tpu.MatMul"].supports(op) == "a bias of shape [5, 7], which is not one for each of 7 columns"
    op, _ = runner.operation("tpu.MatMul", [normal(64, 60000), normal(60000, 1)])
    assert runner.kernels["tpu.MatMul"].supports(op) == "rows of 60000 elements are too long for local memory"

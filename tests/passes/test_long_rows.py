"""Reductions and products over rows that a target finds too long, against their reference semantics."""

from __future__ import annotations

from typing import Any

import pytest

from tpumlir_core.ir import Operation, top
from tpumlir_core.passes import decompose

LONG = 20011  # a prime


def short(op: Operation) -> bool:
    """A target for rows of at most 10006 elements."""
    match op:
        case top.Reduce():
            return op.input.shape[-1] <= LONG // 2 + 1
        case top.MatMul():
            return op.input.shape[-1] <= LONG // 2 + 1
        case _:
            return True


@pytest.mark.parametrize("mode", ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2"])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions(graph: Any, same: Any, mode: str, keepdims: bool) -> None:
    low, high = (0.999, 1.001) if mode == "ReduceProd" else (-0.5, 1.0)
    module = graph.module(graph.op(top.Reduce, graph.input(2, LONG, low=low, high=high), axes=(1,), keepdims=keepdims, mode=mode))
    left = same(graph, module, lambda m: decompose(m, short), 1e-4)
    assert left.count("Reduce") == 3, left
    assert all(short(op) for op in module.function.operations)


def test_whole_parts_need_no_rest(graph: Any, same: Any) -> None:
    module = graph.module(graph.op(top.Reduce, graph.input(3, 1 << 15), axes=(1,), keepdims=False, mode="ReduceMax"))
    assert same(graph, module, lambda m: decompose(m, short), 0).count("Reduce") == 2


@pytest.mark.parametrize("weight", [False, True])
@pytest.mark.parametrize("attributes", [{}, {"do_relu": True}, {"right_transpose": True}])
def test_products(graph: Any, same: Any, weight: bool, attributes: dict[str, Any]) -> None:
    shape = (5, LONG) if attributes.get("right_transpose") else (LONG, 5)
    right = graph.random(*shape) if weight else graph.input(*shape)
    module = graph.module(graph.op(top.MatMul, graph.input(3, LONG), right, graph.random(5), **attributes))
    left = same(graph, module, lambda m: decompose(m, short), 1e-4)
    assert left.count("MatMul") == 2, left


def test_a_target_without_products_is_not_asked_again_and_again(graph: Any) -> None:
    module = graph.module(graph.op(top.MatMul, graph.input(3, 4 * LONG), graph.random(4 * LONG, 5)))
    decompose(module, lambda op: not isinstance(op, top.MatMul))
    assert sum(isinstance(op, top.MatMul) for op in module.function.operations) == 8

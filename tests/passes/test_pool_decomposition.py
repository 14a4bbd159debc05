"""Pools with windows that a target has not, against their reference semantics."""

from __future__ import annotations

from typing import Any

import pytest

from tpumlir_core.ir import Operation, top
from tpumlir_core.passes import decompose


@pytest.mark.parametrize("kind", [top.AvgPool, top.MaxPool])
@pytest.mark.parametrize(
    ("shape", "window", "types"),
    [
        ((2, 3, 7, 5), {"kernel_shape": (7, 5), "strides": (1, 1), "pads": (0,) * 4, "do_relu": True}, ["Reduce", "Relu"]),
        ((2, 3, 9, 8), {"kernel_shape": (5, 4), "strides": (2, 3), "pads": (1, 0, 2, 1), "do_relu": True}, None),
        ((2, 3, 9, 8), {"kernel_shape": (5, 4), "strides": (2, 3), "pads": (2, 1, 1, 3), "count_include_pad": True}, None),
        ((2, 3, 9, 8), {"kernel_shape": (4, 4), "strides": (3, 3), "pads": (1, 1, 1, 1), "ceil_mode": True}, None),
        ((2, 3, 4, 6, 5), {"kernel_shape": (2, 3, 2), "strides": (1, 2, 1), "pads": (0, 1, 1, 1, 0, 0)}, None),
        ((2, 3, 4, 6, 5), {"kernel_shape": (1, 1, 2), "strides": (1, 1, 1), "pads": (0,) * 6}, ["Reshape", None, "Reshape"]),
    ],
)
def test_a_large_pool_is_one_axis_after_the_other(
    graph: Any, same: Any, kind: type[Operation], shape: tuple[int, ...], window: dict[str, Any], types: list[str | None] | None
) -> None:
    module = graph.module(graph.op(kind, graph.input(*shape), **window))

    def narrow_windows(op: Operation) -> bool:
        return not isinstance(op, top.AvgPool | top.MaxPool) or (len(op.kernel_shape) == 2 and 1 in op.kernel_shape)

    left = same(graph, module, lambda m: decompose(m, narrow_windows), 1e-6)
    assert all(narrow_windows(op) for op in module.function.operations)
    if types is not None:
        assert left == [t or kind.opcode.removeprefix("top.") for t in types]

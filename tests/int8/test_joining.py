"""What is concatenated is stored as the result is: no conversions in chains of concatenations, and no steps that are much coarser."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.int8.test_quantizer import lower, opcodes, ranges
from tests.passes.conftest import Graph
from tpumlir_core.ir import Module, Value, top
from tpumlir_core.ir.storage import to_real
from tpumlir_core.plugins.extension_points import CalibratedRange
from tpumlir_int8.bounds import Bounds
from tpumlir_int8.joining import NEAR, joined
from tpumlir_sophgo.executor import SophgoExecutor

POINT = {"kernel_shape": (1, 1), "strides": (1, 1), "pads": (0, 0, 0, 0)}
POOL = {"kernel_shape": (2, 2), "strides": (1, 1), "pads": (0, 0, 1, 1)}
Table = dict[str, CalibratedRange]


@pytest.fixture
def graph() -> Graph:
    return Graph()


def conv(graph: Graph, x: Value, filters: int, size: float = 1.0, **attributes: Any) -> Value:
    return graph.op(top.Conv, x, graph.random(filters, x.shape[1], 1, 1, low=-size, high=size), None, **{**POINT, **attributes})


def found_in(module: Module, opcode: str) -> list[Any]:
    """The operations of one kind."""
    return [op for op in module.function.operations if op.opcode == opcode]


def casts(module: Module, of: Value) -> list[Any]:
    """Conversions of one tensor."""
    return [op for op in found_in(module, "tpu.Cast") if op.input.name == of.name]


def dense_block(graph: Graph) -> tuple[Module, list[Value]]:
    """Each layer takes all that came before, as in DenseNet; also its concatenations."""
    x = conv(graph, graph.input(1, 4, 6, 6), 8)
    found = []
    for _ in range(4):
        y = conv(graph, graph.op(top.Relu, graph.op(top.AddConst, x, const_val=0.1)), 4, 0.2)
        x = graph.op(top.Concat, x, y, axis=1)
        found.append(x)
    return graph.module(conv(graph, x, 4)), found


def test_a_chain_of_concatenations_converts_nothing(graph: Graph) -> None:
    """Though calibration gives each link a threshold of its own."""
    module, links = dense_block(graph)
    wanted, table = graph.run(module), ranges(module, graph.inputs)
    for shorter, link in zip((1.0, 0.97, 0.99, 0.95), links, strict=True):
        table[link.name] = replace(table[link.name], threshold=table[link.name].threshold * shorter)
    lowered = lower(module, table)
    assert sum(bool(casts(lowered, value)) for value in links) <= 1  # the last is only read
    assert len({op.output.type.quantization.scale for op in found_in(lowered, "tpu.Concat")}) == 1
    run, types = SophgoExecutor().run(lowered, graph.inputs), {v.name: v.type for v in lowered.function.values()}
    last = links[-1].name
    error = np.linalg.norm(to_real(run[last], types[last]) - wanted[last])
    assert error < 0.02 * np.linalg.norm(wanted[last])


@pytest.mark.parametrize("limit", [0.0, 0.1])
def test_activations_of_branches_are_made_for_their_concatenation(graph: Graph, limit: float) -> None:
    """Nothing else takes them, so that their own finer steps would be lost anyway; what stops at a limit keeps to that."""
    x = graph.input(1, 4, 6, 6)
    small = conv(graph, x, 8, 0.1, do_relu=True, relu_limit=limit or -1.0)
    large = conv(graph, x, 8, do_relu=True)
    module = graph.module(conv(graph, graph.op(top.Concat, small, large, axis=1), 4))
    lowered = lower(module, ranges(module, graph.inputs))
    assert bool(casts(lowered, small)) == bool(limit)
    assert "tpu.Cast" in opcodes(lowered)  # of the network's input and output


def test_steps_of_other_users_stay_about_as_fine(graph: Graph) -> None:
    x = graph.input(1, 4, 6, 6)
    small, large = conv(graph, x, 8, 0.1), conv(graph, x, 8)
    module = graph.module(conv(graph, graph.op(top.Concat, small, large, axis=1), 4), conv(graph, small, 4))
    lowered = lower(module, ranges(module, graph.inputs))
    assert casts(lowered, small)
    assert not casts(lowered, large)


def pooled(graph: Graph, factor: float) -> tuple[Module, Value, Value, Table]:
    """A tensor that is pooled for a concatenation whose threshold is larger by a factor, and used besides; also the result."""
    x = graph.op(top.Relu, conv(graph, graph.input(1, 4, 6, 6), 8))
    both = graph.op(top.Concat, graph.op(top.MaxPool, x, **POOL), conv(graph, x, 8, do_relu=True), axis=1)
    module = graph.module(conv(graph, both, 4), conv(graph, x, 4))
    table = ranges(module, graph.inputs)
    return module, x, both, {**table, both.name: CalibratedRange(table[x.name].threshold * factor, 0.0, table[x.name].threshold * factor)}


@pytest.mark.parametrize(("factor", "joins"), [(1.0, True), (0.99 * NEAR, True), (1.01 * NEAR, False)])
def test_what_is_pooled_first_is_near_or_converted(graph: Graph, factor: float, joins: bool) -> None:
    module, x, both, table = pooled(graph, factor)
    found, _ = joined(module, table, {})
    assert (found[x.name].threshold == found[both.name].threshold) == joins
    pool = next(op.output for op in module.function.operations if op.opcode == "top.MaxPool")
    assert bool(casts(lower(module, table), pool)) != joins


def test_bounds_go_with_the_range(graph: Graph) -> None:
    module, x, both, table = pooled(graph, 1.0)
    other = Bounds(-1.0, 5.0)
    assert joined(module, table, {x: Bounds(0.0, 1.0), both: other})[1][x] == other
    assert x not in joined(module, table, {x: Bounds(0.0, 1.0)})[1]


def test_fixed_ranges_stay(graph: Graph) -> None:
    """Those that a quantized source says."""
    module, x, both, table = pooled(graph, 1.1)
    fixed = {**table, x.name: replace(table[x.name], fixed=True)}
    assert joined(module, fixed, {})[0][x.name] == fixed[x.name]
    whole = {name: replace(known, fixed=True) for name, known in table.items()}
    assert joined(module, whole, {})[0] == whole

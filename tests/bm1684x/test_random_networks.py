"""A few of the networks of ``sweeps.random_networks``, and what it found wrong, in every bit of every mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sweeps.random_networks import MODES, judge
from tests.passes.conftest import Graph
from tpumlir_bm1684x.executor import Bm1684xExecutor
from tpumlir_bm1684x.target import Bm1684xTarget
from tpumlir_core import api
from tpumlir_core.ir import Value, top
from tpumlir_core.plugins.extension_points import LoweringOptions
from tpumlir_core.stages import Session
from tpumlir_sophgo.testing.programs import run_module


@pytest.mark.parametrize("mode", MODES)
def test_random_networks(mode: str) -> None:
    verdicts = [judge((mode, seed, False)) for seed in range(15)]
    assert all(verdict.kind == "right" for verdict in verdicts), verdicts


def test_a_large_random_network() -> None:
    """Of tensors that are cut to fit local memory."""
    assert judge(("INT8", 3, True)).kind == "right"


def _channels(g: Graph, x: Value) -> Value:
    return g.op(top.Slice, x, offset=(0, 7, 0, 0), steps=(1, 1, 1, 1), ends=(1, 11, 18, 16))


PARTS: dict[str, Callable[[Graph, Value], Value]] = {
    "function": lambda g, x: g.op(top.Sin, x),
    "average": lambda g, x: g.op(top.AvgPool, x, kernel_shape=(2, 2), strides=(1, 1), pads=(0, 1, 1, 0)),
    "average of all": lambda g, x: g.op(top.AvgPool, x, kernel_shape=(18, 16), strides=(1, 1), pads=(0, 0, 0, 0)),
    "far apart": lambda g, x: g.op(top.MaxPool, x, kernel_shape=(2, 2), strides=(16, 2), pads=(0, 0, 0, 0)),
    "depthwise": lambda g, x: g.op(
        top.Conv, x, g.random(x.shape[1], 1, 3, 3), None, group=x.shape[1], kernel_shape=(3, 3), strides=(1, 1), pads=(1, 1, 1, 1)),
}


@pytest.mark.parametrize("mode", ["F32", "F16"])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("name", PARTS)
def test_channels_that_do_not_begin_in_the_first_lane(machine: Any, name: str, first: bool, mode: str) -> None:
    """Some channels of what is there, taken before an operation, and after it, whose other results nobody needs."""
    graph = Graph()
    x = graph.op(top.Relu, graph.input(1, 24, 18, 16))
    if first:
        outputs = [PARTS[name](graph, _channels(graph, x)), x]
    else:
        found = PARTS[name](graph, x)
        (_, _, h, w), part = found.shape, {"offset": (0, 7, 0, 0), "steps": (1, 1, 1, 1)}
        outputs = [graph.op(top.Slice, found, ends=(1, 11, h, w), **part), x]
    lowered = api.lower(graph.module(*outputs), chip="bm1684x", quantize=mode, session=Session())
    target = Bm1684xTarget()
    found_here = run_module(machine, target.chip(), target.kernels(), lowered, graph.inputs)
    expected = Bm1684xExecutor(every_product=True).run(lowered, graph.inputs)
    for output, array in found_here.items():
        np.testing.assert_array_equal(array, expected[output])


@pytest.mark.parametrize("modes", [("F16", "BF16"), ("BF16", "F16")])
def test_from_one_16_bit_float_to_the_other(machine: Any, modes: tuple[str, str]) -> None:
    graph = Graph()
    first = graph.op(top.Relu, graph.input(2, 7, 5))
    second = graph.op(top.MulConst, first, const_val=1.7)
    lowering = LoweringOptions(modes=dict(zip((first.name, second.name), modes, strict=True)))
    lowered = api.lower(graph.module(second), chip="bm1684x", quantize="F32", lowering=lowering, session=Session())
    target = Bm1684xTarget()
    expected = Bm1684xExecutor().run(lowered, graph.inputs)
    for output, array in run_module(machine, target.chip(), target.kernels(), lowered, graph.inputs).items():
        np.testing.assert_array_equal(array, expected[output])

"""The executor in 16 bits against the emulator: equal but for last bits where sums of products are rounded once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.passes.conftest import Graph
from tpumlir_bm1684x.target import Bm1684xTarget
from tpumlir_core import api
from tpumlir_core.ir import Value, top
from tpumlir_core.ir.storage import to_real
from tpumlir_core.stages import Session
from tpumlir_sophgo.executor import SophgoExecutor
from tpumlir_sophgo.testing.cmodel import Machine
from tpumlir_sophgo.testing.programs import run_module

WINDOW = {"kernel_shape": (3, 3), "strides": (1, 1), "pads": (1, 1, 1, 1)}
SHAPE = (2, 70, 5, 7)
Build = Callable[[Graph], Value]

EXACT: dict[str, Build] = {
    "a factor a channel": lambda g: g.op(top.Mul, g.input(*SHAPE), g.random(1, 70, 1, 1)),
    "a factor a column": lambda g: g.op(top.Mul, g.input(*SHAPE), g.random(7)),
    "a term a channel": lambda g: g.op(top.Sub, g.input(*SHAPE), g.random(1, 70, 1, 1), do_relu=True),
    "a constant factor": lambda g: g.op(top.MulConst, g.input(*SHAPE), const_val=0.12345),
    "a constant factor beyond 16 bits": lambda g: g.op(top.MulConst, g.input(*SHAPE), const_val=1.2345e-7),
    "a constant term": lambda g: g.op(top.AddConst, g.input(*SHAPE), const_val=0.12345),
    "scale": lambda g: g.op(top.Scale, g.input(*SHAPE), g.random(1, 70, 1, 1), g.random(1, 70, 1, 1), do_relu=True, relu_limit=1.0),
    "slopes": lambda g: g.op(top.PRelu, g.input(*SHAPE), g.random(1, 70, 1, 1)),
    "a slope": lambda g: g.op(top.LeakyRelu, g.input(*SHAPE), alpha=0.1),
    "a steep slope": lambda g: g.op(top.LeakyRelu, g.input(*SHAPE), alpha=1.3),
    "hard sigmoid": lambda g: g.op(top.HardSigmoid, g.input(*SHAPE), alpha=0.2, beta=0.5),
    "hard swish": lambda g: g.op(top.HardSwish, g.input(*SHAPE, low=-4.0, high=4.0)),
}
SUMS: dict[str, Build] = {
    "convolution": lambda g: g.op(top.Conv, g.input(2, 30, 9, 7), g.random(20, 30, 3, 3), g.random(20), **WINDOW),
    "groups": lambda g: g.op(top.Conv, g.input(2, 30, 9, 7), g.random(30, 10, 3, 3), g.random(30), group=3, **WINDOW),
    "depthwise": lambda g: g.op(top.Conv, g.input(2, 30, 9, 7), g.random(30, 1, 3, 3), g.random(30), group=30, **WINDOW),
    "transposed": lambda g: g.op(top.Deconv, g.input(2, 30, 9, 7), g.random(20, 30, 3, 3), g.random(20), **WINDOW),
    "product": lambda g: g.op(top.MatMul, g.input(2, 9, 30), g.random(30, 20), None),
}


@pytest.mark.parametrize("mode", ["F16", "BF16"])
@pytest.mark.parametrize(("name", "share"), [*((name, 0.0) for name in EXACT), *((name, 0.01) for name in SUMS)])
def test_what_is_rounded_besides_results(machine: Machine, name: str, share: float, mode: str) -> None:
    graph, target = Graph(), Bm1684xTarget()
    module = graph.module({**EXACT, **SUMS}[name](graph))
    lowered = api.lower(module, chip="bm1684x", quantize=mode, session=Session())
    found = run_module(machine, target.chip(), target.kernels(), lowered, graph.inputs)
    expected, types = SophgoExecutor().run(lowered, graph.inputs), {v.name: v.type for v in lowered.function.outputs}
    for output, array in found.items():
        real, wanted = to_real(array, types[output]), to_real(expected[output], types[output])
        assert np.mean(real != wanted) <= share
        np.testing.assert_allclose(real, wanted, rtol=2.0**-7, atol=2.0**-7)

"""The kernel of an example operator on the emulator, over shapes, broadcasting, tiles and weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.custom_operators.models import ABS_ADD, session_of
from tpumlir_bm1684x.target import Bm1684xTarget
from tpumlir_core.custom import Operator
from tpumlir_core.ir import Function, Module, Operation, TensorType, WeightStore
from tpumlir_core.ir.top import Input, Weight
from tpumlir_sophgo.testing.cmodel import Machine
from tpumlir_sophgo.testing.programs import run_module

Shape = tuple[int, ...]


@st.composite
def broadcasting(draw: st.DrawFn) -> tuple[Shape, Shape]:
    """A shape, and one that broadcasts with it."""
    sizes = [st.integers(1, 3), st.sampled_from([1, 3, 63, 64, 65, 130]), st.integers(1, 9), st.integers(1, 40)]
    shape = tuple(draw(size) for size in sizes[: draw(st.integers(1, 4))])
    kept = tuple(size if draw(st.booleans()) else 1 for size in shape)
    return shape, kept[draw(st.integers(0, len(kept) - 1)) :]


@pytest.fixture(scope="module")
def abs_add() -> type[Operator]:
    """The second example."""
    found = session_of(ABS_ADD).operators.by_opcode("acme.AbsAdd")
    assert found is not None
    return found


@settings(max_examples=25)
@given(shapes=broadcasting(), constant=st.booleans(), data=st.integers(0, 99))
def test_abs_add(machine: Machine, abs_add: type[Operator], shapes: tuple[Shape, Shape], constant: bool, data: int) -> None:
    generator = np.random.default_rng(data)
    x, bias = (generator.standard_normal(shape).astype(np.float32) for shape in shapes)
    sources: list[Operation] = [
        Input.create([None], [("x", TensorType(x.shape))]), (Weight if constant else Input).create([], [("b", TensorType(bias.shape))])
    ]
    weights = WeightStore()
    if constant:
        weights["b"] = bias
    operation = abs_add.create([source.output for source in sources], ["y"])
    module = Module("net", Function("main", [*sources, operation], [operation.output]), weights)
    target = Bm1684xTarget()
    kernels = target.kernels_for(module.function.operations)
    found = run_module(machine, target.chip(), kernels, module, {"x": x} if constant else {"x": x, "b": bias})
    np.testing.assert_array_equal(found["y"].reshape(operation.output.shape), np.abs(x) + bias)

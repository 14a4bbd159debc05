"""Small graphs for tests of passes: built in Python, evaluated before and after."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tpumlir_core.ir import Array, ElementType, Function, Module, Operation, TensorType, Value, WeightStore, top
from tpumlir_core.ir.evaluate import evaluate_module
from tpumlir_core.ir.text import parse_module, print_module
from tpumlir_core.ir.verify import verify


class Graph:
    """A module under construction, with random inputs that belong to it."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.operations: list[Operation] = []
        self.weights = WeightStore()
        self.inputs: dict[str, Array] = {}

    def _add(self, op: Operation) -> Value:
        self.operations.append(op)
        return op.results[0]

    def input(self, *shape: int, low: float = -2.0, high: float = 2.0) -> Value:
        name = f"x{len(self.inputs)}"
        self.inputs[name] = self.rng.uniform(low, high, shape).astype(np.float32)
        return self._add(top.Input.create([], [(name, TensorType(shape))]))

    def weight(self, array: Any) -> Value:
        name, stored = f"w{len(self.operations)}", np.asarray(array, np.float32)
        self.weights[name] = stored
        return self._add(top.Weight.create([], [(name, TensorType(stored.shape, ElementType.F32))]))

    def random(self, *shape: int, low: float = -1.0, high: float = 1.0) -> Value:
        return self.weight(self.rng.uniform(low, high, shape))

    def op(self, cls: type[Operation], *operands: Value | None, results: int = 1, **attributes: Any) -> Value:
        first = len(self.operations)
        return self._add(cls.create(operands, [f"v{first}" if i == 0 else f"v{first}_{i}" for i in range(results)], **attributes))

    def module(self, *outputs: Value) -> Module:
        return Module("test", Function("main", self.operations, outputs), self.weights, {"module.state": "TOP_F32"})

    def run(self, module: Module) -> dict[str, Array]:
        return evaluate_module(module, self.inputs)


def opcodes(module: Module) -> list[str]:
    """Opcodes without the dialect, sources left out."""
    found = [op.opcode.split(".")[1] for op in module.function.operations]
    return [name for name in found if name not in ("Input", "Weight")]


@pytest.fixture
def graph() -> Graph:
    return Graph()


@pytest.fixture
def graph_class() -> type[Graph]:
    return Graph


Check = Callable[..., list[str]]


@pytest.fixture
def same() -> Check:
    """Runs a pass (or pipeline) and checks that outputs keep names and values, that every kept name keeps its value, and that the
    text still parses; returns the opcodes left."""

    def check(graph: Graph, module: Module, run: Callable[[Module], object], tolerance: float = 1e-5) -> list[str]:
        before = copy.copy(graph.run(module))
        names = [v.name for v in module.function.outputs]
        run(module)
        verify(module)
        assert [v.name for v in module.function.outputs] == names
        after = graph.run(module)
        for name, found in after.items():
            if name in before and name not in module.weights:
                np.testing.assert_allclose(found, before[name], rtol=tolerance, atol=tolerance, err_msg=name)
        parse_module(print_module(module))
        return opcodes(module)

    return check

"""Registry, pipelines, folding, dead code, shapes, verification, and time linear in operations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.timing import assert_linear
from tpumlir_core.errors import InputError, InternalError
from tpumlir_core.ir import ElementType, Module, Operation, TensorType, Value, top
from tpumlir_core.ir.verify import verify
from tpumlir_core.passes import (
    EliminateDead,
    FoldConstants,
    InferShapes,
    Pass,
    PassRegistry,
    builtin_registry,
    run_passes,
    run_pipeline,
)


def test_names_of_passes_and_pipelines() -> None:
    registry = builtin_registry()
    assert registry.pipelines() == ["optimize", "prepare"]
    assert "fold-constants" in registry.passes()
    assert registry.create("fold-constants", limit_bytes=5) == FoldConstants(limit_bytes=5)


def test_unknown_names_are_input_errors() -> None:
    registry = builtin_registry()
    with pytest.raises(InputError, match=r"expected one of .*canonicalize"):
        registry.create("nonsense")
    with pytest.raises(InputError, match="option 'size' is not known; expected one of limit_bytes"):
        registry.create("fold-constants", size=1)
    with pytest.raises(InputError, match="pipeline 'nonsense'"):
        run_pipeline("nonsense", Module("m", None, None))  # type: ignore[arg-type]


def test_a_name_cannot_be_taken_twice() -> None:
    registry = PassRegistry()
    registry.register(FoldConstants)
    with pytest.raises(InternalError, match="taken"):
        registry.register(FoldConstants)


@dataclass(frozen=True)
class Breaks(Pass):
    """Gives two results one name."""

    name: ClassVar[str] = "breaks"

    def run(self, module: Module) -> bool:
        for value in module.function.values():
            value.name = "same"
        return True


def test_a_pass_that_breaks_the_module_is_named(graph: Any) -> None:
    module = graph.module(graph.op(top.Relu, graph.input(2)))
    with pytest.raises(InternalError, match=r"test after breaks: top\.Relu same: name same is used twice"):
        run_passes([Breaks()], module)


def test_observer_and_printed_text(graph: Any, capsys: pytest.CaptureFixture[str]) -> None:
    module = graph.module(graph.op(top.Mul, graph.input(2), graph.weight(2.0)))
    seen: list[tuple[str, bool]] = []
    run_pipeline("optimize", module, print_after=["canonicalize"], observer=lambda p, m, changed, s: seen.append((p.name, changed)))
    assert ("canonicalize", True) in seen
    assert ("fold-constants", False) in seen
    assert '"top.MulConst"' in capsys.readouterr().err


def test_chains_of_constants_fold(graph: Any, same: Any) -> None:
    shape = graph.op(top.Shape, graph.input(2, 3, 4))
    half = graph.op(top.Mul, shape, graph.weight(0.5))
    last = graph.op(top.Slice, half, offset=(2,), steps=(1,), ends=(3,))
    module = graph.module(graph.op(top.Add, graph.input(5), last))
    assert same(graph, module, lambda m: FoldConstants().run(m)) == ["Add"]
    assert last.name in module.weights
    assert len(module.weights) == 1


def test_folding_does_not_explode_memory(graph: Any) -> None:
    wide = graph.op(top.Expand, graph.weight(1.0), shape=(1000,))
    module = graph.module(graph.op(top.Add, graph.input(1000), wide))
    assert not FoldConstants(limit_bytes=3999).run(module)
    assert FoldConstants(limit_bytes=4000).run(module)


def test_constants_that_do_not_fit_are_the_inputs_fault(graph: Any) -> None:
    picked = graph.op(top.Gather, graph.random(3), graph.weight([5.0]), axis=0)
    module = graph.module(graph.op(top.Add, graph.input(1), picked))
    with pytest.raises(InputError, match=rf"test: {picked.name} \(top\.Gather\) of constants cannot be computed"):
        FoldConstants().run(module)


def test_a_constant_output_stays_computed(graph: Any) -> None:
    module = graph.module(graph.op(top.Exp, graph.weight([1.0, 2.0])))
    assert not FoldConstants().run(module)


def test_dead_operations_and_weights_go_and_inputs_stay(graph: Any, same: Any) -> None:
    kept = graph.op(top.Relu, graph.input(2))
    graph.op(top.Add, graph.op(top.Exp, graph.input(2)), graph.weight([1.0, 2.0]))
    module = graph.module(kept)
    assert same(graph, module, lambda m: EliminateDead().run(m)) == ["Relu"]
    assert sum(op.opcode == "top.Input" for op in module.function.operations) == 2
    assert len(module.weights) == 0


def test_shapes_follow_the_input(graph: Any) -> None:
    x = graph.input(2, 3)
    y = graph.op(top.Relu, x)
    module = graph.module(y)
    x.type = TensorType((4, 3))
    assert InferShapes().run(module)
    assert y.shape == (4, 3)


def test_shapes_that_clash_are_reported_with_the_tensor(graph: Any) -> None:
    x = graph.input(2, 3)
    y = graph.op(top.Add, x, graph.input(2, 3))
    x.type = TensorType((2, 4))
    with pytest.raises(InputError, match=y.name):
        InferShapes().run(graph.module(y))


def _broken(graph: Any, fault: str) -> Module:
    x = graph.input(2, 3)
    w = graph.random(3)
    y = graph.op(top.Add, x, w)
    module: Module = graph.module(y)
    match fault:
        case "order":
            module.function.operations.reverse()
        case "name":
            y.name = "with space"
        case "type":
            y.type = TensorType((2, 3), ElementType.F16)
        case "shape":
            y.type = TensorType((2, 4))
        case "weight":
            del module.weights[w.name]
        case "use":
            x.uses[y.owner, 1] = None
        case "missing use":
            x.uses.clear()
        case "operand":
            graph.operations.append(top.Relu.create([], [("z", x.type)]))
            module.function.operations = graph.operations
        case "owner":
            y.owner = None
    return module


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("order", "not defined before"),
        ("name", "has spaces"),
        ("type", "should be 2x3xf32"),
        ("shape", "should be 2x3xf32"),
        ("weight", "array is missing"),
        ("use", "lists a use"),
        ("missing use", "does not list this use"),
        ("operand", "operand input is missing"),
        ("owner", "does not know its operation"),
    ],
)
def test_verification_finds(fault: str, message: str, graph: Any) -> None:
    with pytest.raises(InternalError, match=message):
        verify(_broken(graph, fault))


# Operations of a long chain: some go, some merge, some fuse.
_LINKS: tuple[tuple[type[Operation], dict[str, Any]], ...] = (
    (top.AddConst, {"const_val": 0.25}),
    (top.Relu, {}),
    (top.Reshape, {"shape": (4, 6)}),
    (top.Sigmoid, {}),
    (top.Reshape, {"shape": (2, 3, 4)}),
    (top.MulConst, {"const_val": 1.0}),
    (top.Permute, {"order": (0, 2, 1)}),
    (top.Permute, {"order": (0, 2, 1)}),
    (top.Tanh, {}),
    (top.MulConst, {"const_val": 0.5}),
)


def _chain(graph: Any, length: int) -> Module:
    value = graph.input(2, 3, 4)
    for index in range(length):
        cls, attributes = _LINKS[index % len(_LINKS)]
        value = graph.op(cls, value, **attributes)
    module: Module = graph.module(value)
    return module


def test_ten_thousand_operations_become_fewer(graph_class: Any) -> None:
    module = _chain(graph_class(), 10_000)
    run_pipeline("optimize", module)
    assert len(module.function.operations) < 6_100


def test_ten_thousand_operations_in_linear_time(graph_class: Any) -> None:
    assert_linear(lambda length: partial(run_pipeline, "optimize", _chain(graph_class(), length)), 10_000, limit=10)


def _taps(graph: Any, count: int) -> Module:
    """Additions of one weight, each with its own output."""
    value, shared = graph.input(2, 3), graph.random(2, 3)
    taps = [graph.op(top.Add, value, shared) for _ in range(count)]
    module: Module = graph.module(*(graph.op(top.Relu, tap) for tap in taps))
    return module


def test_a_weight_that_thousands_use(graph_class: Any) -> None:
    module = _taps(graph_class(), 5_000)
    run_pipeline("optimize", module)
    assert len(module.function.operations) == 5_002


def test_a_weight_that_thousands_use_in_linear_time(graph_class: Any) -> None:
    assert_linear(lambda count: partial(run_pipeline, "optimize", _taps(graph_class(), count)), 5_000, limit=10)


_UNARY: tuple[tuple[type[Operation], dict[str, Any]], ...] = (
    *_LINKS[:2],
    (top.Sigmoid, {}),
    (top.Tanh, {}),
    (top.Clip, {"min": -1.0, "max": 0.5}),
    (top.MulConst, {"const_val": -1.5}),
    (top.Reshape, {"shape": (4, 6)}),
    (top.Reshape, {"shape": (2, 3, 4)}),
    (top.Abs, {}),
    (top.MaxConst, {"const_val": 0.0}),
    (top.Flatten, {"start_dim": 0}),
    (top.SubConst, {"const_val": 0.5, "is_reverse": True}),
    (top.Softmax, {"axis": -1}),
    (top.Reduce, {"axes": (-1,), "keepdims": True, "mode": "ReduceMean"}),
)
_BINARY = (top.Add, top.Mul, top.Sub, top.Max)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(choices=st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99)), min_size=1, max_size=14))
def test_random_graphs_keep_their_values(choices: list[tuple[int, int, int]], graph_class: Any, same: Any) -> None:
    graph = graph_class()
    values: list[Value] = [graph.input(2, 3, 4), graph.random(3, 1), graph.weight(2.0)]
    for kind, first, second in choices:
        a, b = values[first % len(values)], values[second % len(values)]
        cls: type[Operation]
        cls, attributes = _UNARY[kind % len(_UNARY)]
        if kind >= 50:
            cls, attributes = _BINARY[kind % len(_BINARY)], {}
        operands = (a, b) if kind >= 50 else (a,)
        try:
            values.append(graph.op(cls, *operands, **attributes))
        except InputError:
            continue  # shapes that do not fit: such a graph is not built
    outputs = [v for v in values if not v.uses and v.owner is not None and v.owner.opcode not in ("top.Input", "top.Weight")]
    if not outputs:
        return
    module = graph.module(*outputs)
    with np.errstate(all="ignore"):
        same(graph, module, lambda m: run_pipeline("optimize", m), 1e-3)

"""What every Top operation promises, on random attributes and operands, and the evaluation of whole modules."""

from __future__ import annotations

import dataclasses
import math
import typing
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.ir.onnx_node import normal
from tpumlir_core.errors import InputError
from tpumlir_core.ir import Function, Module, Operation, TensorType, Value, WeightStore, registered_operations, top
from tpumlir_core.ir.evaluate import evaluate_module

OPERATIONS = {name: kind for name, kind in registered_operations().items() if name.startswith("top.")}
NUMBERS = {"i64": st.integers(-2, 5), "f64": st.floats(-2, 5, width=32), "bool": st.booleans(), "str": st.sampled_from(["", "INT8", "F16"])}
MODERATE = 100_000  # elements: no more than a test wants


def test_all_are_exported_and_tell_what_they_mean() -> None:
    assert sorted(f"top.{name}" for name in top.__all__) == sorted(OPERATIONS)
    for kind in OPERATIONS.values():
        assert kind.__doc__
        assert kind.infer is not Operation.infer
        assert kind.evaluate is not Operation.evaluate or kind is top.Weight


def strategy(hint: Any) -> st.SearchStrategy[Any]:
    """Values of an attribute type: hostile but small."""
    if hasattr(hint, "__metadata__"):
        inner, spelling = typing.get_args(hint)[0], hint.__metadata__[0]
        if spelling == "enum":
            return st.sampled_from(typing.get_args(inner))
        if spelling.endswith("[]"):
            number = NUMBERS["f64"] if spelling[0] == "f" else NUMBERS["i64"]
            return st.lists(number, max_size=6).map(tuple)
        return NUMBERS.get(spelling, NUMBERS["i64"])
    return st.one_of(st.none(), *(strategy(part) for part in typing.get_args(hint) if part is not type(None)))


SHAPES = st.lists(st.integers(1, 4), max_size=5).map(tuple)


@st.composite
def calls(draw: st.DrawFn, kind: type[Operation]) -> tuple[dict[str, Any], list[tuple[int, ...] | None]]:
    hints = typing.get_type_hints(kind, include_extras=True)
    fields: tuple[dataclasses.Field[Any], ...] = dataclasses.fields(kind)  # type: ignore[arg-type]
    required = [f.name for f in fields if f.default is dataclasses.MISSING]
    others = [f.name for f in fields if f.default is not dataclasses.MISSING]
    chosen = required + draw(st.lists(st.sampled_from(others), unique=True, max_size=3) if others else st.just([]))
    attributes = {name: draw(strategy(hints[name])) for name in chosen}
    specs = kind.operand_specs
    variadic = any(spec.variadic for spec in specs)
    first = draw(SHAPES)
    near = st.one_of(st.just(first), SHAPES, st.just(first[-1:]), st.just(first[1:2]))
    shapes: list[tuple[int, ...] | None] = [first, *(draw(near) for _ in range(draw(st.integers(0, 2)) if variadic else len(specs) - 1))]
    return attributes, [None if i < len(specs) and specs[i].optional and draw(st.booleans()) else s for i, s in enumerate(shapes)]


def accepted(operation: Operation, types: list[TensorType | None]) -> list[TensorType] | None:
    """The inferred types, or None where the operation names itself in its refusal. Nothing else may be raised."""
    try:
        return operation.infer(types)
    except InputError as error:
        if str(error).startswith(f"{operation.opcode}: "):
            return None
        raise


@pytest.mark.parametrize("opcode", [name for name in OPERATIONS if name not in ("top.Weight", "top.Input")])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_types_and_values_agree_or_the_input_is_rejected(opcode: str, data: st.DataObject) -> None:
    kind = OPERATIONS[opcode]
    attributes, shapes = data.draw(calls(kind))
    types = [None if shape is None else TensorType(shape) for shape in shapes]
    operation = kind(**attributes)
    inferred = accepted(operation, types)
    if inferred is None or sum(math.prod(t.shape) for t in inferred) > MODERATE:
        return
    operands = [None if t is None else Value(f"x{i}", t) for i, t in enumerate(types)]
    created = kind.create(operands, [(f"y{i}", t) for i, t in enumerate(inferred)], **attributes)
    inputs = [None if shape is None else np.zeros(shape, np.float32) for shape in shapes]
    try:
        results = created.evaluate(inputs)
    except InputError:
        return
    assert [r.shape for r in results] == [t.shape for t in inferred]
    assert all(r.dtype == np.float32 for r in results)
    assert all(isinstance(r, np.ndarray) for r in results)
    assert created.flops() >= 0


def small_module() -> Module:
    weights = WeightStore()
    weights["w"] = lambda: normal(2, 5, 4)
    source = top.Input.create([], [("x", TensorType((3, 5)))])
    weight = top.Weight.create([], [("w", TensorType((5, 4)))])
    product = top.MatMul.create([source.output, weight.output, None], ["p"])
    parts = top.Split.create([product.output], ["a", "b"], axis=1, num=2)
    total = top.Add.create(parts.results, ["s"])
    return Module("small", Function("main", [source, weight, product, parts, total], [total.output]), weights)


def test_flops_are_counted_as_the_reference_counts_them() -> None:
    """Numbers that tpu-mlir 1.30.2 gives for the same one-operation modules (module.FLOPs of its shape inference)."""
    image, window = (2, 6, 5, 7), {"kernel_shape": [3, 3], "pads": [1] * 4}
    counted: list[tuple[int, type[Operation], list[tuple[int, ...]], dict[str, Any]]] = [
        (18480, top.Conv, [image, (4, 6, 3, 3), (4,)], {**window, "strides": [2, 1], "do_relu": True}),
        (30660, top.Deconv, [image, (4, 6, 3, 3), (4,)], {**window, "strides": [2, 2]}),
        (840, top.AddConst, [image], {"const_val": 0.5, "do_relu": True}),
        (5040, top.GroupNorm, [image, (6,), (6,)], {"num_groups": 3, "eps": 1e-3}),
        (350, top.CumSum, [image], {"axis": 1}),
        (70, top.Reduce, [image], {"axes": [1], "keepdims": False, "mode": "ReduceL2"}),
        (648, top.AdaptiveAvgPool, [image], {"output_size": (2, 3)}),
        (2520, top.Softmax, [image], {"axis": 1, "log": True}),
    ]
    for flops, kind, shapes, attributes in counted:
        operation = kind.create([Value(f"x{i}", TensorType(s)) for i, s in enumerate(shapes)], ["y"], **attributes)
        assert operation.flops() == flops, kind.__name__


def test_every_value_of_a_module_by_name() -> None:
    x = normal(1, 3, 5)
    found = evaluate_module(small_module(), {"x": x})
    product = x @ normal(2, 5, 4)
    assert sorted(found) == ["a", "b", "p", "s", "w", "x"]
    np.testing.assert_allclose(found["s"], product[:, :2] + product[:, 2:], rtol=1e-5, atol=1e-6)


def test_a_missing_input_and_a_wrong_shape_are_named() -> None:
    with pytest.raises(InputError, match="small: input x is not given; given are y"):
        evaluate_module(small_module(), {"y": normal(1, 3, 5)})
    with pytest.raises(InputError, match=r"small: x has the shape \(3, 4\)"):
        evaluate_module(small_module(), {"x": normal(1, 3, 4)})


def test_a_weight_that_is_missing_or_of_another_size_is_named() -> None:
    module = small_module()
    module.weights["w"] = normal(1, 5, 3)
    with pytest.raises(InputError, match="small: weight w has 15 elements"):
        evaluate_module(module, {"x": normal(1, 3, 5)})
    del module.weights["w"]
    with pytest.raises(InputError, match="small: weight w has no array"):
        evaluate_module(module, {"x": normal(1, 3, 5)})


def test_a_long_chain_needs_no_recursion() -> None:
    source = top.Input.create([], [("x", TensorType((1,)))])
    chain: list[Operation] = [source]
    for i in range(10_000):
        chain.append(top.AddConst.create([chain[-1].output], [f"v{i}"], const_val=1.0))
    module = Module("chain", Function("main", chain, [chain[-1].output]), WeightStore())
    assert evaluate_module(module, {"x": np.zeros(1, np.float32)})["v9999"].tolist() == [10_000]

"""Every decomposition against the reference semantics of the operation that it replaces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tpumlir_core.ir import ElementType, Operation, TensorType, Value, registered_operations, top
from tpumlir_core.passes import decompose, run_pipeline
from tpumlir_core.passes.decomposition import DECOMPOSITIONS

# What the poorest target of these tests has.
_SIMPLE = {
    f"top.{name}"
    for name in (
        "Input",
        "Weight",
        "Exp",
        "Log",
        "Sqrt",
        "Floor",
        "Sin",
        "Cos",
        "Slice",
        "Concat",
        "Reshape",
        "Permute",
        "AddConst",
        "MulConst",
        "MaxConst",
        "MinConst",
    )
}


def scattered(g: Any, shape: tuple[int, ...], box: Any) -> Value:
    """An assignment to a part of a tensor, as exporters write it: the indices of every place along the axes that it names."""
    depth = len(box) if isinstance(box, tuple) else 1
    places = np.stack(np.meshgrid(*(np.arange(n) for n in shape[:depth]), indexing="ij"), -1)[box]
    return g.op(top.ScatterND, g.input(*shape), g.weight(places), g.input(*places.shape[:-1], *shape[depth:]))


def poor(op: Operation) -> bool:
    """A target with few kernels, none of which clamps."""
    if getattr(op, "do_relu", False):
        return False
    match op:
        case top.Add() | top.Mul() | top.Max() | top.Min():
            return len(op.operands) == 2 and getattr(op, "coeff", None) is None and narrow(op)
        case top.Gather():
            indices = op.operands[1]
            return op.keepdims and indices is not None and isinstance(indices.owner, top.Weight)
        case top.Pad():
            return len(op.output.shape) <= 3
        case top.Cast():
            return not op.input.type.element.is_float
        case top.Relu():
            return op.relu_limit <= 0
        case top.Reciprocal():
            return op.const_val == 1
        case top.Compare():
            return op.mode in ("Greater", "Equal") and (
                len({v.shape for v in op.operands if v is not None}) == 1 or len(op.output.shape) <= 4
            )
        case top.CompareConst(mode="Greater" | "Equal", inversed=False):
            return True
        case top.CompareConst(mode="Less", inversed=False):
            return True
        case top.Conv() | top.Deconv() | top.AvgPool() | top.MaxPool():
            return len(op.kernel_shape) == 2 and op.input.type.elements > 0 and getattr(op, "keepdims", True) and not auto(op)
        case top.MatMul():
            return (
                op.keep_dims
                and not op.left_transpose
                and not op.right_transpose
                and min(len(v.shape) for v in op.operands[:2] if v is not None) > 1
            )
        case top.Reduce():
            return len(op.input.shape) == 2 and op.axes == (1,) and op.keepdims and op.mode == "ReduceMax"
        case _:
            return op.opcode in _SIMPLE


def narrow(op: Operation) -> bool:
    """Broadcasts over no more than four axes."""
    return len({v.shape for v in op.operands if v is not None}) == 1 or len(op.output.shape) <= 4


def auto(op: Operation) -> bool:
    return getattr(op, "auto_pad", None) not in (None, "NOTSET")


Case = tuple[str, Callable[[Any], Value], float]


def unary(cls: type[Operation], low: float = -3.0, high: float = 3.0, **attributes: Any) -> Case:
    return cls.opcode, lambda g: g.op(cls, g.input(2, 5, 3, low=low, high=high), **attributes), 2e-5


def binary(cls: type[Operation], **attributes: Any) -> Case:
    return cls.opcode, lambda g: g.op(cls, g.input(2, 3, 4), g.input(3, 1), **attributes), 2e-5


def truth(g: Any) -> Value:
    value: Value = g.op(top.CompareConst, g.input(2, 3, 4), mode="Greater", const_val=0.0, inversed=False)
    return value


def norm(cls: type[Operation], *factors: int, shape: tuple[int, ...] = (2, 6, 3, 5), **attributes: Any) -> Case:
    return cls.opcode, lambda g: g.op(cls, g.input(*shape), *(g.random(n) for n in factors), **attributes), 5e-5


def channelwise(count: int) -> tuple[int, ...]:
    return (6,) * count


def _wide(cls: type[Operation], **attributes: Any) -> Case:
    return f"{cls.opcode} wide", lambda g: g.op(cls, g.input(2, 3, 2, 3, 2), g.input(3, 1, 3, 1), **attributes), 1e-6


def _lookup(shape: tuple[int, ...], axis: int, **attributes: Any) -> Case:
    def build(g: Any) -> Value:
        name = f"x{len(g.inputs)}"
        g.inputs[name] = g.rng.integers(-shape[axis], shape[axis], (2, 3)).astype(np.int32)
        indices = g._add(top.Input.create([], [(name, TensorType(g.inputs[name].shape, ElementType.SI32))]))
        value: Value = g.op(top.Gather, g.random(*shape), indices, axis=axis, **attributes)
        return value

    return "top.Gather", build, 1e-6


CASES: list[Case] = [
    *(_wide(cls) for cls in (top.Add, top.Sub, top.Max)),
    _wide(top.Compare, mode="Greater"),
    *(_lookup(shape, axis) for shape, axis in (((5, 4), 0), ((2, 5, 3), 1), ((4, 3), -1))),
    *(
        (f"top.Pad {mode}", lambda g, mode=mode: g.op(top.Pad, g.input(2, 3, 4, 3), paddings=(0, 1, 2, 0, 1, 0, 1, 2), mode=mode), 0.0)
        for mode in ("constant", "reflect", "symmetric", "edge")
    ),
    unary(top.Relu, relu_limit=1.5),
    unary(top.LeakyRelu, alpha=0.1),
    unary(top.Elu, alpha=0.7),
    unary(top.Sigmoid),
    unary(top.Sigmoid, log=True),
    unary(top.Sigmoid, scale=2.0, bias=-1.0),
    unary(top.HardSigmoid, alpha=0.2, beta=0.4),
    unary(top.HardSwish, -5, 5),
    unary(top.SiLU),
    unary(top.Swish, beta=1.3),
    unary(top.Softplus, -30, 30),
    unary(top.Softsign),
    unary(top.Mish),
    unary(top.Tanh, -9, 9),
    unary(top.GELU),
    unary(top.GELU, approx_mode="tanh"),
    unary(top.GELU, approx_mode="sigm"),
    unary(top.Erf),
    unary(top.Abs),
    unary(top.Sign),
    unary(top.Rsqrt, 0.1, 4),
    unary(top.LogB, 0.1, 4, base=10),
    unary(top.Ceil),
    unary(top.Tan, -1, 1),
    unary(top.Sinh),
    unary(top.Cosh),
    unary(top.Arctanh, -0.9, 0.9),
    unary(top.Pow2, const_val=3.0),
    *(unary(top.Pow, 0.2, 2, exponent=e) for e in (1.0, 2.0, 3.0, 6.0, 0.5, 2.5, -2.0, -0.5, 1.3)),
    unary(top.Pow, -2, 2, exponent=3.0),
    unary(top.Clip, min=-0.5, max=1.0),
    unary(top.SubConst, const_val=1.0),
    unary(top.SubConst, const_val=1.0, is_reverse=True),
    unary(top.DivConst, const_val=3.0),
    unary(top.DivConst, 0.5, 2, const_val=3.0, is_reverse=True),
    unary(top.Reciprocal, 0.5, 2, const_val=2.0),
    unary(top.AddConst, const_val=0.5, do_relu=True, relu_limit=1.0),
    ("top.PRelu", lambda g: g.op(top.PRelu, g.input(2, 5, 3), g.random(5, 1)), 1e-6),
    binary(top.Sub),
    binary(top.Sub, is_reverse=True, coeff=(2.0, 3.0)),
    binary(top.Add, coeff=(2.0, -1.0)),
    binary(top.Add, do_relu=True),
    ("top.Max", lambda g: g.op(top.Max, g.input(2, 3), g.input(3), g.input(2, 1), g.input(1)), 0),
    ("top.Div", lambda g: g.op(top.Div, g.input(2, 3), g.input(3, low=1, high=2)), 1e-5),
    ("top.Mod", lambda g: g.op(top.Mod, g.input(2, 3, low=-9, high=9), g.input(3, low=1, high=2)), 1e-5),
    ("top.Remainder", lambda g: g.op(top.Remainder, g.input(2, 3, low=-9, high=9), g.input(3, low=-2, high=-1)), 1e-5),
    *(binary(top.Compare, mode=m) for m in ("GreaterOrEqual", "Less", "LessOrEqual", "NotEqual")),
    *((f"top.Compare {m}", lambda g, m=m: g.op(top.Compare, truth(g), truth(g), mode=m), 0.0) for m in ("And", "Xor", "Not")),
    *(
        unary(top.CompareConst, mode=m, const_val=0.3, inversed=i)
        for m in ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "NotEqual", "Not")
        for i in (False, True)
        if i or m not in ("Equal", "Greater", "Less")
    ),
    ("top.LogicalAnd", lambda g: g.op(top.LogicalAnd, truth(g), truth(g)), 0),
    ("top.Where", lambda g: g.op(top.Where, truth(g), g.input(3, 1), g.input(2, 1, 4)), 0),
    ("top.Where const", lambda g: g.op(top.Where, truth(g), None, g.input(4), x_is_const=True, x_const_val=-1e4), 0),
    *(
        (f"top.MaskedFill {i}", lambda g, i=i: g.op(top.MaskedFill, truth(g), g.input(3, 1), inversed=i, const_val=7.0), 0)
        for i in (False, True)
    ),
    *(norm(top.Scale, 6, 6, shape=s) for s in ((2, 6, 3, 5), (2, 6))),
    ("top.BatchNorm", lambda g: g.op(top.BatchNorm, g.input(2, 3, 4), g.input(3), g.input(3, low=0.5, high=1), g.random(3), None), 1e-5),
    norm(top.LayerNorm, 15, 15, normalized_shape=(3, 5), axis=2, eps=1e-5),
    norm(top.LayerNorm, normalized_shape=(5,), axis=-1, eps=1e-5),
    norm(top.InstanceNorm, 6, 6, eps=1e-5),
    norm(top.InstanceNorm, eps=1e-5),
    norm(top.GroupNorm, 6, 6, num_groups=3, eps=1e-5),
    norm(top.GroupNorm, 6, num_groups=2, eps=1e-5),
    norm(top.PixelNorm, 6, 6, eps=1e-5),
    norm(top.RMSNorm, 5, eps=1e-5),
    norm(top.RMSNorm, eps=1e-5),
    norm(top.LRN, size=3, alpha=0.3, beta=0.75),
    norm(top.LRN, size=4, alpha=0.3, beta=0.5, bias=2.0),
    norm(top.Normalize, 6, channel_shared=False),
    norm(top.Normalize, 1, across_spatial=True),
    *(norm(top.Softmax, axis=a) for a in (0, 1, -1)),
    norm(top.Softmax, axis=2, log=True, beta=0.5),
    norm(top.Variance, reduce_list=(1, -1), correction=1.0),
    norm(top.Variance, reduce_list=(), correction=0.0, keep_dims=True),
    *(
        norm(top.Reduce, shape=(3, 4, 7), axes=axes, keepdims=k, mode=m)
        for m in ("ReduceMin", "ReduceMax", "ReduceMean", "ReduceL2", "ReduceL1", "ReduceSum", "ReduceProd")
        for axes, k in (((0,), True), ((1, 2), False), ((), False))
    ),
    ("top.Split", lambda g: g.op(top.Split, g.input(2, 7), results=3, axis=1, num=3, split_size=(2, 4, 1)), 0),
    ("top.Pack", lambda g: g.op(top.Pack, g.input(2, 3), g.input(2, 3), axis=1, values_count=2), 0),
    *((f"top.ScatterND {box}", lambda g, box=box: scattered(g, (3, 4, 5), box), 0) for box in (
        np.s_[1:2], np.s_[:, 1:3], np.s_[1:3, :, 2:5], np.s_[:, :, 0:1], np.s_[0:2, 1:2, 4:5], np.s_[:, :], np.s_[::2], np.s_[::-1, 3:1:-1],
    )),
    ("top.ScatterND twice", lambda g: g.op(top.ScatterND, g.input(4, 3), g.weight(np.array([[2], [-4], [2]])), g.input(3, 3)), 0),
    *(("top.GatherElements", lambda g, axis=axis: g.op(top.GatherElements, g.input(3, 4, 5), g.weight(
        np.random.default_rng(0).integers(-3, 3, (3, 2, 4))), axis=axis), 0) for axis in (0, 1, -1)),
    *(("top.GatherND", lambda g, d=depth, b=batch: g.op(top.GatherND, g.input(3, 4, 5, 3), g.weight(
        np.random.default_rng(0).integers(-3, 3, (3, 4, 2, d) if b else (6, d))), batch_dims=b), 0)
        for depth, batch in ((1, 0), (2, 0), (4, 0), (1, 1), (2, 2))),
    ("top.ScatterElements", lambda g: g.op(top.ScatterElements, g.input(4, 5), g.weight(
        np.array([[0, -1, 2], [3, 3, 1]])), g.input(2, 3), axis=0), 0),
    ("top.Unpack", lambda g: g.op(top.Unpack, g.input(2, 3), results=3, axis=1), 0),
    ("top.ShuffleChannel", lambda g: g.op(top.ShuffleChannel, g.input(2, 6, 3, 4), group=3), 0),
    ("top.SwapChannel", lambda g: g.op(top.SwapChannel, g.input(2, 3, 2, 2), channel_order=(2, 1, 0)), 0),
    ("top.SwapDimInner", lambda g: g.op(top.SwapDimInner, g.input(2, 5, 3), offset=(0, 2, 1)), 0),
    ("top.Reverse", lambda g: g.op(top.Reverse, g.input(2, 5, 3), axis=1), 0),
    *(
        (
            f"top.Depth2Space {crd}{inv}",
            lambda g, crd=crd, inv=inv: g.op(top.Depth2Space, g.input(2, 12, 4, 6), block_h=2, block_w=3, is_CRD=crd, is_inversed=inv),
            0,
        )
        for crd in (False, True)
        for inv in (False, True)
    ),
    ("top.Upsample", lambda g: g.op(top.Upsample, g.input(2, 3, 4, 5), scale_h=2, scale_w=3), 0),
    ("top.Expand", lambda g: g.op(top.Expand, g.input(3, 1), shape=(2, 3, 4)), 0),
    ("top.Tile", lambda g: g.op(top.Tile, g.input(3, 2), tile=(2, 1, 3)), 0),
    *((f"top.Trilu {u}", lambda g, u=u: g.op(top.Trilu, g.input(2, 4, 5), upper=u, diagonal=1), 0) for u in (0, 1)),
    ("top.Transpose", lambda g: g.op(top.Transpose, g.input(2, 4, 5), dim0=0, dim1=-1), 0),
    *((f"top.CumSum {a}", lambda g, a=a: g.op(top.CumSum, g.input(3, 4, 5), axis=a), 1e-5) for a in (0, 2)),
    *(
        (
            f"top.Interp {mode} {coord}",
            lambda g, mode=mode, coord=coord: g.op(top.Interp, g.input(2, 3, 4, 5), mode=mode, coord_mode=coord, scale_h=2.0, scale_w=1.5),
            1e-5,
        )
        for mode in ("nearest", "linear")
        for coord in ("align_corners", "half_pixel", "pytorch_half_pixel", "asymmetric")
    ),
    ("top.AdaptiveAvgPool", lambda g: g.op(top.AdaptiveAvgPool, g.input(2, 3, 5, 7), output_size=(2, 3)), 1e-5),
    ("top.Flatten", lambda g: g.op(top.Flatten, g.input(2, 3, 4), start_dim=1), 0),
    ("top.Squeeze", lambda g: g.op(top.Squeeze, g.input(2, 1, 4), axes=(1,)), 0),
    ("top.Unsqueeze", lambda g: g.op(top.Unsqueeze, g.input(2, 4), axes=(0, 2)), 0),
    (
        "top.Conv",
        lambda g: g.op(
            top.Conv,
            g.input(2, 4, 9),
            g.random(6, 2, 3),
            g.random(6),
            kernel_shape=(3,),
            strides=(2,),
            pads=(1, 2),
            group=2,
            dilations=(2,),
            do_relu=True,
        ),
        1e-5,
    ),
    (
        "top.Deconv",
        lambda g: g.op(
            top.Deconv,
            g.input(2, 4, 9),
            g.random(3, 4, 3),
            g.random(6),
            kernel_shape=(3,),
            strides=(2,),
            pads=(1, 0),
            group=2,
            output_padding=(1,),
        ),
        1e-5,
    ),
    ("top.MaxPool", lambda g: g.op(top.MaxPool, g.input(2, 4, 9), kernel_shape=(3,), strides=(2,), pads=(1, 0), do_relu=True), 0),
    (
        "top.AvgPool",
        lambda g: g.op(top.AvgPool, g.input(2, 4, 9, 7), kernel_shape=(3, 2), strides=(2, 2), pads=(0, 0, 0, 0), auto_pad="SAME_UPPER"),
        1e-6,
    ),
    ("top.AvgPool all", lambda g: g.op(top.AvgPool, g.input(2, 4, 9, 7), kernel_shape=(), strides=(), pads=(), keepdims=False), 1e-6),
    (
        "top.MatMul",
        lambda g: g.op(
            top.MatMul, g.input(2, 4, 3), g.random(5, 4), g.random(5), left_transpose=True, right_transpose=True, keep_dims=False
        ),
        1e-5,
    ),
    ("top.MatMul vector", lambda g: g.op(top.MatMul, g.input(4), g.random(3, 4, 5), g.random(5), do_relu=True), 1e-5),
    ("top.MatMul column", lambda g: g.op(top.MatMul, g.input(3, 4), g.input(4)), 1e-5),
]


@pytest.mark.parametrize(("opcode", "build", "tolerance"), CASES, ids=[f"{i}-{case[0]}" for i, case in enumerate(CASES)])
def test_decomposition(opcode: str, build: Callable[[Any], Value], tolerance: float, graph: Any, same: Any) -> None:
    value = build(graph)
    op = value.owner
    assert op is not None
    module = graph.module(*op.results)
    assert not poor(op)
    left = same(graph, module, lambda m: decompose(m, poor), max(tolerance, 1e-6))
    refused = [o for o in module.function.operations if not poor(o)]
    assert not refused, left


def test_every_decomposition_has_a_case() -> None:
    # Fallbacks for targets even poorer than the one above are tested below.
    fallbacks = {"top.MulConst", "top.MaxConst", "top.MinConst", "top.Min", "top.Mul"}
    assert set(DECOMPOSITIONS) - fallbacks == {opcode.split()[0] for opcode, _, _ in CASES}
    assert set(DECOMPOSITIONS) <= set(registered_operations())


@pytest.mark.parametrize("cls", [top.AddConst, top.MulConst, top.MaxConst, top.MinConst])
def test_constants_become_weights_where_constants_are_not_supported(cls: type[Operation], graph: Any, same: Any) -> None:
    module = graph.module(graph.op(cls, graph.input(2, 3), const_val=0.25))
    assert same(graph, module, lambda m: decompose(m, lambda op: op.opcode != cls.opcode)) == [cls.__name__.removesuffix("Const")]


def test_supported_operations_stay(graph: Any) -> None:
    module = graph.module(graph.op(top.GELU, graph.op(top.SiLU, graph.input(2, 3))))
    assert not run_pipeline("prepare", module)


def test_operations_without_kernel_and_decomposition_stay_for_the_report(graph: Any) -> None:
    module = graph.module(graph.op(top.Arccos, graph.input(2, 3, low=-1, high=1)))
    assert not decompose(module, poor)


def test_a_sum_along_a_long_axis_makes_no_matrix(graph: Any) -> None:
    module = graph.module(graph.op(top.CumSum, graph.input(2, 100_000), axis=1))
    assert not decompose(module, poor)


def test_division_and_reciprocal_do_not_undo_each_other(graph: Any) -> None:
    module = graph.module(graph.op(top.Div, graph.input(2, 3), graph.input(2, 3)))
    decompose(module, lambda op: op.opcode not in ("top.Div", "top.Reciprocal"))
    assert any(op.opcode == "top.Div" for op in module.function.operations)


def test_integers_are_cast_where_they_are_computed_with(graph: Any, same: Any) -> None:
    graph.inputs["ids"] = np.array([1, 2, 0], np.int32)
    ids = graph._add(top.Input.create([], [("ids", TensorType((3,), ElementType.SI32))]))
    graph.weights["table"] = np.array([5, 6, 7], np.int32)
    table = graph._add(top.Weight.create([], [("table", TensorType((3,), ElementType.SI32))]))
    row = graph.op(top.Reshape, ids, shape=(1, 3))
    total = graph.op(top.Add, graph.op(top.Mul, row, table), graph.op(top.Exp, row))
    picked = graph.op(top.Gather, graph.input(4, 2), ids)
    module = graph.module(total, picked, row)
    found = same(graph, module, lambda m: decompose(m, lambda op: True))
    assert sorted(found) == sorted(["Reshape", "Cast", "Mul", "Exp", "Add", "Gather"])
    multiplied = next(op for op in module.function.operations if isinstance(op, top.Mul))
    assert [v.type.element for v in multiplied.operands if v is not None] == [ElementType.F32] * 2

"""One-operation samples of the Top dialect, as generated data: operand shapes, values and attributes for every operation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tpumlir_core.ir import Array, Function, Module, Operation, TensorType, Value, WeightStore, operation_class, top

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Operand:
    """An operand: its shape, the range that its values are drawn from, and whether it is a weight instead of an input."""

    shape: Shape
    low: float = -3.0
    high: float = 3.0
    weight: bool = False
    values: tuple[float, ...] = ()
    """The values themselves, instead of drawn ones."""

    def draw(self, random: np.random.Generator) -> Array:
        if self.values:
            return np.asarray(self.values, np.float32).reshape(self.shape)
        return random.uniform(self.low, self.high, self.shape).astype(np.float32)


@dataclass(frozen=True)
class Case:
    """One operation on operands; ``opcode`` is without its dialect. ``kind``: its class, where it is none of the Top dialect."""

    opcode: str
    operands: tuple[Operand | None, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    results: int = 1
    kind: type[Operation] | None = None

    def __str__(self) -> str:
        shapes = ", ".join("x".join(map(str, operand.shape)) if operand else "none" for operand in self.operands)
        attributes = ", ".join(f"{name}={value}" for name, value in self.attributes.items())
        return f"{self.opcode}({shapes}{'; ' if attributes else ''}{attributes})"


@dataclass(frozen=True)
class Batch:
    """Several cases side by side in one network: output ``i.0`` is the first result of case ``i``."""

    module: Module
    inputs: Mapping[str, Array]


def batch(cases: Sequence[Case], seed: int = 0) -> Batch:
    """The network of some cases and seeded inputs for it."""
    random = np.random.default_rng(seed)
    weights = WeightStore()
    inputs: dict[str, Array] = {}
    operations: list[Operation] = []
    outputs: list[Value] = []
    for number, case in enumerate(cases):
        operands: list[Value | None] = []
        for position, operand in enumerate(case.operands):
            if operand is None:
                operands.append(None)
                continue
            name, array = f"{number}.operand{position}", operand.draw(random)
            (weights if operand.weight else inputs)[name] = array
            kind = top.Weight if operand.weight else top.Input
            operations.append(kind.create([], [(name, TensorType(operand.shape))]))
            operands.append(operations[-1].output)
        cls = case.kind or operation_class(f"top.{case.opcode}")
        if cls is None:
            raise LookupError(f"top.{case.opcode} is not declared")
        operations.append(cls.create(operands, [f"{number}.{result}" for result in range(case.results)], **case.attributes))
        outputs += operations[-1].results
    return Batch(Module("cases", Function("main", operations, outputs), weights), inputs)


IMAGES: tuple[Shape, ...] = ((1, 3, 8, 8), (2, 67, 5, 3))
"""A plain shape, and an odd one: batch 2, more than 64 channels, odd sizes."""
TENSORS: tuple[Shape, ...] = (*IMAGES, (5, 7), (130,))
_WINDOW = {"kernel_shape": (3, 3), "strides": (2, 1), "pads": (1, 1, 1, 1)}
_EVERYWHERE = (
    "Abs", "Ceil", "Cos", "Erf", "Exp", "Floor", "GELU", "HardSwish", "Mish", "Relu", "Round", "SiLU", "Sigmoid", "Sign", "Sin", "Softplus",
    "Softsign", "Tanh",
)
_WITHIN: dict[str, tuple[float, float]] = {
    "Arccos": (-0.9, 0.9), "Arctanh": (-0.9, 0.9), "Cosh": (-2, 2), "Sinh": (-2, 2), "Tan": (-1, 1), "Log": (0.1, 5), "Sqrt": (0.1, 5),
    "Rsqrt": (0.1, 5), "Reciprocal": (0.5, 4),
}
_WITH_NUMBERS: dict[str, dict[str, Any]] = {
    "AddConst": {"const_val": 0.5}, "Clip": {"min": -1.0, "max": 2.0},
    "CompareConst": {"mode": "Greater", "const_val": 0.5, "inversed": False},
    "DivConst": {"const_val": 4.0}, "Elu": {"alpha": 0.7}, "HardSigmoid": {"alpha": 0.2, "beta": 0.5}, "LeakyRelu": {"alpha": 0.1},
    "MaxConst": {"const_val": 0.25}, "MinConst": {"const_val": 0.25}, "MulConst": {"const_val": -1.5}, "Pow2": {"const_val": 2.0},
    "SubConst": {"const_val": 0.5}, "Swish": {"beta": 1.25},
}
_POSITIVE_WITH_NUMBERS: dict[str, dict[str, Any]] = {"LogB": {"base": 2.0}, "Pow": {"exponent": 1.5}}
_OF_TWO = ("Add", "Max", "Min", "Mul", "Sub", "LogicalAnd")
_OF_TWO_POSITIVE = ("Div", "Mod", "Pow3", "Remainder")


def cases(opcode: str) -> list[Case]:
    """The samples of an operation; none for one that is not in the table."""
    return [case for case in _all() if case.opcode == opcode]


def sampled_operations() -> list[str]:
    """Every operation that has samples, sorted."""
    return sorted({case.opcode for case in _all()})


def _all() -> list[Case]:
    return [*_elementwise(), *_binary(), *_linear(), *_windows(), *_normalizations(), *_movements(), *_reductions(), *_choices()]


def _elementwise() -> list[Case]:
    found = [Case(name, (Operand(shape),)) for name in _EVERYWHERE for shape in TENSORS]
    found += [Case(name, (Operand(shape, low, high),)) for name, (low, high) in _WITHIN.items() for shape in TENSORS]
    found += [Case(name, (Operand(shape),), numbers) for name, numbers in _WITH_NUMBERS.items() for shape in TENSORS]
    found += [Case(name, (Operand(shape, 0.2, 4),), numbers) for name, numbers in _POSITIVE_WITH_NUMBERS.items() for shape in TENSORS]
    found += [Case("Cast", (Operand(shape),)) for shape in IMAGES]
    return found + [Case("PRelu", (Operand(s), Operand((1, s[1], 1, 1), 0, 1, weight=True))) for s in IMAGES]


def _binary() -> list[Case]:
    pairs = [(s, s) for s in TENSORS] + [((2, 67, 5, 3), (1, 67, 1, 1)), ((4, 6), (6,)), ((2, 1, 5, 3), (1, 7, 5, 1))]
    found = [Case(name, (Operand(a), Operand(b))) for name in _OF_TWO for a, b in pairs]
    found += [Case(name, (Operand(a, 0.5, 4), Operand(b, 0.5, 4))) for name in _OF_TWO_POSITIVE for a, b in pairs]
    modes = ("Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual", "NotEqual")
    return found + [Case("Compare", (Operand(a), Operand(b)), {"mode": mode}) for mode in modes for a, b in pairs[:2]]


def _linear() -> list[Case]:
    found = [
        Case("MatMul", (Operand((5, 7)), Operand((7, 9), weight=True), None)),
        Case("MatMul", (Operand((1, 70)), Operand((70, 33), weight=True), Operand((33,), weight=True))),
        Case("MatMul", (Operand((2, 3, 5, 7)), Operand((2, 3, 7, 4)), None)),
    ]
    for n, c, h, w in IMAGES:
        image, bias = Operand((n, c, h, w)), Operand((6,), weight=True)
        found.append(Case("Conv", (image, Operand((6, c, 3, 3), -1, 1, weight=True), bias), _WINDOW))
        found.append(Case("Conv", (image, Operand((c, 1, 3, 3), -1, 1, weight=True), None), {**_WINDOW, "group": c, "do_relu": True}))
        found.append(Case("Deconv", (image, Operand((6, c, 3, 3), -1, 1, weight=True), bias), _WINDOW))
    return found


def _windows() -> list[Case]:
    found = [Case(name, (Operand(shape),), _WINDOW) for name in ("AvgPool", "MaxPool") for shape in IMAGES]
    found += [Case("AdaptiveAvgPool", (Operand(shape),), {"output_size": (2, 3)}) for shape in IMAGES]
    found += [Case("Upsample", (Operand(shape),), {"scale_h": 2, "scale_w": 3}) for shape in IMAGES]
    scales = {"coord_mode": "asymmetric", "scale_h": 2.0, "scale_w": 2.0}
    found += [Case("Interp", (Operand(shape), None), {"mode": mode, **scales}) for mode in ("nearest", "linear") for shape in IMAGES]
    return found + [Case("LRN", (Operand(shape),), {"size": 3}) for shape in IMAGES]


def _normalizations() -> list[Case]:
    found = []
    for n, c, h, w in IMAGES:
        image, one, two = Operand((n, c, h, w)), Operand((c,), 0.5, 1.5, weight=True), Operand((c,), -1, 1, weight=True)
        wide = [Operand((w,), 0.5, 1.5, weight=True), Operand((w,), -1, 1, weight=True)]
        found += [
            Case("BatchNorm", (image, two, one, one, two)),
            Case("Scale", (image, one, two)),
            Case("InstanceNorm", (image, one, two), {"eps": 1e-3}),
            Case("GroupNorm", (image, one, two), {"num_groups": 1 if c % 3 else 3, "eps": 1e-3}),
            Case("LayerNorm", (image, *wide), {"normalized_shape": (w,), "axis": 3, "eps": 1e-3}),
            Case("PixelNorm", (image, one, two), {"eps": 1e-3}),
            Case("RMSNorm", (image, wide[0]), {"eps": 1e-3}),
            Case("Softmax", (image,), {"axis": 1}),
            Case("Softmax", (image,), {"axis": 3, "log": True}),
            Case("Normalize", (image, one), {"channel_shared": False}),
        ]
    return found


def _movements() -> list[Case]:
    found = []
    for n, c, h, w in IMAGES:
        image = Operand((n, c, h, w))
        table: list[tuple[str, dict[str, Any], int]] = [
            ("Permute", {"order": (0, 2, 3, 1)}, 1), ("Transpose", {"dim0": 1, "dim1": 2}, 1), ("Reshape", {"shape": (n, c * h, w)}, 1),
            ("Flatten", {"start_dim": 1}, 1), ("Unsqueeze", {"axes": (0,)}, 1), ("Reverse", {"axis": 1}, 1),
            ("Tile", {"tile": (1, 2, 1, 1)}, 1), ("Expand", {"shape": (2, n, c, h, w)}, 1),
            ("Slice", {"offset": (0, 1, 0, 0), "steps": (1, 1, 2, 1), "ends": (n, c, h, w)}, 1),
            ("Pad", {"paddings": (0, 0, 1, 2, 0, 0, 2, 1), "val": 0.5, "mode": "constant"}, 1),
            ("Trilu", {"upper": 1, "diagonal": 1}, 1), ("SwapDimInner", {"offset": (0, 1, 0, 0)}, 1), ("Unpack", {"axis": 0}, n),
            ("ShuffleChannel", {"group": c}, 1),
        ]
        found += [Case(name, (image,), attributes, results) for name, attributes, results in table]
        found.append(Case("Concat", (image, Operand((n, 2, h, w))), {"axis": 1}))
        found.append(Case("Pack", (image, image), {"axis": 0, "values_count": 2}))
    found.append(Case("Split", (Operand((2, 6, 3)),), {"axis": 1, "num": 2}, 2))
    found.append(Case("Squeeze", (Operand((2, 1, 3)),), {"axes": (1,)}))
    found.append(Case("SwapChannel", (Operand((1, 3, 4, 5)),), {"channel_order": (2, 0, 1)}))
    blocks = {"block_h": 2, "block_w": 2, "is_CRD": False, "is_inversed": False}
    found.append(Case("Depth2Space", (Operand((1, 8, 3, 5)),), blocks))
    strides = (24, 12, 4, 1)
    return found + [Case("Copy", (Operand((1, 2, 3, 4)),), {"shape": (1, 2, 3, 4), "input_stride": strides, "output_stride": strides})]


def _reductions() -> list[Case]:
    modes = ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2", "ReduceProd", "ReduceL1")
    keep = {"axes": (2, 3), "keepdims": True}
    found = [Case("Reduce", (Operand(shape),), {**keep, "mode": mode}) for mode in modes for shape in IMAGES]
    found += [Case("Arg", (Operand(s),), {"axis": 1, "keepdims": True, "mode": mode}, 2) for mode in ("ArgMax", "ArgMin") for s in IMAGES]
    found += [Case("CumSum", (Operand(shape), None), {"axis": 1}) for shape in IMAGES]
    found += [Case("TopK", (Operand((3, 9)), None), {"axis": 1, "K": 4}, 2)]
    return found + [Case("Variance", (Operand(shape),), {"reduce_list": (2, 3), "correction": 0.0}) for shape in IMAGES]


def _choices() -> list[Case]:
    found = []
    for shape in IMAGES:
        condition = Operand(shape, -1, 1)
        numbers = {"x_is_const": True, "y_is_const": True, "x_const_val": 1.5, "y_const_val": -2.0}
        mask = Operand(shape, values=tuple(float(i % 3 == 0) for i in range(int(np.prod(shape)))))
        found += [
            Case("Where", (mask, Operand(shape), Operand(shape))), Case("Where", (mask, None, None), numbers),
            Case("MaskedFill", (mask, condition), {"inversed": False, "const_val": 0.25}),
        ]
    rows = Operand((5, 7))
    found.append(Case("Gather", (rows, Operand((3,), weight=True, values=(4, 0, 2))), {"axis": 0}))
    found.append(Case("GatherElements", (rows, Operand((5, 2), weight=True, values=(0, 6, 1, 5, 2, 4, 3, 3, 4, 2))), {"axis": 1}))
    found.append(Case("GatherND", (rows, Operand((2, 2), weight=True, values=(0, 6, 4, 1)))))
    grid = {"mode": 0, "padding_mode": 0, "align_corners": False}
    found.append(Case("GridSampler", (Operand((1, 3, 4, 5)), Operand((1, 2, 3, 2), -1, 1)), grid))
    updates = (Operand((2, 7)), Operand((2, 1), weight=True, values=(1, 3)))
    found.append(Case("ScatterND", (rows, updates[1], updates[0])))
    places = Operand((1, 7), weight=True, values=(0, 1, 2, 3, 4, 0, 1))
    return found + [Case("ScatterElements", (rows, places, Operand((1, 7))), {"axis": 0})]

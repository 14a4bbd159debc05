"""Single TFLite operators over shapes, options and layouts: what the operator sweep runs.

A case of an image is there twice: as it comes, channels last, and behind a convolution, where the importer has channels first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tpumlir_core.ir import Array
from tpumlir_tflite.writing import ModelWriter


@dataclass(frozen=True)
class Fed:
    """An operand that is fed: its shape, its type, and numbers from ``low`` to ``high``."""

    shape: tuple[int, ...]
    type: str = "FLOAT32"
    low: float = -2.0
    high: float = 2.0

    def draw(self, random: np.random.Generator) -> Array:
        """Numbers for it."""
        if self.type == "FLOAT32":
            return random.uniform(self.low, self.high, self.shape).astype(np.float32)
        integers = random.integers(int(self.low), int(self.high), self.shape, endpoint=True)
        return integers.astype(bool if self.type == "BOOL" else np.int32)


Operand = Fed | Array


@dataclass(frozen=True)
class Case:
    """One operator: its operands (fed or constant), the types of its results, its options."""

    name: str
    operator: str
    operands: tuple[Operand, ...]
    results: tuple[str, ...] = ("FLOAT32",)
    options: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    behind: bool = False
    """Whether images come out of a convolution."""
    declared: tuple[int, ...] = (1,)
    """Shape of the results as the file has it, which few kernels look at."""

    def write(self) -> bytes:
        """The file of the network."""
        model, inputs, numbers = ModelWriter(), [], []
        for position, operand in enumerate(self.operands):
            if isinstance(operand, Fed):
                inputs.append(model.tensor(f"x{position}", operand.shape, operand.type))
                numbers.append(_convolved(model, inputs[-1], operand) if self.behind and _is_image(operand) else inputs[-1])
            else:
                numbers.append(model.constant(f"c{position}", operand))
        outputs = [model.tensor(f"y{i}", self.declared, kind) for i, kind in enumerate(self.results)]
        model.call(self.operator, numbers, outputs, self.options, **self.fields)
        return model.data(inputs, outputs)

    def feeds(self) -> dict[str, Array]:
        """The inputs by name."""
        random = np.random.default_rng(sum(self.name.encode()))
        return {f"x{i}": operand.draw(random) for i, operand in enumerate(self.operands) if isinstance(operand, Fed)}


def _is_image(operand: Operand) -> bool:
    return isinstance(operand, Fed) and len(operand.shape) == 4 and operand.type == "FLOAT32"


def _convolved(model: ModelWriter, x: int, operand: Fed) -> int:
    """The image through a convolution that leaves it as it is."""
    channels = operand.shape[3]
    weights = model.constant(f"identity{x}", np.eye(channels, dtype=np.float32).reshape(channels, 1, 1, channels))
    made = model.tensor(f"convolved{x}", operand.shape)
    bias = model.constant(f"zeros{x}", np.zeros(channels, np.float32))
    model.call("CONV_2D", [x, weights, bias], [made], "Conv2DOptions", StrideH=1, StrideW=1)
    return made


def cases() -> list[Case]:
    """All cases, each name once."""
    found: list[Case] = []
    for group in (_pointwise, _arithmetic, _logic, _convolutions, _pools, _linear, _movement, _slices, _reductions, _resizing):
        found += group()
    behind = [replace(case, name=f"{case.name} behind", behind=True) for case in found if any(map(_is_image, case.operands))]
    return found + behind


def _i32(*numbers: Any) -> Array:
    return np.array(numbers, np.int32)


def _f32(number: float) -> Array:
    return np.array(number, np.float32)


_random = np.random.default_rng


def _weights(*shape: int) -> Array:
    return _random(sum(shape)).normal(0, 0.5, shape).astype(np.float32)


FUSED = (1, 2, 3)
"""The activations that TFLite's kernels compute: RELU, RELU_N1_TO_1, RELU6. They leave out TANH, whatever the file says."""
IMAGES = ((1, 5, 7, 3), (2, 8, 6, 66), (1, 1, 1, 4))
SHAPES = (*IMAGES, (3, 5), (7,), (2, 3, 65), (1, 2, 3, 4, 5))


def _pointwise() -> list[Case]:
    positive = {"LOG", "SQRT", "RSQRT"}
    plain = (
        "ABS", "CEIL", "COS", "ELU", "EXP", "FLOOR", "HARD_SWISH", "LOG", "LOGISTIC", "LOG_SOFTMAX", "NEG", "RELU", "RELU6", "RELU_0_TO_1",
        "RELU_N1_TO_1", "ROUND", "RSQRT", "SIGN", "SIN", "SQRT", "SQUARE", "TANH",
    )
    found = []
    for name in plain:
        low, high = (0.1, 9.0) if name in positive else (-7.0, 8.0)
        found += [Case(f"{name} {shape}", name, (Fed(shape, low=low, high=high),)) for shape in SHAPES]
    for shape in SHAPES:
        found += [
            Case(f"LEAKY_RELU {shape}", "LEAKY_RELU", (Fed(shape),), options="LeakyReluOptions", fields={"Alpha": 0.3}),
            Case(f"GELU {shape}", "GELU", (Fed(shape),), options="GeluOptions", fields={"Approximate": False}),
            Case(f"GELU tanh {shape}", "GELU", (Fed(shape),), options="GeluOptions", fields={"Approximate": True}),
            Case(f"SOFTMAX {shape}", "SOFTMAX", (Fed(shape),), options="SoftmaxOptions", fields={"Beta": 1.0}),
        ]
    found.append(Case("SOFTMAX beta", "SOFTMAX", (Fed((3, 9)),), options="SoftmaxOptions", fields={"Beta": 0.5}))
    for shape, slope in (((1, 5, 7, 3), (1, 1, 3)), ((2, 4, 4, 70), (1, 1, 70)), ((1, 5, 7, 3), (5, 7, 3)), ((1, 5, 7, 3), (1, 1, 1))):
        found.append(Case(f"PRELU {shape} {slope}", "PRELU", (Fed(shape), _weights(*slope))))
    return found


BROADCASTS = (
    ((1, 5, 7, 3), (1, 5, 7, 3)), ((2, 4, 6, 66), (66,)), ((1, 5, 7, 3), (1, 1, 1, 3)), ((1, 5, 7, 3), (1, 5, 1, 1)),
    ((1, 5, 7, 3), (7, 3)), ((1, 5, 7, 3), ()), ((3, 65), (1, 65)), ((4,), (4,)), ((2, 3, 5), (3, 1)), ((2, 3, 4, 5), (1, 3, 4, 1)),
)


def _arithmetic() -> list[Case]:
    found = []
    with_options = {"ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions", "DIV": "DivOptions"}
    others = ("MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "POW", "FLOOR_DIV", "FLOOR_MOD")
    for name in (*with_options, *others):
        second = {"DIV": (0.5, 2.0), "POW": (-1.5, 1.5), "FLOOR_DIV": (0.7, 2.0), "FLOOR_MOD": (0.7, 2.0)}.get(name, (-2.0, 2.0))
        first = (0.2, 2.0) if name == "POW" else (-2.0, 2.0)
        for left, right in BROADCASTS:
            operands = Fed(left, low=first[0], high=first[1]), Fed(right, low=second[0], high=second[1])
            options = with_options.get(name, "")
            constant = operands[1].draw(_random(3))
            found.append(Case(f"{name} {left} {right}", name, operands, options=options))
            found.append(Case(f"{name} {left} constant {right}", name, (operands[0], constant), options=options))
            if second == (-2.0, 2.0):
                found.append(Case(f"{name} constant {right} {left}", name, (constant, operands[0]), options=options))
    for name, options in with_options.items():
        for activation in FUSED:
            operands = Fed((1, 5, 7, 3), low=-9, high=9), Fed((1, 5, 7, 3), low=0.5, high=9)
            fields = {"FusedActivationFunction": activation}
            found.append(Case(f"{name} fused {activation}", name, operands, options=options, fields=fields))
    integers = Fed((3, 5), "INT32", -20, 20), Fed((3, 5), "INT32", 1, 7)
    for name in ("ADD", "SUB", "MUL", "DIV", "FLOOR_DIV", "FLOOR_MOD", "MAXIMUM"):
        found.append(Case(f"{name} integers", name, integers, ("INT32",), with_options.get(name, "")))
    found.append(Case("ADD_N", "ADD_N", (Fed((2, 3, 4, 5)),) * 3))
    return found


def _logic() -> list[Case]:
    found = []
    for name in ("EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL"):
        for left, right in BROADCASTS:
            pair = Fed(left, "INT32", -2, 2), Fed(right, "INT32", -2, 2)
            found.append(Case(f"{name} {left} {right}", name, pair, ("BOOL",)))
            found.append(Case(f"{name} float {left} constant {right}", name, (Fed(left), Fed(right).draw(_random(5))), ("BOOL",)))
    booleans = Fed((2, 3, 4, 5), "BOOL", 0, 1)
    for name in ("LOGICAL_AND", "LOGICAL_OR"):
        found.append(Case(name, name, (booleans, booleans), ("BOOL",)))
    found.append(Case("LOGICAL_NOT", "LOGICAL_NOT", (booleans,), ("BOOL",)))
    for left in ((1, 5, 7, 3), (3, 5), (2, 3, 66)):
        condition = Fed(left, "BOOL", 0, 1)
        found.append(Case(f"SELECT {left}", "SELECT", (condition, Fed(left), Fed(left))))
        found.append(Case(f"SELECT rows {left}", "SELECT", (Fed(left[:1], "BOOL", 0, 1), Fed(left), Fed(left))))
        found.append(Case(f"SELECT_V2 {left}", "SELECT_V2", (condition, Fed(left), Fed(left))))
        found.append(Case(f"SELECT_V2 scalar {left}", "SELECT_V2", (condition, Fed(left), _f32(0.5))))
        found.append(Case(f"SELECT_V2 last {left}", "SELECT_V2", (Fed(left[-1:], "BOOL", 0, 1), Fed(left), Fed(left))))
    for axis in (-1, 0, 1):
        on, off = _f32(2), _f32(-1)
        for values in ((on, off), (_f32(1), _f32(0))):
            operands = Fed((3, 4), "INT32", -1, 6), _i32(6).reshape(()), *values
            found.append(Case(f"ONE_HOT {axis} {values[0]}", "ONE_HOT", operands, options="OneHotOptions", fields={"Axis": axis}))
    for given, wanted in (("FLOAT32", "INT32"), ("INT32", "FLOAT32"), ("FLOAT32", "BOOL"), ("BOOL", "FLOAT32"), ("INT32", "BOOL")):
        fed = Fed((2, 3, 5), given, 0 if given == "BOOL" else -3, 1 if given == "BOOL" else 3)
        found.append(Case(f"CAST {given} {wanted}", "CAST", (fed,), (wanted,), "CastOptions"))
    return found


WINDOWS: tuple[tuple[int, int, int, int, int, int], ...] = (
    (1, 1, 1, 1, 1, 1), (3, 3, 1, 1, 1, 1), (3, 3, 2, 2, 1, 1), (5, 3, 1, 2, 1, 1), (3, 3, 1, 1, 2, 3), (2, 2, 2, 2, 1, 1),
)


def _convolutions() -> list[Case]:
    found = []
    for kh, kw, sh, sw, dh, dw in WINDOWS:
        for padding in (0, 1):
            fields = {"Padding": padding, "StrideH": sh, "StrideW": sw, "DilationHFactor": dh, "DilationWFactor": dw}
            name, x = f"{kh}x{kw} {sh},{sw} {dh},{dw} {padding}", Fed((2, 9, 11, 6))
            bias = _weights(10)
            found += [
                Case(f"CONV_2D {name}", "CONV_2D", (x, _weights(10, kh, kw, 6), bias), options="Conv2DOptions", fields=fields),
                Case(f"CONV_2D groups {name}", "CONV_2D", (x, _weights(10, kh, kw, 3), bias), options="Conv2DOptions", fields=fields),
                Case(
                    f"DEPTHWISE_CONV_2D {name}", "DEPTHWISE_CONV_2D", (x, _weights(1, kh, kw, 6), _weights(6)),
                    options="DepthwiseConv2DOptions", fields={**fields, "DepthMultiplier": 1},
                ),
                Case(
                    f"DEPTHWISE_CONV_2D times 2 {name}", "DEPTHWISE_CONV_2D", (x, _weights(1, kh, kw, 12), _weights(12)),
                    options="DepthwiseConv2DOptions", fields={**fields, "DepthMultiplier": 2},
                ),
            ]
    single = {"StrideH": 1, "StrideW": 1}
    for activation in FUSED:
        fields = {**single, "FusedActivationFunction": activation}
        operands = Fed((1, 5, 5, 4)), 3 * _weights(8, 3, 3, 4), _weights(8)
        found.append(Case(f"CONV_2D fused {activation}", "CONV_2D", operands, options="Conv2DOptions", fields=fields))
    computed = Fed((1, 5, 5, 4)), Fed((8, 3, 3, 4)), _weights(8)
    found.append(Case("CONV_2D computed filter", "CONV_2D", computed, options="Conv2DOptions", fields=single))
    found += _transposed()
    for padding in (0, 1):
        fields = {"Padding": padding, "StrideD": 1, "StrideH": 2, "StrideW": 1}
        operands = Fed((1, 4, 6, 5, 3)), _weights(2, 3, 3, 3, 8), _weights(8)
        found.append(Case(f"CONV_3D {padding}", "CONV_3D", operands, options="Conv3DOptions", fields=fields))
    return found


def _transposed() -> list[Case]:
    found = []
    for kernel, stride, padding in ((2, 2, 0), (3, 2, 0), (3, 2, 1), (4, 2, 0), (2, 3, 0), (2, 3, 1), (3, 1, 0)):
        extents = [(n - 1) * stride + max(kernel, stride) if padding else n * stride for n in (4, 5)]
        fields = {"Padding": padding, "StrideH": stride, "StrideW": stride}
        operands = _i32(1, *extents, 7), _weights(7, kernel, kernel, 6), Fed((1, 4, 5, 6)), _weights(7)
        name = f"TRANSPOSE_CONV {kernel} {stride} {padding}"
        found.append(Case(name, "TRANSPOSE_CONV", operands, options="TransposeConvOptions", fields=fields))
    return found


def _pools() -> list[Case]:
    found = []
    for name in ("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"):
        for kh, kw, sh, sw in dict.fromkeys(window[:4] for window in WINDOWS):
            for padding in (0, 1):
                fields = {"Padding": padding, "StrideH": sh, "StrideW": sw, "FilterHeight": kh, "FilterWidth": kw}
                label = f"{name} {kh}x{kw} {sh},{sw} {padding}"
                found.append(Case(label, name, (Fed((2, 9, 11, 6)),), options="Pool2DOptions", fields=fields))
        for activation in FUSED:
            fields = {"StrideH": 1, "StrideW": 1, "FilterHeight": 2, "FilterWidth": 2, "FusedActivationFunction": activation}
            operands = (Fed((1, 5, 5, 4), low=-12, high=12),)
            found.append(Case(f"{name} fused {activation}", name, operands, options="Pool2DOptions", fields=fields))
    return found


def _linear() -> list[Case]:
    found = []
    for shape, columns in (((3, 8), 8), ((2, 3, 8), 8), ((2, 2, 2, 3), 12), ((1, 4, 5, 6), 120), ((5, 8), 40)):
        for keep in (False, True):
            if keep and shape[-1] != columns:
                continue
            for activation in (0, 1, 3):
                fields = {"KeepNumDims": keep, "FusedActivationFunction": activation}
                operands = Fed(shape), _weights(9, columns), _weights(9)
                name = f"FULLY_CONNECTED {shape} {columns} {keep} {activation}"
                found.append(Case(name, "FULLY_CONNECTED", operands, options="FullyConnectedOptions", fields=fields))
    found.append(Case("FULLY_CONNECTED no bias", "FULLY_CONNECTED", (Fed((3, 8)), _weights(70, 8)), options="FullyConnectedOptions"))
    found.append(Case("FULLY_CONNECTED computed", "FULLY_CONNECTED", (Fed((3, 8)), Fed((6, 8))), options="FullyConnectedOptions"))
    for left, right, x, y in (
        ((3, 4), (4, 5), False, False), ((2, 3, 4), (2, 4, 5), False, False), ((2, 4, 3), (2, 4, 5), True, False),
        ((2, 3, 4), (2, 5, 4), False, True), ((1, 2, 3, 4), (1, 2, 4, 70), False, False), ((2, 3, 4), (4, 5), False, False),
    ):
        fields = {"AdjX": x, "AdjY": y}
        name = f"BATCH_MATMUL {left} {right} {x} {y}"
        found.append(Case(name, "BATCH_MATMUL", (Fed(left), Fed(right)), options="BatchMatMulOptions", fields=fields))
        found.append(Case(f"{name} constant", "BATCH_MATMUL", (Fed(left), _weights(*right)), options="BatchMatMulOptions", fields=fields))
    found.append(Case("EMBEDDING_LOOKUP", "EMBEDDING_LOOKUP", (Fed((4,), "INT32", 0, 8), _weights(9, 6))))
    return found


def _movement() -> list[Case]:
    image = Fed((2, 4, 6, 5))
    found = [
        *(Case(f"RESHAPE {s}", "RESHAPE", (image, _i32(*s))) for s in ((2, 120), (2, 24, 5), (8, 30), (-1, 5), (2, 2, 12, 5))),
        Case("RESHAPE option", "RESHAPE", (image,), options="ReshapeOptions", fields={"NewShape": (2, -1)}),
        *(Case(f"TRANSPOSE {o}", "TRANSPOSE", (image, _i32(*o))) for o in ((0, 3, 1, 2), (0, 2, 1, 3), (3, 2, 1, 0), (1, 0, 2, 3))),
        *(
            Case(f"CONCATENATION {axis}", "CONCATENATION", (image, image), options="ConcatenationOptions", fields={"Axis": axis})
            for axis in range(-1, 4)
        ),
        Case("CONCATENATION constant", "CONCATENATION", (image, _weights(2, 4, 6, 1)), options="ConcatenationOptions", fields={"Axis": 3}),
        *(Case(f"TILE {t}", "TILE", (image, _i32(*t))) for t in ((1, 2, 1, 1), (2, 1, 1, 3), (1, 1, 1, 1))),
        Case("BROADCAST_TO", "BROADCAST_TO", (Fed((1, 4, 1, 5)), _i32(2, 4, 6, 5))),
        *(Case(f"REVERSE_V2 {a}", "REVERSE_V2", (image, _i32(*a))) for a in ((1,), (3,), (1, 2))),
        *(
            Case(f"SQUEEZE {dims}", "SQUEEZE", (Fed((2, 1, 6, 1)),), options="SqueezeOptions", fields={"SqueezeDims": dims})
            for dims in ((1,), (3,), (1, 3), ())
        ),
        *(Case(f"EXPAND_DIMS {axis}", "EXPAND_DIMS", (Fed((2, 4, 5)), _i32(axis))) for axis in (0, 1, -1, 3)),
        *(Case(f"PACK {a}", "PACK", (Fed((3, 4)),) * 3, options="PackOptions", fields={"ValuesCount": 3, "Axis": a}) for a in (0, 1, -1)),
        *(
            Case(f"UNPACK {axis}", "UNPACK", (Fed((3, 4, 3)),), ("FLOAT32",) * 3, "UnpackOptions", {"Num": 3, "Axis": axis})
            for axis in (0, -1)
        ),
        *(
            Case(f"SPLIT {axis}", "SPLIT", (_i32(axis), Fed((2, 4, 6, 8))), ("FLOAT32",) * 2, "SplitOptions", {"NumSplits": 2})
            for axis in (-1, 0, 1, 2)
        ),
        *(
            Case(f"SPLIT_V {sizes}", "SPLIT_V", (image, _i32(*sizes), _i32(2)), ("FLOAT32",) * 3, "SplitVOptions", {"NumSplits": 3})
            for sizes in ((1, 2, 3), (1, -1, 2))
        ),
    ]
    return [*found, *_padding(image), *_blocks()]


def _padding(image: Fed) -> Iterator[Case]:
    for pads in (((0, 0), (1, 2), (0, 1), (0, 0)), ((0, 0), (0, 0), (0, 0), (0, 3)), ((1, 0), (1, 1), (2, 2), (1, 1))):
        yield Case(f"PAD {pads}", "PAD", (image, _i32(*pads)), options="")
        yield Case(f"PADV2 {pads}", "PADV2", (image, _i32(*pads), _f32(1.5)))
        for mode in (0, 1):
            yield Case(f"MIRROR_PAD {pads} {mode}", "MIRROR_PAD", (image, _i32(*pads)), options="MirrorPadOptions", fields={"Mode": mode})


def _blocks() -> Iterator[Case]:
    for size in (2, 3):
        fields = {"BlockSize": size}
        yield Case(f"DEPTH_TO_SPACE {size}", "DEPTH_TO_SPACE", (Fed((1, 3, 4, 36)),), options="DepthToSpaceOptions", fields=fields)
        yield Case(f"SPACE_TO_DEPTH {size}", "SPACE_TO_DEPTH", (Fed((1, 6, 12, 5)),), options="SpaceToDepthOptions", fields=fields)
    for pads in (((0, 0), (0, 0)), ((1, 1), (2, 1))):
        yield Case(f"SPACE_TO_BATCH_ND {pads}", "SPACE_TO_BATCH_ND", (Fed((2, 4, 6, 5)), _i32(2, 3), _i32(*pads)))
        yield Case(f"BATCH_TO_SPACE_ND {pads}", "BATCH_TO_SPACE_ND", (Fed((6, 4, 6, 5)), _i32(2, 3), _i32(*pads)))


def _slices() -> list[Case]:
    image = Fed((2, 5, 6, 7))
    found = [
        Case(f"SLICE {begin} {size}", "SLICE", (image, _i32(*begin), _i32(*size)), declared=declared)
        for begin, size, declared in (
            ((0, 1, 2, 3), (2, 3, -1, 2), (2, 3, 4, 2)), ((0, 0, 0, 1), (-1, -1, -1, -1), (2, 5, 6, 6)), ((1, 0, 0, 0), (1, 5, 6, 7), (1, 5, 6, 7)),
        )
    ]
    bounds: Sequence[tuple[Any, Any, Any, dict[str, int]]] = (
        ((0, 1, 0, 2), (2, 5, 6, 7), (1, 2, 1, 1), {}),
        ((0, -1, 0, 0), (0, 0, 0, 0), (1, -1, 1, 2), {"BeginMask": 13, "EndMask": 15}),
        ((1, 0), (2, 4), (1, 1), {"ShrinkAxisMask": 1}),
        ((0, 0, 0, -1), (0, 0, 0, 0), (1, 1, 1, 1), {"BeginMask": 7, "EndMask": 7, "ShrinkAxisMask": 8}),
        ((0, 1), (0, 3), (1, 1), {"EllipsisMask": 1}),
        ((0, 0, 1), (0, 0, 3), (1, 1, 1), {"EllipsisMask": 1, "NewAxisMask": 2}),
        ((-5, 4, 1, 0), (9, -9, 4, 7), (1, -2, 1, 3), {}),
    )
    for begin, end, strides, masks in bounds:
        operands = image, _i32(*begin), _i32(*end), _i32(*strides)
        found.append(Case(f"STRIDED_SLICE {begin} {end} {masks}", "STRIDED_SLICE", operands, options="StridedSliceOptions", fields=masks))
    for axis in (0, 1, 3):
        fields = {"Axis": axis}
        found.append(Case(f"GATHER {axis}", "GATHER", (image, _i32(1, 0, 1)), options="GatherOptions", fields=fields))
        found.append(Case(f"GATHER one {axis}", "GATHER", (image, _i32(1).reshape(())), options="GatherOptions", fields=fields))
        found.append(Case(f"GATHER table {axis}", "GATHER", (image, _i32([1, 0], [0, 1])), options="GatherOptions", fields=fields))
        found.append(Case(f"GATHER computed {axis}", "GATHER", (image, Fed((3,), "INT32", 0, 1)), options="GatherOptions", fields=fields))
    found.append(Case("GATHER_ND", "GATHER_ND", (image, _i32([0, 1], [1, 4]))))
    return found


def _reductions() -> list[Case]:
    found = []
    for name in ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD"):
        for axes in ((1, 2), (3,), (-1,), (1,), (1, 3), (0,), (0, 1, 2, 3)):
            for keep in (False, True):
                operands = Fed((2, 4, 5, 6), low=0.3, high=1.5), _i32(*axes)
                found.append(Case(f"{name} {axes} {keep}", name, operands, options="ReducerOptions", fields={"KeepDims": keep}))
    for name in ("REDUCE_ANY", "REDUCE_ALL"):
        operands = Fed((3, 4, 2), "BOOL", 0, 1), _i32(1)
        found.append(Case(name, name, operands, ("BOOL",), "ReducerOptions", {"KeepDims": False}))
    for name in ("ARG_MAX", "ARG_MIN"):
        for axis in (-1, 0, 1):
            options = "ArgMaxOptions" if name == "ARG_MAX" else "ArgMinOptions"
            found.append(Case(f"{name} {axis}", name, (Fed((2, 4, 5, 6)), _i32(axis)), ("INT32",), options, {"OutputType": 2}))
    for exclusive in (False, True):
        for reverse in (False, True):
            fields = {"Exclusive": exclusive, "Reverse": reverse}
            for axis in (0, 1, 3):
                name = f"CUMSUM {axis} {exclusive} {reverse}"
                found.append(Case(name, "CUMSUM", (Fed((2, 4, 5, 6)), _i32(axis)), options="CumsumOptions", fields=fields))
    for shape in ((1, 5, 7, 3), (3, 8)):
        found.append(Case(f"L2_NORMALIZATION {shape}", "L2_NORMALIZATION", (Fed(shape),), options="L2NormOptions"))
    numbers = {"Radius": 2, "Bias": 1.0, "Alpha": 0.3, "Beta": 0.75}
    options = "LocalResponseNormalizationOptions"
    found.append(Case("LRN", "LOCAL_RESPONSE_NORMALIZATION", (Fed((1, 4, 5, 12)),), options=options, fields=numbers))
    found.append(Case("TOPK_V2", "TOPK_V2", (Fed((3, 20)), _i32(4)), ("FLOAT32", "INT32"), "TopKV2Options"))
    return found


def _resizing() -> list[Case]:
    found = []
    sizes = ((8, 12), (7, 9), (3, 2), (4, 6), (1, 1), (5, 12))
    for name, options in (("RESIZE_BILINEAR", "ResizeBilinearOptions"), ("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions")):
        for size in sizes:
            for corners, halves in ((False, False), (True, False), (False, True)):
                fields = {"AlignCorners": corners, "HalfPixelCenters": halves}
                operands = Fed((1, 4, 6, 5)), _i32(*size)
                found.append(Case(f"{name} {size} {corners} {halves}", name, operands, options=options, fields=fields))
    return found


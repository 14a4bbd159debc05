"""Data movement: shapes, concatenation, slices, padding, blocks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_core.ir import Value, top
from tpumlir_onnx.graph import Node
from tpumlir_onnx.importer import Converter, Importer
from tpumlir_onnx.parameters import axes_of, integers_of, normal_axis, reshape_target, slice_parameters, split_sizes


def identity(im: Importer, node: Node) -> Value:
    """Nothing at run time: the result is its input."""
    return im.value(node.input(0))


def dropout(im: Importer, node: Node) -> Sequence[Value]:
    """Nothing at inference; the mask, if anyone reads it, is all ones."""
    if node.input(2) and im.scalar(node.input(2)) != 0:
        raise UnsupportedError(f"Dropout in training mode (node {node.label})")
    x = im.value(node.input(0))
    if len(node.outputs) > 1 and im.is_used(node.outputs[1]):
        return [x, im.constant_result("mask", np.ones(x.shape, np.float32))]
    return [x]


def concat(im: Importer, node: Node) -> Value:
    values = [im.value(name) for name in node.inputs]
    if len(values) == 1:
        return values[0]
    return im.emit(top.Concat, values, axis=normal_axis(node, node.integer("axis", 1), len(values[0].shape)))


def split(im: Importer, node: Node) -> Sequence[Value]:
    x = im.value(node.input(0))
    axis = normal_axis(node, node.integer("axis", 0), len(x.shape))
    sizes = split_sizes(node, x.shape[axis], im.parameter(node, 1, "sizes"))
    if min(sizes) == 0:
        raise UnsupportedError(f"Split into empty parts (node {node.label})")
    if len(sizes) == 1:
        return [x]
    return im.emit_many(top.Split, [x], axis=axis, num=len(sizes), split_size=tuple(sizes))


def slice_(im: Importer, node: Node) -> Value:
    """A negative step reverses the axis first."""
    x = im.value(node.input(0))
    given = [im.parameter(node, i, "bounds") for i in range(1, len(node.inputs))]
    starts, ends, steps = slice_parameters(node, x.shape, given)
    for axis, step in enumerate(steps):
        if step < 0:
            x = im.step(f"reversed{axis}", top.Reverse, [x], axis=axis)
            last = x.shape[axis] - 1
            starts[axis], ends[axis], steps[axis] = last - starts[axis], last - ends[axis], -step
    if any(end <= start for start, end in zip(starts, ends, strict=True)):
        raise UnsupportedError(f"Slice with an empty result (node {node.label})")
    return im.emit(top.Slice, [x], offset=tuple(starts), steps=tuple(steps), ends=tuple(ends))


def reshape(im: Importer, node: Node) -> Value:
    x = im.value(node.input(0))
    shape = reshape_target(node, x.shape, im.parameter(node, 1, "shape"))
    return im.emit(top.Reshape, [x], shape=shape)


def flatten(im: Importer, node: Node) -> Value:
    x = im.value(node.input(0))
    rank = len(x.shape)
    axis = node.integer("axis", 1)
    if not -rank <= axis <= rank:
        raise InputError(f"{node}: axis {axis} is outside a tensor of rank {rank}")
    axis = axis + rank if axis < 0 else axis
    return im.emit(top.Reshape, [x], shape=(math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


def squeeze(im: Importer, node: Node) -> Value:
    x = im.value(node.input(0))
    axes = axes_of(node, len(x.shape), im.parameter(node, 1, "axes"))
    if axes is None:
        axes = tuple(axis for axis, extent in enumerate(x.shape) if extent == 1)
    if any(x.shape[axis] != 1 for axis in axes):
        raise InputError(f"{node}: axes {list(axes)} of shape {list(x.shape)} are not all 1")
    return im.emit(top.Squeeze, [x], axes=axes) if axes else x


def unsqueeze(im: Importer, node: Node) -> Value:
    x = im.value(node.input(0))
    given = im.parameter(node, 1, "axes")
    count = given.size if given is not None else len(node.integers("axes"))
    axes = axes_of(node, len(x.shape) + count, given)
    return im.emit(top.Unsqueeze, [x], axes=axes) if axes else x


def transpose(im: Importer, node: Node) -> Value:
    x = im.value(node.input(0))
    order = node.integers("perm", tuple(range(len(x.shape)))[::-1])
    if sorted(order) != list(range(len(x.shape))):
        raise InputError(f"{node}: perm {list(order)} does not order {len(x.shape)} axes")
    return im.emit(top.Permute, [x], order=order)


def expand(im: Importer, node: Node) -> Value:
    x = im.value(node.input(0))
    shape = np.broadcast_shapes(x.shape, integers_of(im.required(node, 1, "shape")))
    return im.emit(top.Expand, [x], shape=tuple(int(d) for d in shape))


def tile(im: Importer, node: Node) -> Value:
    x = im.value(node.input(0))
    repeats = integers_of(im.required(node, 1, "repeats"))
    if len(repeats) != len(x.shape) or min(repeats, default=1) < 1:
        raise InputError(f"{node}: repeats {list(repeats)} do not fit shape {list(x.shape)}")
    return im.emit(top.Tile, [x], tile=repeats)


def pad(im: Importer, node: Node) -> Value:
    x = im.value(node.input(0))
    begins, ends, value = _paddings(im, node, len(x.shape))
    mode = node.text("mode", "constant")
    if mode not in ("constant", "edge", "reflect", "wrap"):
        raise InputError(f"{node}: mode '{mode}' is unknown")
    if mode == "wrap":
        return _wrapped(im, x, begins, ends)
    if min((*begins, *ends), default=0) < 0:
        x = _cropped(im, node, x, begins, ends)
        begins, ends = [max(0, b) for b in begins], [max(0, e) for e in ends]
    return im.emit(top.Pad, [x], paddings=(*begins, *ends), val=value, mode=mode)


def _paddings(im: Importer, node: Node, rank: int) -> tuple[list[int], list[int], float]:
    """Begins and ends of every axis, and the value."""
    if node.opset < 11:
        pads, value, axes = node.integers("pads"), node.number("value", 0.0), tuple(range(rank))
    else:
        pads = integers_of(im.required(node, 1, "pads"))
        constant = im.parameter(node, 2, "value")
        value = float(constant.reshape(-1)[0]) if constant is not None else 0.0
        given = im.parameter(node, 3, "axes")
        axes = tuple(normal_axis(node, a, rank) for a in integers_of(given)) if given is not None else tuple(range(rank))
    if len(pads) != 2 * len(axes):
        raise InputError(f"{node}: {len(pads)} pads for {len(axes)} axes")
    begins, ends = [0] * rank, [0] * rank
    for position, axis in enumerate(axes):
        begins[axis], ends[axis] = pads[position], pads[position + len(axes)]
    return begins, ends, value


def _cropped(im: Importer, node: Node, x: Value, begins: Sequence[int], ends: Sequence[int]) -> Value:
    """Negative padding takes elements away."""
    starts = tuple(max(0, -b) for b in begins)
    stops = tuple(extent - max(0, -e) for extent, e in zip(x.shape, ends, strict=True))
    if any(stop <= start for start, stop in zip(starts, stops, strict=True)):
        raise InputError(f"{node}: negative pads leave nothing of shape {list(x.shape)}")
    return im.step("cropped", top.Slice, [x], offset=starts, steps=(1,) * len(starts), ends=stops)


def _wrapped(im: Importer, x: Value, begins: Sequence[int], ends: Sequence[int]) -> Value:
    """Padding from the other end, as a gather along each padded axis."""
    im.check_size([max(0, b + n + e) for b, n, e in zip(begins, x.shape, ends, strict=True)])
    for axis, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        if begin or end:
            indices = np.arange(-begin, x.shape[axis] + end) % x.shape[axis]
            x = im.step(f"axis{axis}", top.Gather, [x, im.constant_result(f"indices{axis}", indices)], axis=axis)
    return x


def depth_to_space(im: Importer, node: Node) -> Value:
    return _blocks(im, node, crd=node.text("mode", "DCR") == "CRD", inverse=False)


def space_to_depth(im: Importer, node: Node) -> Value:
    return _blocks(im, node, crd=node.text("mode", "DCR") == "CRD", inverse=True)


def _blocks(im: Importer, node: Node, crd: bool, inverse: bool) -> Value:
    size, x = node.integer("blocksize"), im.value(node.input(0))
    if size < 1 or len(x.shape) != 4:
        raise InputError(f"{node}: blocksize {size} on shape {list(x.shape)}")
    return im.emit(top.Depth2Space, [x], block_h=size, block_w=size, is_CRD=crd, is_inversed=inverse)


def trilu(im: Importer, node: Node) -> Value:
    x = im.value(node.input(0))
    if len(x.shape) < 2:
        raise InputError(f"{node}: an input of shape {list(x.shape)} is no matrix")
    given = im.parameter(node, 1, "diagonal")
    limit = max(x.shape[-2:])
    diagonal = min(max(int(given.reshape(-1)[0]), -limit), limit) if given is not None else 0
    if not x.type.element.is_float:  # targets multiply by a mask
        x = im.step("float", top.Cast, [x], to="F32")
    return im.emit(top.Trilu, [x], upper=node.integer("upper", 1), diagonal=diagonal)


def eye_like(im: Importer, node: Node) -> Value:
    rows, columns = im.value(node.input(0)).shape
    return im.constant_result("eye", np.eye(rows, columns, node.integer("k", 0), dtype=np.float32))


CONVERTERS: Mapping[str, Converter] = {
    "Concat": concat, "DepthToSpace": depth_to_space, "Dropout": dropout, "Expand": expand, "EyeLike": eye_like,
    "Flatten": flatten, "Identity": identity, "Pad": pad, "Reshape": reshape, "Slice": slice_, "SpaceToDepth": space_to_depth,
    "Split": split, "Squeeze": squeeze, "Tile": tile, "Transpose": transpose, "Trilu": trilu, "Unsqueeze": unsqueeze,
}

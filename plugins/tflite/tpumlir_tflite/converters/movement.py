"""Data movement: shapes, concatenation, splitting, padding, blocks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.ir import top
from tpumlir_tflite.importer import Converter, Importer
from tpumlir_tflite.layout import CHANNELS_FIRST, Laid, Layout
from tpumlir_tflite.model import ABSENT, Node
from tpumlir_tflite.parameters import activated, layout_of, normal_axis

_MIRRORS = {0: "reflect", 1: "symmetric"}
"""Modes of MIRROR_PAD (schema: MirrorPadMode)."""


def reshaped(im: Importer, index: int, shape: tuple[int, ...]) -> Laid:
    """A tensor under another shape: the output of the node at work.

    Where batch and channels stay what they are, an image keeps its channels first.
    """
    x = im.laid(index)
    given = x.layout.source_shape(x.value.shape)
    if math.prod(given) != math.prod(shape):
        raise InputError(f"shape {list(given)} does not reshape to {list(shape)}")
    if given == shape:
        return im.same(x)
    if x.layout is CHANNELS_FIRST and len(shape) > 2 and (given[0], given[-1]) == (shape[0], shape[-1]):
        return im.emit(top.Reshape, [x.value], CHANNELS_FIRST, shape=CHANNELS_FIRST.arranged(shape))
    return im.emit(top.Reshape, [im.value(index)], shape=shape)


def reshape(im: Importer, node: Node) -> Laid:
    """To the shape that an operand, or else an option, says; one -1 takes what is left."""
    if node.input(1) != ABSENT:
        wanted = im.integers(node.input(1), "shape")
    else:
        options = node.options("ReshapeOptions")
        wanted = tuple(options.NewShapeAsNumpy().tolist()) if options.NewShapeLength() else ()
    total, known = math.prod(im.shape(node.input(0))), math.prod(extent for extent in wanted if extent != -1)
    if wanted.count(-1) > 1 or min(wanted, default=0) < -1 or (-1 in wanted and not known):
        raise InputError(f"shape {list(wanted)} cannot be")
    return reshaped(im, node.input(0), tuple(total // known if extent == -1 else extent for extent in wanted))


def squeeze(im: Importer, node: Node) -> Laid:
    shape, options = im.shape(im.present(node.input(0))), node.options("SqueezeOptions")
    given = options.SqueezeDimsAsNumpy().tolist() if options.SqueezeDimsLength() else [i for i, n in enumerate(shape) if n == 1]
    axes = {normal_axis(axis, len(shape)) for axis in given}
    if any(shape[axis] != 1 for axis in axes):
        raise InputError(f"axes {sorted(axes)} of shape {list(shape)} are not all 1")
    return reshaped(im, node.input(0), tuple(extent for axis, extent in enumerate(shape) if axis not in axes))


def expand_dims(im: Importer, node: Node) -> Laid:
    shape = list(im.shape(im.present(node.input(0))))
    (axis,) = im.integers(node.input(1), "axis")
    shape.insert(normal_axis(axis, len(shape) + 1), 1)
    return reshaped(im, node.input(0), tuple(shape))


def transpose(im: Importer, node: Node) -> Laid:
    x, order = im.value(node.input(0)), im.integers(node.input(1), "order")
    if sorted(axis % len(x.shape) for axis in order) != list(range(len(x.shape))):
        raise InputError(f"{list(order)} does not order {len(x.shape)} axes")
    return im.emit(top.Permute, [x], order=tuple(axis % len(x.shape) for axis in order))


def concatenation(im: Importer, node: Node) -> Laid:
    options = node.options("ConcatenationOptions")
    kept = [index for index in node.inputs if 0 not in im.shape(im.present(index))]
    rank = len(im.shape(kept[0])) if kept else 0
    if len(kept) == 1:
        return im.same(im.laid(kept[0]))
    layout = layout_of(im, kept, rank)
    axis = layout.axis(normal_axis(options.Axis(), rank), rank)
    values = [im.form(index, layout) for index in kept]
    return activated(im, options.FusedActivationFunction(), top.Concat, values, layout, axis=axis)


def _parts(im: Importer, node: Node, index: int, axis: int, sizes: Sequence[int]) -> Sequence[Laid]:
    x = im.laid(index)
    if len(sizes) != len(node.outputs) or min(sizes) < 1 or sum(sizes) != x.value.shape[axis]:
        raise InputError(f"{len(node.outputs)} parts of {list(sizes)} do not make up an axis of {x.value.shape[axis]}")
    if len(sizes) == 1:
        return [im.same(x)]
    return im.emit_many(top.Split, [x.value], x.layout, axis=axis, num=len(sizes), split_size=tuple(sizes))


def split(im: Importer, node: Node) -> Sequence[Laid]:
    """Into equal parts."""
    (given,) = im.integers(node.input(0), "axis")
    x, count = im.laid(node.input(1)), len(node.outputs)
    axis = x.layout.axis(normal_axis(given, len(x.value.shape)), len(x.value.shape))
    return _parts(im, node, node.input(1), axis, [x.value.shape[axis] // count] * count)


def split_v(im: Importer, node: Node) -> Sequence[Laid]:
    """Into parts of given sizes, of which one may be -1, what is left."""
    x, sizes = im.laid(node.input(0)), list(im.integers(node.input(1), "sizes"))
    (given,) = im.integers(node.input(2), "axis")
    axis = x.layout.axis(normal_axis(given, len(x.value.shape)), len(x.value.shape))
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = x.value.shape[axis] - sum(sizes) - 1
    return _parts(im, node, node.input(0), axis, sizes)


def pack(im: Importer, node: Node) -> Laid:
    """Tensors of one shape, stacked along a new axis."""
    values = [im.value(index) for index in node.inputs]
    shape = list(values[0].shape)
    axis = normal_axis(node.options("PackOptions").Axis(), len(shape) + 1)
    shape.insert(axis, 1)
    rows = [im.step(f"row{i}", top.Reshape, [value], shape=tuple(shape)) for i, value in enumerate(values)]
    return im.emit(top.Concat, rows, axis=axis)


def unpack(im: Importer, node: Node) -> Sequence[Laid]:
    """The slices along an axis, without it."""
    x = im.value(node.input(0))
    axis = normal_axis(node.options("UnpackOptions").Axis(), len(x.shape))
    shape = tuple(extent for place, extent in enumerate(x.shape) if place != axis)
    count = x.shape[axis]
    if count != len(node.outputs):
        raise InputError(f"an axis of {count} does not give {len(node.outputs)} results")
    names = [im.graph.tensors[index].name for index in node.outputs]
    if count == 1:
        return [im.emit(top.Reshape, [x], shape=shape)]
    parts = im.add_many([f"{name}_slice" for name in names], top.Split, [x], axis=axis, num=count, split_size=(1,) * count)
    return [Laid(im.add(name, top.Reshape, [part], shape=shape)) for name, part in zip(names, parts, strict=True)]


def tile(im: Importer, node: Node) -> Laid:
    x, repeats = im.laid(node.input(0)), im.integers(node.input(1), "repeats")
    if len(repeats) != len(x.value.shape) or min(repeats, default=1) < 1:
        raise InputError(f"repeats {list(repeats)} do not fit shape {list(x.value.shape)}")
    return im.emit(top.Tile, [x.value], x.layout, tile=x.layout.arranged(repeats))


def broadcast_to(im: Importer, node: Node) -> Laid:
    x = im.value(node.input(0))
    shape = np.broadcast_shapes(x.shape, im.integers(node.input(1), "shape"))
    return im.emit(top.Expand, [x], shape=tuple(int(extent) for extent in shape))


def reverse(im: Importer, node: Node) -> Laid:
    x = im.laid(node.input(0))
    rank = len(x.value.shape)
    axes = sorted({normal_axis(axis, rank) for axis in im.integers(node.input(1), "axes")})
    if not axes:
        return im.same(x)
    value = x.value
    for axis in axes[:-1]:
        value = im.step(f"axis{axis}", top.Reverse, [value], axis=x.layout.axis(axis, rank))
    return im.emit(top.Reverse, [value], x.layout, axis=x.layout.axis(axes[-1], rank))


def _paddings(im: Importer, index: int, rank: int, layout: Layout) -> tuple[int, ...]:
    """Begins then ends of a constant ``[rank, 2]``, in a layout."""
    pairs = im.required(index, "paddings")
    if pairs.shape != (rank, 2) or (pairs.size and pairs.min() < 0):
        raise InputError(f"paddings of shape {list(pairs.shape)} do not fit a tensor of {rank} dimensions")
    return (*layout.arranged([int(n) for n in pairs[:, 0]]), *layout.arranged([int(n) for n in pairs[:, 1]]))


def pad(im: Importer, node: Node) -> Laid:
    x = im.laid(node.input(0))
    number = 0.0
    if node.input(2) != ABSENT:
        number = float(im.required(node.input(2), "value").reshape(-1)[0])
    paddings = _paddings(im, node.input(1), len(x.value.shape), x.layout)
    return im.emit(top.Pad, [x.value], x.layout, paddings=paddings, val=number, mode="constant")


def mirror_pad(im: Importer, node: Node) -> Laid:
    x, mode = im.laid(node.input(0)), node.options("MirrorPadOptions").Mode()
    paddings = _paddings(im, node.input(1), len(x.value.shape), x.layout)
    if mode not in _MIRRORS:
        raise InputError(f"mode {mode} is unknown")
    room = [extent - (mode == 0) for extent in x.value.shape] * 2
    if any(wanted > there for wanted, there in zip(paddings, room, strict=True)):
        raise InputError(f"paddings {list(paddings)} reach beyond shape {list(x.value.shape)}")
    return im.emit(top.Pad, [x.value], x.layout, paddings=paddings, val=0.0, mode=_MIRRORS[mode])


def _blocks(inverse: bool, options: str) -> Converter:
    def convert(im: Importer, node: Node) -> Laid:
        x, size = im.image(node.input(0)), node.options(options).BlockSize()
        if size < 1:
            raise InputError(f"block size {size} must be positive")
        attributes = {"block_h": size, "block_w": size, "is_CRD": False, "is_inversed": inverse}
        return im.emit(top.Depth2Space, [x], CHANNELS_FIRST, **attributes)

    return convert


CONVERTERS: Mapping[str, Converter] = {
    "BROADCAST_TO": broadcast_to, "CONCATENATION": concatenation, "DEPTH_TO_SPACE": _blocks(False, "DepthToSpaceOptions"),
    "EXPAND_DIMS": expand_dims, "MIRROR_PAD": mirror_pad, "PACK": pack, "PAD": pad, "PADV2": pad, "RESHAPE": reshape,
    "REVERSE_V2": reverse, "SPACE_TO_DEPTH": _blocks(True, "SpaceToDepthOptions"), "SPLIT": split, "SPLIT_V": split_v,
    "SQUEEZE": squeeze, "TILE": tile, "TRANSPOSE": transpose, "UNPACK": unpack,
}

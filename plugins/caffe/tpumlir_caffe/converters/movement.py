"""Layers that only move data: shapes, slices, joints, repetitions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from tpumlir_caffe.importer import Converter, Importer
from tpumlir_caffe.network import Layer
from tpumlir_core.errors import InputError
from tpumlir_core.ir import Value, top


def identity(im: Importer, layer: Layer) -> Sequence[Value]:
    """The bottom under every top's name."""
    return [im.bottom()] * len(layer.tops)


def constant(im: Importer, layer: Layer) -> Value:
    """Layer Parameter: its blob."""
    shape = tuple(layer.parameters("parameter_param").shape.dim)
    im.check_size(shape)
    return im.weight(im.top(0), im.blob(0, shape))


def concat(im: Importer, layer: Layer) -> Value:
    p, values = layer.parameters("concat_param"), im.bottoms()
    axis = im.axis(p.concat_dim if p.HasField("concat_dim") else p.axis, len(values[0].shape))
    return values[0] if len(values) == 1 else im.emit(top.Concat, values, axis=axis)


def slices(im: Importer, layer: Layer) -> Sequence[Value]:
    """Parts along an axis, up to every one of ``slice_point``, or of equal extents."""
    x, p, count = im.bottom(), layer.parameters("slice_param"), len(layer.tops)
    axis = im.axis(p.slice_dim if p.HasField("slice_dim") else p.axis, len(x.shape))
    extent, points = x.shape[axis], list(p.slice_point)
    if points and len(points) != count - 1:
        raise InputError(f"{len(points)} numbers of slice_point do not cut {count} tops")
    if not points and (not count or extent % count):
        raise InputError(f"an axis of {extent} does not split into {count} equal parts")
    borders = [0, *points, extent] if points else [at * extent // count for at in range(count + 1)]
    if any(a >= b for a, b in pairwise(borders)):
        raise InputError(f"slice_point {points} does not rise within an axis of {extent}")
    return [
        im.emit_at(at, top.Slice, [x], offset=(begin,), steps=(1,), ends=(end,), axes=(axis,))
        for at, (begin, end) in enumerate(pairwise(borders))
    ]


def crop(im: Importer, layer: Layer) -> Value:
    """The part of the first bottom that has the extents of the second, from ``axis`` on."""
    x, reference, p = im.bottom(), im.bottom(1), layer.parameters("crop_param")
    axis = im.axis(p.axis, len(x.shape))
    axes = tuple(range(axis, len(x.shape)))
    offsets = tuple(p.offset) * (len(axes) if len(p.offset) == 1 else 1) or (0,) * len(axes)
    if len(offsets) != len(axes) or len(reference.shape) != len(x.shape):
        raise InputError(f"{len(p.offset)} offsets and a second bottom {list(reference.shape)} do not crop {list(x.shape)} from {axis} on")
    ends = tuple(offset + reference.shape[at] for at, offset in zip(axes, offsets, strict=True))
    if any(end > x.shape[at] for at, end in zip(axes, ends, strict=True)):
        raise InputError(f"offset {list(offsets)} and extents {list(reference.shape)} leave its bottom {list(x.shape)}")
    return im.emit(top.Slice, [x], offset=offsets, steps=(1,) * len(axes), ends=ends, axes=axes)


def flatten(im: Importer, layer: Layer) -> Value:
    x, p = im.only(), layer.parameters("flatten_param")
    first, last = (im.axis(axis, len(x.shape)) for axis in (p.axis, p.end_axis))
    if first > last:
        raise InputError(f"end_axis {p.end_axis} lies before axis {p.axis}")
    return im.emit(top.Reshape, [x], shape=(*x.shape[:first], math.prod(x.shape[first : last + 1]), *x.shape[last + 1 :]))


def reshape(im: Importer, layer: Layer) -> Value:
    """The axes from ``axis`` on, ``num_axes`` of them, in another shape: 0 keeps an extent, one -1 takes what is left."""
    x, p = im.only(), layer.parameters("reshape_param")
    rank = len(x.shape)
    start = p.axis if p.axis >= 0 else rank + p.axis + 1
    end = rank if p.num_axes == -1 else start + p.num_axes
    if not 0 <= start <= end <= rank:
        raise InputError(f"axis {p.axis} and num_axes {p.num_axes} leave a bottom of {rank} dimensions")
    return im.emit(top.Reshape, [x], shape=(*x.shape[:start], *_resolved(x.shape, start, end, tuple(p.shape.dim)), *x.shape[end:]))


def _resolved(shape: Sequence[int], start: int, end: int, wanted: Sequence[int]) -> tuple[int, ...]:
    """``wanted`` without 0 and -1, for the axes from ``start`` to before ``end``."""
    if any(extent == 0 and start + at >= end for at, extent in enumerate(wanted)):
        raise InputError(f"shape {list(wanted)} keeps axes that {list(shape)} does not have")
    kept = [shape[start + at] if extent == 0 else extent for at, extent in enumerate(wanted)]
    whole, known = math.prod(shape[start:end]), math.prod(extent for extent in kept if extent != -1)
    if kept.count(-1) > 1 or min(kept, default=0) < -1 or known == 0 or whole % known or (-1 not in kept and whole != known):
        raise InputError(f"{list(shape)} does not reshape to {list(wanted)} from axis {start} to {end}")
    return tuple(whole // known if extent == -1 else extent for extent in kept)


def permute(im: Importer, layer: Layer) -> Value:
    """The axes in ``order``, those that it leaves out last."""
    x, given = im.only(), tuple(layer.parameters("permute_param").order)
    rank = len(x.shape)
    if len(set(given)) != len(given) or any(axis >= rank for axis in given):
        raise InputError(f"order {list(given)} does not fit a bottom of {rank} dimensions")
    return im.emit(top.Permute, [x], order=given + tuple(axis for axis in range(rank) if axis not in given))


def tile(im: Importer, layer: Layer) -> Value:
    x, p = im.only(), layer.parameters("tile_param")
    axis = im.axis(p.axis, len(x.shape))
    if p.tiles < 1:
        raise InputError("tiles must be positive")
    return im.emit(top.Tile, [x], tile=tuple(p.tiles if at == axis else 1 for at in range(len(x.shape))))


def padding(im: Importer, layer: Layer) -> Value:
    """Layer Padding of SOPHGO's Caffe: a constant around every image."""
    x, p = im.only(), layer.parameters("padding_param")
    _check_image(x)
    pads = (0, 0, p.pad_t, p.pad_l, 0, 0, p.pad_b, p.pad_r)
    return im.emit(top.Pad, [x], paddings=pads, val=float(p.pad_value), mode="constant")


def reverse(im: Importer, layer: Layer) -> Value:
    x = im.only()
    return im.emit(top.Reverse, [x], axis=im.axis(layer.parameters("reverse_param").axis, len(x.shape)))


def shuffle_channel(im: Importer, layer: Layer) -> Value:
    return im.emit(top.ShuffleChannel, [im.only()], group=layer.parameters("shuffle_channel_param").group)


def reorg(im: Importer, layer: Layer) -> Value:
    """Layer Reorg: blocks of ``stride`` x ``stride`` become channels, the block's place before the channel."""
    x, p = im.only(), layer.parameters("reorg_param")
    _check_image(x)
    if p.reverse:
        raise im.refusal("reverse")
    if p.stride < 1 or x.shape[2] % p.stride or x.shape[3] % p.stride:
        raise InputError(f"stride {p.stride} does not divide {list(x.shape)}")
    return im.emit(top.Depth2Space, [x], block_h=p.stride, block_w=p.stride, is_CRD=False, is_inversed=True)


def _check_image(x: Value) -> None:
    if len(x.shape) != 4:
        raise InputError(f"its bottom has the shape {list(x.shape)}; wanted is [N, C, H, W]")


CONVERTERS: Mapping[str, Converter] = {
    "Concat": concat, "Crop": crop, "Dropout": identity, "Flatten": flatten, "Padding": padding, "Parameter": constant,
    "Permute": permute, "Reorg": reorg, "Reshape": reshape, "Reverse": reverse, "ShuffleChannel": shuffle_channel, "Slice": slices,
    "Split": identity, "Tile": tile,
}

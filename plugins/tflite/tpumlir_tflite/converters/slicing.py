"""Parts of tensors: slices with offsets, steps and masks, and gathering by indices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.ir import Array, Value, top
from tpumlir_tflite.importer import Converter, Importer
from tpumlir_tflite.layout import SOURCE, Laid
from tpumlir_tflite.model import Node
from tpumlir_tflite.parameters import normal_axis


@dataclass(frozen=True)
class Span:
    """The part of one axis: every ``step``-th element from ``start`` to before ``end``; ``drop``: the axis goes."""

    start: int
    end: int
    step: int = 1
    drop: bool = False


def _sliced(im: Importer, x: Laid, spans: Sequence[Span], shape: tuple[int, ...] | None) -> Laid:
    """The output of the node at work: spans by axis of the source, then the source's ``shape`` if that is another."""
    rank, value = len(spans), x.value
    source = x.layout.source_shape(value.shape)
    for axis, span in enumerate(spans):
        if span.step < 0:
            value = im.step(f"reversed{axis}", top.Reverse, [value], axis=x.layout.axis(axis, rank))
    forward = [_forward(span, extent) for span, extent in zip(spans, source, strict=True)]
    if any(span.end <= span.start for span in forward):
        raise im.refusal("an empty result")
    per_axis = {"offset": [s.start for s in forward], "ends": [s.end for s in forward], "steps": [s.step for s in forward]}
    attributes = {name: x.layout.arranged(numbers) for name, numbers in per_axis.items()}
    if shape is None:
        return im.emit(top.Slice, [value], x.layout, **attributes)
    part = Laid(im.step("part", top.Slice, [value], **attributes), x.layout)
    return im.emit(top.Reshape, [im.relaid(part, SOURCE, f"{part.value.name}_nhwc")], shape=shape)


def _forward(span: Span, extent: int) -> Span:
    """The same part of the axis with a positive step, the axis reversed where it was negative."""
    return span if span.step > 0 else Span(extent - 1 - span.start, extent - 1 - span.end, -span.step)


def slice_(im: Importer, node: Node) -> Laid:
    """A size of -1 reaches to the end."""
    x = im.laid(node.input(0))
    shape = x.layout.source_shape(x.value.shape)
    begins, sizes = im.integers(node.input(1), "begin"), im.integers(node.input(2), "size")
    if not len(begins) == len(sizes) == len(shape):
        raise InputError(f"{len(begins)} begins and {len(sizes)} sizes for shape {list(shape)}")
    spans = [
        Span(begin, extent if size == -1 else begin + size) for begin, size, extent in zip(begins, sizes, shape, strict=True)
    ]
    if any(not 0 <= span.start <= span.end <= extent for span, extent in zip(spans, shape, strict=True)):
        raise InputError(f"begin {list(begins)} and size {list(sizes)} reach beyond shape {list(shape)}")
    return _sliced(im, x, spans, None)


@dataclass(frozen=True)
class _Masks:
    """The masks of STRIDED_SLICE: bit i is about entry i of begin, end and strides."""

    begin: int
    end: int
    ellipsis: int
    new_axis: int
    shrink: int


def strided_slice(im: Importer, node: Node) -> Laid:
    x, options = im.laid(node.input(0)), node.options("StridedSliceOptions")
    if options.Offset():
        raise im.refusal("ends that count from begins")
    masks = _Masks(options.BeginMask(), options.EndMask(), options.EllipsisMask(), options.NewAxisMask(), options.ShrinkAxisMask())
    entries = list(zip(*(im.integers(node.input(i), "bounds") for i in (1, 2, 3)), strict=True))
    shape = x.layout.source_shape(x.value.shape)
    spans, wanted = _spans(entries, masks, shape)
    plain = len(wanted) == len(shape) and not masks.new_axis and not any(span.drop for span in spans)
    return _sliced(im, x, spans, None if plain else tuple(wanted))


def _spans(entries: Sequence[tuple[int, ...]], masks: _Masks, shape: Sequence[int]) -> tuple[list[Span], list[int]]:
    """The span of every axis, and the shape of the result: an ellipsis stands for all axes that no other entry names."""
    spans: list[Span] = []
    wanted: list[int] = []
    named = sum(not (masks.new_axis | masks.ellipsis) >> i & 1 for i in range(len(entries)))
    for position, (begin, end, step) in enumerate(entries):
        bit = 1 << position
        if masks.ellipsis & bit:
            skipped = shape[len(spans) : len(spans) + max(0, len(shape) - named)]
            spans += [Span(0, extent) for extent in skipped]
            wanted += skipped
        elif masks.new_axis & bit:
            wanted.append(1)
        else:
            if len(spans) >= len(shape):
                raise InputError(f"{len(entries)} bounds for shape {list(shape)}")
            spans.append(_span(begin, end, step, bit, masks, shape[len(spans)]))
            if not spans[-1].drop:
                wanted.append(max(0, -((spans[-1].start - spans[-1].end) // spans[-1].step)))
    rest = shape[len(spans) :]
    return [*spans, *(Span(0, extent) for extent in rest)], [*wanted, *rest]


def _span(begin: int, end: int, step: int, bit: int, masks: _Masks, extent: int) -> Span:
    if step == 0:
        raise InputError("a stride is 0")
    low, high = (0, extent) if step > 0 else (-1, extent - 1)
    start = min(max(begin + extent if begin < 0 else begin, low), high)
    if masks.begin & bit:
        start = low if step > 0 else high
    if masks.shrink & bit:
        if not 0 <= start < extent:
            raise InputError(f"index {begin} is outside an axis of {extent}")
        return Span(start, start + 1, 1, drop=True)
    stop = min(max(end + extent if end < 0 else end, low), high)
    if masks.end & bit:
        stop = high if step > 0 else low
    return Span(start, stop, step)


def _checked(indices: Array, extent: int) -> Array:
    """Constant indices. Raises InputError outside [0, extent)."""
    if indices.dtype.kind not in "iu" or (indices.size and not (indices.min() >= 0 and indices.max() < extent)):
        raise InputError(f"indices outside an axis of {extent}")
    return indices


def _indices(im: Importer, index: int, extent: int) -> Value:
    constant = im.constant(index)
    if constant is not None:
        _checked(constant, extent)
    return im.value(index)


def gather(im: Importer, node: Node) -> Laid:
    options, x = node.options("GatherOptions"), im.laid(im.present(node.input(0)))
    if options.BatchDims():
        raise im.refusal("batch dimensions")
    rank = len(x.value.shape)
    axis, constant = normal_axis(options.Axis(), rank), im.constant(node.input(1))
    if constant is not None and constant.ndim == 1:
        indices = _indices(im, node.input(1), x.layout.source_shape(x.value.shape)[axis])
        return im.emit(top.Gather, [x.value, indices], x.layout, axis=x.layout.axis(axis, rank), keepdims=True)
    value = im.value(node.input(0))
    indices = _indices(im, node.input(1), value.shape[axis])
    return im.emit(top.Gather, [value, indices], axis=axis, keepdims=bool(indices.shape))


def gather_nd(im: Importer, node: Node) -> Laid:
    x, constant = im.value(node.input(0)), im.constant(node.input(1))
    if constant is not None:
        if constant.shape[-1] > len(x.shape):
            raise InputError(f"index tuples of {constant.shape[-1]} do not fit shape {list(x.shape)}")
        for place, column in enumerate(np.moveaxis(constant, -1, 0)):
            _checked(column, x.shape[place])
    return im.emit(top.GatherND, [x, im.value(node.input(1))], batch_dims=0)


CONVERTERS: Mapping[str, Converter] = {
    "GATHER": gather, "GATHER_ND": gather_nd, "SLICE": slice_, "STRIDED_SLICE": strided_slice,
}

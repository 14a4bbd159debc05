"""SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND, and the dilated convolutions that older converters spell with them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tpumlir_core.errors import InputError
from tpumlir_core.ir import Value, top
from tpumlir_tflite.converters.convolution import dilated
from tpumlir_tflite.importer import Converter, Importer
from tpumlir_tflite.layout import Laid
from tpumlir_tflite.model import Node

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")


def _blocks(im: Importer, node: Node, rank: int) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    """Extents of the blocks, and (begin, end) of the padding or cropping of each axis that has blocks."""
    blocks, pairs = im.integers(node.input(1), "blocks"), im.required(node.input(2), "paddings or crops")
    if pairs.shape != (len(blocks), 2) or len(blocks) > rank - 1 or min(blocks, default=1) < 1 or (pairs.size and pairs.min() < 0):
        raise InputError(f"blocks {list(blocks)} with pairs of shape {list(pairs.shape)} do not fit {rank} dimensions")
    return blocks, tuple((int(begin), int(end)) for begin, end in pairs)


def space_to_batch(im: Importer, node: Node) -> Laid:
    """Positions in a block become images of the batch."""
    x = im.value(node.input(0))
    blocks, pads = _blocks(im, node, len(x.shape))
    count, rest = len(blocks), x.shape[1 + len(blocks) :]
    x = _padded(im, x, pads)
    if any(extent % block for extent, block in zip(x.shape[1:], blocks, strict=False)):
        raise InputError(f"blocks {list(blocks)} do not divide shape {list(x.shape)}")
    inner = [part for extent, block in zip(x.shape[1 : 1 + count], blocks, strict=True) for part in (extent // block, block)]
    split = im.step("split", top.Reshape, [x], shape=(x.shape[0], *inner, *rest))
    places, offsets = [1 + 2 * i for i in range(count)], [2 + 2 * i for i in range(count)]
    order = (*offsets, 0, *places, *range(1 + 2 * count, 1 + 2 * count + len(rest)))
    moved = im.step("moved", top.Permute, [split], order=order)
    return im.emit(top.Reshape, [moved], shape=(x.shape[0] * math.prod(blocks), *inner[::2], *rest))


def _padded(im: Importer, x: Value, pads: Sequence[tuple[int, int]]) -> Value:
    if not any(map(any, pads)):
        return x
    rest = (0,) * (len(x.shape) - 1 - len(pads))
    begins, ends = (0, *(begin for begin, _ in pads), *rest), (0, *(end for _, end in pads), *rest)
    return im.step("padded", top.Pad, [x], paddings=(*begins, *ends), val=0.0, mode="constant")


def batch_to_space(im: Importer, node: Node) -> Laid:
    """Images of the batch become positions in blocks; after SPACE_TO_BATCH_ND and a convolution, all is one dilated convolution."""
    found = _as_dilated(im, node)
    if found is not None:
        return found
    x = im.value(node.input(0))
    blocks, crops = _blocks(im, node, len(x.shape))
    count, rest = len(blocks), x.shape[1 + len(blocks) :]
    batch, left = divmod(x.shape[0], math.prod(blocks))
    if left:
        raise InputError(f"blocks {list(blocks)} do not divide a batch of {x.shape[0]}")
    split = im.step("split", top.Reshape, [x], shape=(*blocks, batch, *x.shape[1:]))
    pairs = [axis for i in range(count) for axis in (count + 1 + i, i)]
    moved = im.step("moved", top.Permute, [split], order=(count, *pairs, *range(2 * count + 1, 2 * count + 1 + len(rest))))
    extents = [extent * block for extent, block in zip(x.shape[1 : 1 + count], blocks, strict=True)]
    whole = (batch, *extents, *rest)
    if not any(map(any, crops)):
        return im.emit(top.Reshape, [moved], shape=whole)
    joined = im.step("joined", top.Reshape, [moved], shape=whole)
    starts = (0, *(begin for begin, _ in crops), *(0,) * len(rest))
    ends = (batch, *(extent - end for extent, (_, end) in zip(extents, crops, strict=True)), *rest)
    if any(end <= start for start, end in zip(starts, ends, strict=True)):
        raise im.refusal("an empty result")
    return im.emit(top.Slice, [joined], offset=starts, steps=(1,) * len(starts), ends=ends)


def _as_dilated(im: Importer, node: Node) -> Laid | None:
    """The dilated convolution, or None where these operators are none."""
    middle = im.makers.get(node.input(0))
    before = im.makers.get(middle.input(0)) if middle is not None and middle.operator in _CONVOLUTIONS else None
    if middle is None or before is None or before.operator != "SPACE_TO_BATCH_ND" or len(im.shape(before.input(0))) != 4:
        return None
    (blocks, pads), (after, crops) = _blocks(im, before, 4), _blocks(im, node, 4)
    begins = [pad[0] - crop[0] for pad, crop in zip(pads, crops, strict=False)]
    ends = [pad[1] - crop[1] for pad, crop in zip(pads, crops, strict=False)]
    if len(blocks) != 2 or blocks != after or min((*begins, *ends)) < 0:
        return None
    return dilated(im, middle, before.input(0), blocks, (*begins, *ends))


CONVERTERS: Mapping[str, Converter] = {"BATCH_TO_SPACE_ND": batch_to_space, "SPACE_TO_BATCH_ND": space_to_batch}

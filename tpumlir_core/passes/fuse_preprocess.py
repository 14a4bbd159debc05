"""Preprocessing as part of the network: its input becomes the raw image, of 8 bits."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.ir import top
from tpumlir_core.ir.operation import Array, Module, Value
from tpumlir_core.ir.types import ElementType, TensorType
from tpumlir_core.passes.framework import Pass
from tpumlir_core.passes.rewriting import Rewriter
from tpumlir_core.preprocess.options import Preprocess, crop_offsets, recorded_preprocess
from tpumlir_core.preprocess.raw import RawFormat, raw_format_for


@dataclass(frozen=True)
class FusePreprocess(Pass):
    """Let the network begin with what its inputs record: crop, order of axes and channels, mean and scale. Resizing stays outside.

    The input ``x`` becomes ``x_raw``, resized images of UI8 in a format of ``RAW_FORMATS`` ("": the one that the input records), and
    ``x`` is what the network computes from it. Raises InputError where no input records preprocessing, UnsupportedError where the
    format does not suit.
    """

    name: ClassVar[str] = "fuse-preprocess"
    customization_format: str = ""

    def run(self, module: Module) -> bool:
        fed = [op for op in module.function.operations if isinstance(op, top.Input)]
        chosen = [op for op in fed if op.do_preprocess]
        if not chosen:
            raise InputError(f"{module.name}: no input records preprocessing to fuse; transform with --mean, --scale or --pixel-format")
        rewriter = Rewriter(module)
        for op in chosen:
            _fuse(op, self.customization_format, rewriter)
        rewriter.finish()
        return True


def _fuse(op: top.Input, customization_format: str, rewriter: Rewriter) -> None:
    preprocess = recorded_preprocess(op)
    raw = raw_format_for(preprocess, customization_format)
    batch, *wanted = _sizes(op, preprocess)
    height, width = preprocess.resize_dims or wanted
    done = dataclasses.replace(
        preprocess, pixel_format=raw.pixel_format, channel_format="nhwc" if raw.packed else "nchw",
        mean=(0.0,) * len(preprocess.mean), scale=(1.0,) * len(preprocess.scale),
    )  # what is left to do outside, as tpu-mlir 1.30.2 records it
    attributes = {**op.attributes(), **done.attributes(), "customization_format": raw.name}
    type_ = TensorType(raw.shape(batch, height, width), ElementType.UI8)
    rewriter.anchor = op
    image = rewriter.place(top.Input.create([], [(rewriter.fresh(f"{op.name}_raw"), type_)], **attributes)).output
    if [height, width] != wanted:
        image = _cropped(op, image, wanted, raw, rewriter)
    if raw.packed:
        image = rewriter.insert(top.Permute, [image], rewriter.fresh(f"{op.name}_planar"), order=(0, 3, 1, 2)).output
    op.output.replace_all_uses_with(_prepared(op, image, preprocess, raw, rewriter))
    rewriter.dead.add(op)


def _sizes(op: top.Input, preprocess: Preprocess) -> tuple[int, int, int]:
    """Batch, height and width of an input's images. Raises InputError where it takes none."""
    shape, channels = op.output.shape, preprocess.channels
    if op.customization_format:
        raise InputError(f"input {op.name}: its preprocessing is fused already, for {op.customization_format} images")
    if op.output.type.element is ElementType.F32 and len(shape) == 4:
        if preprocess.channel_format == "nchw" and shape[1] == channels:
            return shape[0], shape[2], shape[3]
        if preprocess.channel_format == "nhwc" and shape[3] == channels:
            return shape[0], shape[1], shape[2]
    images = f"{preprocess.pixel_format} images in {preprocess.channel_format}"
    raise InputError(f"input {op.name}: {op.output!r} takes no {images}; leave it out by --preprocess-list, or say its formats")


def _cropped(op: top.Input, image: Value, wanted: Sequence[int], raw: RawFormat, rewriter: Rewriter) -> Value:
    """The middle of an image, of the network's height and width."""
    first = 1 if raw.packed else 2
    start, end = [0] * 4, list(image.shape)
    start[first : first + 2] = crop_offsets(image.shape[first : first + 2], wanted)
    end[first : first + 2] = [at + size for at, size in zip(start[first : first + 2], wanted, strict=True)]
    return rewriter.insert(top.Slice, [image], rewriter.fresh(f"{op.name}_cropped"), offset=start, steps=(1,) * 4, ends=end).output


def _prepared(op: top.Input, image: Value, preprocess: Preprocess, raw: RawFormat, rewriter: Rewriter) -> Value:
    """What the network takes, of images [n, c, h, w] of 8 bits: (pixel - mean) * scale in the network's order.

    Where convolutions are all that takes it, it stays in the image's order, which their filters then have.
    """
    order = tuple(raw.order.index(channel) for channel in preprocess.channel_order)
    mean, scale = (np.asarray(numbers[: len(order)]) for numbers in (preprocess.mean, preprocess.scale))
    if order != tuple(range(len(order))):
        readers = _convolutions(op.output, preprocess.channel_format == "nchw", rewriter)
        if readers:
            back = np.argsort(order)
            mean, scale = mean[back], scale[back]
            for reader in readers:
                _reorder_filter(reader, back, rewriter)
        else:
            image = rewriter.insert(top.SwapChannel, [image], rewriter.fresh(f"{op.name}_swapped"), channel_order=order).output
    factors = [rewriter.weight(f"{op.name}_{part}", array) for part, array in (("scale", scale), ("bias", -mean * scale))]
    last = preprocess.channel_format == "nchw"
    # Ranges are known by the input's name, so this has it, wherever the name is not that of an output.
    named = last or not rewriter.is_output(op.output)
    scaled = rewriter.insert(top.Scale, [image, *factors], op.name if named else rewriter.fresh(f"{op.name}_nchw")).output
    if last:
        return scaled
    return rewriter.insert(top.Permute, [scaled], rewriter.fresh(f"{op.name}_nhwc") if named else op.name, order=(0, 2, 3, 1)).output


def _convolutions(value: Value, planar: bool, rewriter: Rewriter) -> list[top.Conv]:
    """The users of images, where all are convolutions over all channels with constant filters; else none."""
    found = []
    for user, position in value.uses:
        if not planar and isinstance(user, top.Permute) and user.order == (0, 3, 1, 2):
            behind = _convolutions(user.output, True, rewriter)
            if not behind:
                return []
            found += behind
        elif planar and isinstance(user, top.Conv) and position == 0 and _mixes_channels(user, rewriter):
            found.append(user)
        else:
            return []
    return found


def _mixes_channels(conv: top.Conv, rewriter: Rewriter) -> bool:
    """Whether another order of channels is only another order in its filter."""
    return conv.group == 1 and rewriter.constant(conv.operands[1]) is not None


def _reorder_filter(conv: top.Conv, order: Array, rewriter: Rewriter) -> None:
    old = conv.operands[1]
    filters = rewriter.constant(old)
    assert old is not None
    assert filters is not None
    conv.set_operand(1, rewriter.weight(old.name, filters.reshape(old.shape)[:, order], old.type.element))
    if old.owner is not None:
        rewriter.erase(old.owner)

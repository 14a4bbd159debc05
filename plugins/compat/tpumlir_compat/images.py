"""The flags that say how images become inputs, which several commands share."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from tpumlir_compat.flags import Flag, acts, refused, switch
from tpumlir_compat.values import integers, numbers, positions

if TYPE_CHECKING:
    from tpumlir_core.ir import Module
    from tpumlir_core.preprocess import Preprocess

_MOSAIC = "a sensor's mosaic needs a camera's image processor; give what that makes of it, RGB or BGR"
MAX_CHANNELS = 4
"""An input of rank 4 with more channels is no image (tpu-mlir 1.30.2)."""

FLAGS: tuple[Flag, ...] = (
    acts("--resize_dims", "size that images are resized to, `H,W`, then cropped; default: the input's", read=integers, default=()),
    switch("--keep_aspect_ratio", "images are resized without distortion"),
    acts("--keep_ratio_mode", "letterbox pads, short_side_scale crops", choices=("letterbox", "short_side_scale"), default="letterbox"),
    acts("--mean", "a number for each channel: (pixel - mean) * scale is fed",
         read=numbers, default=(0.0, 0.0, 0.0)),
    acts("--scale", "the same", read=numbers, default=(1.0, 1.0, 1.0)),
    acts("--pixel_format", "the order of channels that the network takes", default="bgr",
         choices=("rgb", "bgr", "gray", "rgba", "gbrg", "grbg", "bggr", "rggb"),
         refused=dict.fromkeys(("gbrg", "grbg", "bggr", "rggb"), _MOSAIC)),
    acts("--channel_format", "nchw, nhwc, or none: the inputs are no images", choices=("nhwc", "nchw", "none"), default="nchw"),
    acts("--pad_value", "pixel around letterboxed images", read=int, default=0),
    acts("--pad_type", "center, or normal: pad right and below only", choices=("normal", "center"), default="center"),
    acts("--preprocess_list", "the inputs that images are for, counted from 1; default: all", read=positions, default=frozenset()),
    refused("--debug_cmd", "there are no debug commands here; images are resized as OpenCV does", default="", accepted=("",)),
)


def preprocess_of(values: Namespace) -> Preprocess | None:
    """What the flags say; nothing where inputs are no images."""
    from tpumlir_core.preprocess import Preprocess

    if values.channel_format == "none":
        return None
    return Preprocess(**{name: getattr(values, name) for name in Preprocess.__dataclass_fields__})


def record(module: Module, values: Namespace) -> None:
    """Write the preprocessing into the inputs that are images: those that --preprocess_list names, or all that look like one."""
    from tpumlir_core.preprocess import record_preprocess

    preprocess = preprocess_of(values)
    if preprocess is None:
        return
    axis = -1 if values.channel_format == "nhwc" else 1
    shapes = [operation.output.shape for operation in module.function.operations if operation.opcode == "top.Input"]
    likely = {i for i, shape in enumerate(shapes) if len(shape) == 3 or (len(shape) == 4 and shape[axis] <= MAX_CHANNELS)}
    chosen = values.preprocess_list or likely
    if chosen:
        record_preprocess(module, preprocess, chosen)

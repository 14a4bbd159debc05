"""What is said about an image before it is fed, and where a network keeps it: in the attributes of its ``top.Input``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from tpumlir_core.errors import InputError
from tpumlir_core.ir import Module, top

PIXEL_FORMATS = ("bgr", "rgb", "gray", "rgba")
CHANNEL_FORMATS = ("nchw", "nhwc", "none")
KEEP_RATIO_MODES = ("letterbox", "short_side_scale")
PAD_TYPES = ("center", "normal")


@dataclass(frozen=True)
class Preprocess:
    """How an image becomes an input: resized, cropped to the network's height and width, then (pixel - mean) * scale.

    ``resize_dims``: height and width to resize to, () for the network's own; what is larger than the network's is cropped in the
    middle. ``keep_aspect_ratio``: without distortion, by ``keep_ratio_mode``: "letterbox" fits the image into them and fills the
    rest with ``pad_value``, around it or (``pad_type`` "normal") right of and below it; "short_side_scale" covers them and crops
    what sticks out. ``mean`` and ``scale`` have one number for each channel of ``pixel_format``, in its order. The names and
    defaults are those of tpu-mlir 1.30.2. Raises InputError for what is none of these.
    """

    resize_dims: tuple[int, ...] = ()
    keep_aspect_ratio: bool = False
    keep_ratio_mode: str = "letterbox"
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    scale: tuple[float, ...] = (1.0, 1.0, 1.0)
    pixel_format: str = "bgr"
    channel_format: str = "nchw"
    pad_value: int = 0
    pad_type: str = "center"

    def __post_init__(self) -> None:
        _require("pixel_format", self.pixel_format, PIXEL_FORMATS)
        _require("channel_format", self.channel_format, CHANNEL_FORMATS)
        _require("keep_ratio_mode", self.keep_ratio_mode, KEEP_RATIO_MODES)
        _require("pad_type", self.pad_type, PAD_TYPES)
        if len(self.resize_dims) not in (0, 2) or min(self.resize_dims, default=1) < 1:
            raise InputError(f"resize_dims {list(self.resize_dims)}: a height and a width are needed, as in 256,256")
        if not 0 <= self.pad_value <= 255:
            raise InputError(f"pad_value {self.pad_value}: a pixel is 0 to 255")
        if min(len(self.mean), len(self.scale)) < self.channels:
            raise InputError(f"mean and scale need {self.channels} numbers for {self.pixel_format}, one a channel")

    @property
    def channels(self) -> int:
        """Channels of an image in ``pixel_format``."""
        return {"gray": 1, "rgba": 4}.get(self.pixel_format, 3)

    @property
    def channel_order(self) -> str:
        """One letter for each channel of an image, in the network's order."""
        return "g" if self.pixel_format == "gray" else self.pixel_format

    def attributes(self) -> dict[str, Any]:
        """The attributes of ``top.Input`` that say so, under the reference's names; all of them, as its reader wants."""
        given = {name: getattr(self, name) for name in _NAMES if name != "resize_dims"}
        dims = {"resize_dims": self.resize_dims} if self.resize_dims else {}
        return {"do_preprocess": True, "yuv_type": "", **given, **dims}


_NAMES = tuple(Preprocess.__dataclass_fields__)


def crop_offsets(size: Sequence[int], wanted: Sequence[int]) -> tuple[int, int]:
    """Where the middle of an image begins: row and column. Raises InputError for an image that is smaller than what is wanted."""
    top_, left = size[0] // 2 - wanted[0] // 2, size[1] // 2 - wanted[1] // 2
    if min(top_, left) < 0:
        raise InputError(f"resize_dims {list(size)} are smaller than the input, {wanted[0]}x{wanted[1]}")
    return top_, left


def _require(name: str, value: str, choices: Collection[str]) -> None:
    if value not in choices:
        raise InputError(f"{name} {value}: there is {', '.join(choices)}")


def record_preprocess(module: Module, preprocess: Preprocess, inputs: Collection[int] = ()) -> None:
    """Write preprocessing into a Top module: into the inputs at these positions from 0, or into all. Raises InputError for others."""
    operations = [operation for operation in module.function.operations if isinstance(operation, top.Input)]
    beyond = [position for position in sorted(inputs) if position >= len(operations)]
    if beyond:
        raise InputError(f"there is no input {beyond[0] + 1} to preprocess, the network has {len(operations)}")
    for position in inputs or range(len(operations)):
        for name, value in preprocess.attributes().items():
            setattr(operations[position], name, value)


def recorded_preprocess(operation: top.Input) -> Preprocess:
    """The preprocessing in the attributes of an input; where there is none, that of the defaults. Raises InputError for a wrong one."""
    values = {name: getattr(operation, name) for name in _NAMES}
    try:
        return Preprocess(**{name: value for name, value in values.items() if value is not None})
    except InputError as error:
        raise InputError(f"input {operation.name}: {error}") from error

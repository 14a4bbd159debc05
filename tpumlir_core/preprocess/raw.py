"""Formats of raw images, as cameras and decoders give them and as a chip may take them: 8 bits, without mean and scale."""

from __future__ import annotations

from dataclasses import dataclass

from tpumlir_core.errors import UnsupportedError
from tpumlir_core.preprocess.options import Preprocess


@dataclass(frozen=True)
class RawFormat:
    """The pixels of an image of 8 bits: the order of the channels, and whether they lie plane by plane or pixel by pixel."""

    name: str
    pixel_format: str
    packed: bool = False

    @property
    def channels(self) -> int:
        return len(self.order)

    @property
    def order(self) -> str:
        """One letter a channel."""
        return "g" if self.pixel_format == "gray" else self.pixel_format

    def shape(self, batch: int, height: int, width: int) -> tuple[int, ...]:
        """Of ``batch`` images."""
        return (batch, height, width, self.channels) if self.packed else (batch, self.channels, height, width)


RAW_FORMATS = (
    RawFormat("RGB_PLANAR", "rgb"),
    RawFormat("RGB_PACKED", "rgb", packed=True),
    RawFormat("BGR_PLANAR", "bgr"),
    RawFormat("BGR_PACKED", "bgr", packed=True),
    RawFormat("GRAYSCALE", "gray"),
)
"""All that there are; the names are those of tpu-mlir 1.30.2."""

_REFUSED = (
    ("YUV", "chroma is subsampled, and its conversion differs from camera to camera; let the decoder give RGB or BGR"),
    ("RGBA", "networks take no alpha channel from images; drop it and give RGB"),
    ("_RAW", "a sensor's mosaic needs a camera's image processor; give what that makes of it, RGB or BGR"),
)
"""(part of a name of the reference's, why there is no such format here)."""


def raw_format(name: str) -> RawFormat:
    """The format of this name. Raises UnsupportedError that says why for one that there is not."""
    for known in RAW_FORMATS:
        if known.name == name.upper():
            return known
    names = ", ".join(known.name for known in RAW_FORMATS)
    reason = next((why for part, why in _REFUSED if part in name.upper()), f"there is {names}")
    raise UnsupportedError(f"customization format {name}: {reason}")


def raw_format_for(preprocess: Preprocess, name: str) -> RawFormat:
    """The raw format that a network takes: the one called ``name``, or with "" the one that its preprocessing says.

    Raises UnsupportedError where that is none, or one of other colours than the network's.
    """
    layout = "PACKED" if preprocess.channel_format == "nhwc" else "PLANAR"
    own = "GRAYSCALE" if preprocess.pixel_format == "gray" else f"{preprocess.pixel_format.upper()}_{layout}"
    found = raw_format(name or own)
    if sorted(found.order) != sorted(preprocess.channel_order):
        raise UnsupportedError(f"customization format {found.name}: the network takes {preprocess.pixel_format} images")
    return found

"""The options that say how images become inputs."""

from __future__ import annotations

from typing import Any

import click

from tpumlir_core.cli.options import Decorated, read_positions, text_option
from tpumlir_core.errors import InputError

_FORMATS = "rgb, bgr, gray or rgba"


def read_numbers(ctx: click.Context, param: click.Parameter, value: str) -> tuple[float, ...]:
    """``123.7,116.3,103.5``."""
    try:
        return tuple(float(word) for word in value.split(",")) if value else ()
    except ValueError:
        raise click.BadParameter(f"{value!r} is not numbers separated by commas", ctx, param) from None


def read_dims(ctx: click.Context, param: click.Parameter, value: str) -> tuple[int, ...]:
    """``256,256``."""
    numbers = read_numbers(ctx, param, value)
    if any(number != int(number) for number in numbers):
        raise click.BadParameter(f"{value!r} is not a height and a width, as in 256,256", ctx, param)
    return tuple(int(number) for number in numbers)


def preprocess_options(command: Decorated) -> Decorated:
    """The options that ``take_preprocess`` reads."""
    for option in reversed(
        (
            text_option("--resize-dims", read_dims, "H,W", "Size that images are resized to, then cropped; default: the input's."),
            click.option("--keep-aspect-ratio", is_flag=True, help="Resize images without distortion."),
            click.option("--keep-ratio-mode", default="", metavar="MODE", help="letterbox (pads; the default) or short_side_scale."),
            text_option("--mean", read_numbers, "NUMBERS", "A number for each channel: (pixel - mean) * scale is fed."),
            text_option("--scale", read_numbers, "NUMBERS", "The same."),
            click.option("--pixel-format", default="", metavar="FORMAT", help=f"{_FORMATS}, which is the order of channels; default: bgr."),
            click.option("--channel-format", default="", metavar="FORMAT", help="nchw (the default), nhwc, or none: no image."),
            click.option("--pad-value", type=click.IntRange(0, 255), help="Pixel around letterboxed images; default: 0."),
            click.option("--pad-type", default="", metavar="TYPE", help="center (the default), or normal: pad right and below only."),
            text_option("--preprocess-list", read_positions, "NUMBERS", "The inputs that images are for, counted from 1; default: all."),
        )
    ):
        command = option(command)
    return command


def take_preprocess(values: dict[str, Any]) -> dict[str, Any]:
    """Take the values of ``preprocess_options`` out of a command's arguments: the fields of ImportOptions that they give."""
    from tpumlir_core.preprocess import Preprocess

    names = [name for name in Preprocess.__dataclass_fields__ if name in values]
    given = {name: value for name in names if (value := values.pop(name)) not in ("", (), None, False)}
    preprocess = Preprocess(**given) if given else None
    chosen = values.pop("preprocess_list")
    if chosen and preprocess is None:
        raise InputError("--preprocess-list names inputs, but no option says how to preprocess; give --mean, --scale or another")
    return {"preprocess": preprocess, "preprocess_inputs": chosen}

"""The options of what lowers a network: tables, and what integer modes leave to choose."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tpumlir_core.cli.options import FILE, Decorated, read_positions, text_option
from tpumlir_core.errors import InputError

if TYPE_CHECKING:
    from tpumlir_core.passes import FusePreprocess
    from tpumlir_core.plugins.extension_points import LoweringOptions, Positions


_FORMATS = "RGB_PLANAR, RGB_PACKED, BGR_PLANAR, BGR_PACKED or GRAYSCALE"


def lowering_options(command: Decorated) -> Decorated:
    """The options that ``take_lowering_options`` and ``take_fusion`` read."""
    for option in reversed(
        (
            click.option("--calibration-table", type=FILE, help="Ranges of the tensors, from `tpumlir calibrate`: for INT8, and F16."),
            click.option("--quantize-table", type=FILE, help="Lines `NAME MODE`: operations that get another mode than --quantize."),
            click.option("--asymmetric", is_flag=True, help="INT8 with zero points."),
            click.option("--quant-input", is_flag=True, help="Inputs keep the type of the compiled network, without a cast."),
            click.option("--quant-output", is_flag=True, help="The same for outputs."),
            text_option("--quant-input-list", read_positions, "NUMBERS", "The same for these inputs only, counted from 1: 1,3."),
            text_option("--quant-output-list", read_positions, "NUMBERS", "The same for these outputs only."),
            click.option("--fuse-preprocess", is_flag=True, help="Take raw images of 8 bits: crop, mean, scale and order are the chip's."),
            click.option("--customization-format", default="", metavar="FORMAT", help=f"Of these: {_FORMATS}. [default: the input's]"),
        )
    ):
        command = option(command)
    return command


def take_lowering_options(values: dict[str, Any]) -> LoweringOptions:
    """Take the values of ``lowering_options`` out of a command's arguments and read the tables."""
    from tpumlir_core.plugins.extension_points import LoweringOptions
    from tpumlir_core.tables import read_calibration_table, read_quantization_table

    calibration: Path | None = values.pop("calibration_table")
    modes: Path | None = values.pop("quantize_table")
    return LoweringOptions(
        modes=read_quantization_table(modes) if modes else {},
        calibration=read_calibration_table(calibration) if calibration else {},
        asymmetric=values.pop("asymmetric"),
        quant_inputs=_take_positions(values, "quant_input"),
        quant_outputs=_take_positions(values, "quant_output"),
    )


def take_fusion(values: dict[str, Any]) -> FusePreprocess | None:
    """Take ``--fuse-preprocess`` and ``--customization-format`` out of a command's arguments."""
    from tpumlir_core.passes import FusePreprocess

    wanted, customization_format = values.pop("fuse_preprocess"), values.pop("customization_format")
    if customization_format and not wanted:
        raise InputError("--customization-format says what images --fuse-preprocess takes; give that too")
    return FusePreprocess(customization_format) if wanted else None


def _take_positions(values: dict[str, Any], name: str) -> Positions:
    from tpumlir_core.plugins.extension_points import Positions

    every, chosen = values.pop(name), values.pop(f"{name}_list")
    return Positions(chosen, every and not chosen)

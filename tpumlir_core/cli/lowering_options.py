"""The options of what lowers a network: tables, and what integer modes leave to choose."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tpumlir_core.cli.options import FILE, Decorated, read_positions, text_option

if TYPE_CHECKING:
    from tpumlir_core.plugins.extension_points import LoweringOptions, Positions


def lowering_options(command: Decorated) -> Decorated:
    """The options that ``take_lowering_options`` reads."""
    for option in reversed(
        (
            click.option("--calibration-table", type=FILE, help="Ranges of the tensors, for INT8; `tpumlir calibrate` makes it."),
            click.option("--quantize-table", type=FILE, help="Lines `NAME MODE`: operations that get another mode than --quantize."),
            click.option("--asymmetric", is_flag=True, help="INT8 with zero points."),
            click.option("--quant-input", is_flag=True, help="Inputs keep the type of the compiled network, without a cast."),
            click.option("--quant-output", is_flag=True, help="The same for outputs."),
            text_option("--quant-input-list", read_positions, "NUMBERS", "The same for these inputs only, counted from 1: 1,3."),
            text_option("--quant-output-list", read_positions, "NUMBERS", "The same for these outputs only."),
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


def _take_positions(values: dict[str, Any], name: str) -> Positions:
    from tpumlir_core.plugins.extension_points import Positions

    every, chosen = values.pop(name), values.pop(f"{name}_list")
    return Positions(chosen, every and not chosen)

"""``tpumlir qtable``: a network, its calibration table and samples to a quantization table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tpumlir_core.cli.calibration_options import sample_options, take_samples
from tpumlir_core.cli.options import FILE, json_option, plugin_option

_LISTED = 10
"""Units that are printed."""


@click.command("qtable")
@click.argument("mlir", type=FILE)
@click.option("--chip", required=True, help="The target, as `tpumlir plugins list` names it.")
@click.option("--calibration-table", type=FILE, required=True, help="Ranges of the tensors; `tpumlir calibrate` makes it.")
@click.option("-o", "--output", "--quantize-table", type=FILE, required=True, help="The quantization table to write.")
@click.option("--min-cos", type=click.FloatRange(0, 1), default=0.99, show_default=True, help="Least cosine of outputs with the floats'.")
@click.option("--float-mode", default="", metavar="MODE", help="What operations get instead; default: F16 where the chip has it, else F32.")
@click.option("--asymmetric", is_flag=True, help="INT8 with zero points.")
@sample_options
@plugin_option
@json_option
def command(
    mlir: Path, chip: str, calibration_table: Path, output: Path, min_cos: float, float_mode: str, asymmetric: bool, as_json: bool,
    **rest: Any,
) -> int:
    """Search the operations of the Top network in MLIR that have to stay floats, and write a quantization table.

    They are those whose 8 bits add most error to the outputs, as few as it takes. Exit code 1 where not even all do.
    """
    from tpumlir_core import api
    from tpumlir_core.cli.report import session
    from tpumlir_core.errors import InputError
    from tpumlir_core.files import check_output
    from tpumlir_core.mixed_precision import Search
    from tpumlir_core.plugins import TARGET
    from tpumlir_core.plugins.extension_points import LoweringOptions
    from tpumlir_core.tables import read_calibration_table, write_quantization_table

    check_output(output)
    run = session(rest)
    samples = take_samples(rest)
    if not samples:
        raise InputError("qtable needs samples: --dataset FOLDER or --data-list FILE")
    module = api.open_module(mlir, session=run)
    mode = float_mode.upper() or ("F16" if "F16" in run.plugins.get(TARGET, chip).modes() else "F32")
    lowering = LoweringOptions(calibration=read_calibration_table(calibration_table), asymmetric=asymmetric)
    found = api.search_modes(module, chip=chip, wanted=Search(samples, min_cos, float_mode=mode), lowering=lowering, session=run)
    write_quantization_table(output, found.modes)
    _print(output, found, as_json)
    return int(found.cosine < min_cos)


def _print(output: Path, found: Any, as_json: bool) -> None:
    from dataclasses import asdict

    from tpumlir_core.cli.output import print_json, print_table

    if as_json:
        print_json({"output": str(output), **asdict(found)})
        return
    rows = [(unit.name, f"{unit.noise:.2e}", "float" if unit.name in found.modes else "8 bits") for unit in found.units[:_LISTED]]
    if rows:
        print_table(("from", "noise", "kept"), rows, ("noise",))
    before, after = f"{found.cosine_before:.5f}", f"{found.cosine:.5f}"
    click.echo(f"{output}: {len(found.modes)} operations in floats; least cosine of an output {before} without them, {after} with")

"""``tpumlir calibrate``: a network and samples to a calibration table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tpumlir_core.cli.calibration_options import calibration_options, take_calibration
from tpumlir_core.cli.options import FILE, import_options, json_option, plugin_option, take_import_options
from tpumlir_core.cli.preprocess_options import preprocess_options

if TYPE_CHECKING:
    from tpumlir_core.calibration import Calibration


@click.command("calibrate")
@click.argument("model", type=FILE)
@click.option("-o", "--output", "--calibration-table", type=FILE, required=True, help="The calibration table to write.")
@click.option("--save-mlir", type=FILE, help="Write the network too, as --effort high changes it: the table is for that one.")
@calibration_options
@import_options
@preprocess_options
@plugin_option
@json_option
def command(model: Path, output: Path, save_mlir: Path | None, as_json: bool, **rest: Any) -> None:
    """Find the range of every tensor of MODEL (.mlir or a source model) on real samples, and write a calibration table."""
    from tpumlir_core import api
    from tpumlir_core.calibration import STAGE
    from tpumlir_core.cli.output import print_json
    from tpumlir_core.cli.report import session
    from tpumlir_core.files import check_output
    from tpumlir_core.plugins.extension_points import Effort
    from tpumlir_core.tables import TableOrigin, write_calibration_table

    for path in filter(None, (output, save_mlir)):
        check_output(path)
    run = session(rest)
    calibration = _take(rest, save_mlir)
    options = take_import_options(rest)
    opened = api.open_module if model.suffix == api.TEXT_SUFFIX else api.transform
    module = opened(model, options=options, session=run)
    ranges = api.calibrate(module, calibration, session=run)
    samples, seconds = len(calibration.samples), run.seconds[STAGE]
    tuned = 0 if calibration.effort is Effort.LOW else min(calibration.tuned, samples)
    if save_mlir is not None:
        api.save_module(module, save_mlir)
    write_calibration_table(output, ranges, TableOrigin(model.name, calibration.method, samples, tuned))
    if as_json:
        print_json({"output": str(output), "method": calibration.method, "tensors": len(ranges), "samples": samples, "seconds": seconds})
    else:
        click.echo(f"{output}: {len(ranges)} tensors, {calibration.method}, {samples} samples in {seconds:.1f} s")


def _take(values: dict[str, Any], save_mlir: Path | None) -> Calibration:
    """What to calibrate on. Raises InputError where there is nothing, or no place for what high effort changes."""
    from tpumlir_core.errors import InputError
    from tpumlir_core.plugins.extension_points import Effort

    calibration = take_calibration(values)
    if calibration is None:
        raise InputError("calibrate needs samples: --dataset FOLDER or --data-list FILE")
    if calibration.effort is Effort.HIGH and save_mlir is None:
        raise InputError("--effort high changes weights of the network; name a file for it with --save-mlir, and deploy that one")
    return calibration

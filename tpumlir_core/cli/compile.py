"""``tpumlir compile``: a network to a compiled file, in one step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tpumlir_core.cli.calibration_options import calibration_options, take_calibration
from tpumlir_core.cli.lowering_options import lowering_options, take_fusion, take_lowering_options
from tpumlir_core.cli.options import (
    FILE,
    check_passes,
    frontend_option,
    import_options,
    json_option,
    plugin_option,
    print_after_option,
    take_import_options,
    take_verification,
    verification_options,
)
from tpumlir_core.cli.preprocess_options import preprocess_options


@click.command("compile")
@click.argument("model", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, help="The compiled file.")
@click.option("--chip", required=True, help="The target, as `tpumlir plugins list` names it.")
@click.option("--quantize", default="F32", show_default=True, help="F32, F16, BF16 or INT8; what the quantizers and the chip have.")
@frontend_option
@import_options
@preprocess_options
@print_after_option
@lowering_options
@calibration_options
@verification_options
@plugin_option
@json_option
def command(
    model: Path, output: Path, chip: str, quantize: str, frontend: str, print_after: tuple[str, ...], as_json: bool, **rest: Any
) -> None:
    """Compile MODEL (a source model or .mlir) for a chip."""
    from tpumlir_core import api
    from tpumlir_core.cli.report import print_artifact, session
    from tpumlir_core.errors import InputError
    from tpumlir_core.files import check_output

    check_output(output)
    run = session(rest)
    check_passes(print_after, run)
    lowering, calibration = take_lowering_options(rest), take_calibration(rest)
    if calibration is not None and (lowering.calibration or quantize.upper() != "INT8"):
        raise InputError("--dataset and --data-list are for --quantize INT8 without a --calibration-table")
    artifact = api.compile(
        model,
        chip=chip,
        quantize=quantize.upper(),
        options=take_import_options(rest),
        lowering=lowering,
        fuse=take_fusion(rest),
        calibration=calibration,
        frontend=frontend,
        print_after=print_after,
        verification=take_verification(rest),
        session=run,
    )
    api.save_artifact(artifact, output)
    print_artifact(artifact, output, as_json, run)

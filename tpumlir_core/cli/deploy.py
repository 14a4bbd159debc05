"""``tpumlir deploy``: MLIR text and weights to a compiled file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tpumlir_core.cli.lowering_options import lowering_options, take_fusion, take_lowering_options
from tpumlir_core.cli.options import FILE, json_option, plugin_option, take_verification, verification_options


@click.command("deploy")
@click.argument("mlir", type=FILE)
@click.option("--chip", required=True, help="The target, as `tpumlir plugins list` names it.")
@click.option("--quantize", default="F32", show_default=True, help="F32, F16, BF16 or INT8; what the quantizers and the chip have.")
@click.option("-o", "--output", "--model", type=FILE, required=True, help="The compiled file.")
@click.option("--save-mlir", type=FILE, help="Also write the lowered network here, as .mlir, for `run` and `eval`.")
@lowering_options
@verification_options
@plugin_option
@json_option
def command(mlir: Path, chip: str, quantize: str, output: Path, save_mlir: Path | None, as_json: bool, **rest: Any) -> None:
    """Compile the Top network in MLIR for a chip."""
    from tpumlir_core import api
    from tpumlir_core.cli.report import print_artifact, session
    from tpumlir_core.files import check_output

    check_output(output)
    if save_mlir is not None:
        check_output(save_mlir)
    run = session(rest)
    module = api.open_module(mlir, session=run)
    artifact = api.deploy(
        module,
        chip=chip,
        quantize=quantize.upper(),
        lowering=take_lowering_options(rest),
        fuse=take_fusion(rest),
        verification=take_verification(rest),
        save_lowered=save_mlir,
        session=run,
    )
    api.save_artifact(artifact, output)
    print_artifact(artifact, output, as_json, run)

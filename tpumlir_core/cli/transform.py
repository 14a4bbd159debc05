"""``tpumlir transform``: a source model to MLIR text and weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

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


@click.command("transform")
@click.argument("model", type=FILE)
@click.option("--mlir", "output", type=FILE, required=True, help="The .mlir to write; its weights come beside it.")
@frontend_option
@import_options
@preprocess_options
@print_after_option
@verification_options
@plugin_option
@json_option
def command(model: Path, output: Path, frontend: str, print_after: tuple[str, ...], as_json: bool, **rest: Any) -> None:
    """Import MODEL as an optimized Top network."""
    from tpumlir_core import api
    from tpumlir_core.cli.report import print_module, session
    from tpumlir_core.files import check_output

    check_output(output)
    run = session(rest)
    check_passes(print_after, run)
    module = api.transform(
        model,
        options=take_import_options(rest),
        frontend=frontend,
        print_after=print_after,
        verification=take_verification(rest),
        session=run,
    )
    api.save_module(module, output)
    print_module(module, output, as_json)

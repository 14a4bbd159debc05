"""``tpumlir run``: what a file computes on given inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tpumlir_core.cli.options import (
    FILE,
    frontend_option,
    import_options,
    json_option,
    plugin_option,
    read_inputs,
    take_import_options,
)
from tpumlir_core.cli.preprocess_options import preprocess_options


@click.command("run")
@click.argument("file", type=FILE)
@click.option("--input", "inputs", type=FILE, required=True, metavar="FILES", help="An .npz with all inputs, or an image or .npy each.")
@click.option("--output", type=FILE, required=True, help="The .npz to write.")
@click.option("--runner", default="", help="The runner of a compiled file, or the interpreter of .mlir.")
@click.option("--dump-all", is_flag=True, help="Write every tensor that can be had, not only the outputs.")
@frontend_option
@import_options
@preprocess_options
@plugin_option
@json_option
def command(
    file: Path, inputs: Path, output: Path, runner: str, frontend: str, dump_all: bool, as_json: bool, **rest: Any
) -> None:
    """Run FILE: a source model, .mlir or a compiled file."""
    from tpumlir_core import api
    from tpumlir_core.cli.output import print_json, print_table
    from tpumlir_core.cli.report import session
    from tpumlir_core.errors import InputError
    from tpumlir_core.files import check_output, write_npz

    check_output(output)
    if runner and frontend:
        raise InputError("--runner is for compiled files and .mlir, --frontend for source models; give one of them")
    options = take_import_options(rest)
    arrays = api.run(
        file, read_inputs(inputs), runner=runner, frontend=frontend, options=options, dump_all=dump_all, session=session(rest)
    )
    write_npz(output, arrays)
    facts = [{"name": name, "shape": list(array.shape), "type": str(array.dtype)} for name, array in arrays.items()]
    if as_json:
        print_json({"output": str(output), "tensors": facts})
    else:
        print_table(("tensor", "shape", "type"), [(fact["name"], fact["shape"], fact["type"]) for fact in facts])

"""``tpumlir extract``: every stage of a bmodel in a file of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tpumlir_core.cli.compiled import read_compiled
from tpumlir_core.cli.options import FILE, json_option
from tpumlir_core.cli.output import print_json


@click.command("extract")
@click.argument("file", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, help="The folder for the files; made where it is not there.")
@json_option
def command(file: Path, output: Path, as_json: bool) -> None:
    """Write every stage of every network of a bmodel FILE as a bmodel of its own: bm_net0_stage0.bmodel, ..."""
    from tpumlir_core.bmodel import extract_all, model_parts
    from tpumlir_core.files import make_folder, write_parts

    stages = extract_all(read_compiled(file)[1])
    make_folder(output)
    written: list[dict[str, Any]] = []
    for stem, model in stages.items():
        path, parts = output / f"{stem}.bmodel", model_parts(model)
        write_parts(path, parts)
        stage = model.net[0].parameter[0]
        inputs = {tensor.name or "": list(tensor.shape[0].dim) if tensor.shape else [] for tensor in stage.input_tensor}
        written.append({"output": str(path), "bytes": sum(map(len, parts)), "network": model.net[0].name, "inputs": inputs})
    if as_json:
        print_json({"file": str(file), "outputs": written})
        return
    for one in written:
        shapes = ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in one["inputs"].items())
        click.echo(f"{one['output']}: {one['bytes']:,} bytes, network {one['network']}, inputs {shapes}")

"""``tpumlir combine``: several bmodels in one file."""

from __future__ import annotations

from pathlib import Path

import click

from tpumlir_core.cli.compiled import read_compiled
from tpumlir_core.cli.options import FILE, json_option
from tpumlir_core.cli.output import print_json


@click.command("combine")
@click.argument("files", type=FILE, nargs=-1, required=True)
@click.option("-o", "--output", type=FILE, required=True, help="The bmodel with all networks.")
@json_option
def command(files: tuple[Path, ...], output: Path, as_json: bool) -> None:
    """Put the networks of several bmodel FILES of one chip into one; those of one name become stages of one network.

    The runtime chooses the stage by the input shapes that it is given.
    """
    from tpumlir_core.bmodel import combine, model_parts
    from tpumlir_core.files import check_output, write_parts

    check_output(output)
    model = combine([read_compiled(file)[1] for file in files])
    parts = model_parts(model)
    size = sum(map(len, parts))
    write_parts(output, parts)
    stages = {net.name or "": len(net.parameter) for net in model.net}
    if as_json:
        print_json({"output": str(output), "bytes": size, "networks": [{"name": n, "stages": s} for n, s in stages.items()]})
        return
    listed = ", ".join(f"{name} ({count} stages)" if count > 1 else name for name, count in stages.items())
    click.echo(f"{output}: {size:,} bytes, networks {listed}")

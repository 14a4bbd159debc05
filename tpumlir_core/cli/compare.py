"""``tpumlir compare``: the tensors of two files."""

from __future__ import annotations

from pathlib import Path

import click

from tpumlir_core.cli.options import FILE, json_option, read_words, tolerance_option


@click.command("compare")
@click.argument("target", type=FILE)
@click.argument("reference", type=FILE)
@tolerance_option
@click.option("--excepts", callback=read_words, default="", metavar="NAMES", help="Tensors to leave out: a,b.")
@json_option
def command(target: Path, reference: Path, tolerance: tuple[float, float], excepts: tuple[str, ...], as_json: bool) -> int:
    """Compare TARGET.npz with REFERENCE.npz, worst tensor first. Exit code 1 when one differs more than the tolerance."""
    from tpumlir_core.cli.output import print_json
    from tpumlir_core.files import read_npz
    from tpumlir_core.verify import compare_tensors

    report = compare_tensors(read_npz(target), read_npz(reference), tolerance, excepts)
    if as_json:
        print_json(report.to_json())
    else:
        from rich.console import Console

        Console().print(report.table())
    return 0 if report.passed else 1

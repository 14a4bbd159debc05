"""``tpumlir eval``: how right a network is at each stage, what it loses from one to the next, and in which layers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tpumlir_core.cli.options import FILE, import_options, json_option, plugin_option, take_import_options
from tpumlir_core.cli.preprocess_options import preprocess_options
from tpumlir_core.errors import InputError

if TYPE_CHECKING:
    from tpumlir_core.evaluation import Accuracy, Labelled, LayerLoss
    from tpumlir_core.plugins.extension_points import ImportOptions
    from tpumlir_core.stages import Session

_WORST = 20
"""Layers in a table."""


@click.command("eval")
@click.argument("files", type=FILE, nargs=-1, required=True)
@click.option("--dataset", type=FILE, required=True, metavar="FOLDER", help="Samples: images, .npz or .npy; sub-folders are classes.")
@click.option("--labels", type=FILE, help="File with a line `NAME LABEL` a sample, in place of sub-folders.")
@click.option("--label-pattern", default="", metavar="REGEX", help="The label is this group of a file's name: '_([0-9]+)[.]'.")
@click.option("--no-labels", is_flag=True, help="There are no labels; compare with the first file only.")
@click.option("--label-offset", type=int, default=0, help="Added to every label; 1 for networks with a class for background.")
@click.option("--input-num", type=click.IntRange(0), default=0, help="How many of the samples to use; default: all.")
@click.option("--scores", default="", metavar="NAME", help="The output that holds the scores of the classes; default: the first.")
@click.option("--runner", default="", help="The runner of compiled files.")
@click.option("--layers", type=click.IntRange(1), metavar="SAMPLES", help="Compare the layers of two .mlir on so many samples instead.")
@import_options
@preprocess_options
@plugin_option
@json_option
def command(files: tuple[Path, ...], dataset: Path, layers: int | None, as_json: bool, **rest: Any) -> None:
    """Evaluate FILES, stages of one classifier, on labelled images: source model, .mlir, compiled file.

    The first file is what the others are compared with.
    """
    from tpumlir_core.cli.report import session
    from tpumlir_core.evaluation import Labels, list_labelled

    run = session(rest)
    names = {"file": "labels", "pattern": "label_pattern", "none": "no_labels", "offset": "label_offset"}
    labels = Labels(**{name: rest.pop(option) for name, option in names.items()})
    samples = list_labelled(dataset, labels, rest.pop("input_num") if layers is None else layers)
    scores, runner, options = rest.pop("scores"), rest.pop("runner"), take_import_options(rest)
    if layers is not None:
        _print_layers(files, _compare_layers(files, samples, options, run), as_json)
    else:
        _print_accuracies(files, _evaluate(files, samples, options, runner, scores, run), as_json)


def _evaluate(
    files: Sequence[Path], samples: Sequence[Labelled], options: ImportOptions, runner: str, scores: str, run: Session
) -> list[Accuracy]:
    from tpumlir_core import api
    from tpumlir_core.evaluation.accuracy import accuracy

    best = api.evaluate(files, samples, options=options, runner=runner, output=scores, session=run)
    return [accuracy(one, [sample.label for sample in samples], best[0]) for one in best]


def _compare_layers(files: Sequence[Path], samples: Sequence[Labelled], options: ImportOptions, run: Session) -> list[LayerLoss]:
    from tpumlir_core import api

    if len(files) != 2 or any(file.suffix != api.TEXT_SUFFIX for file in files):
        raise InputError("--layers compares two .mlir, the original first; `tpumlir deploy --save-mlir` writes the lowered one")
    original, lowered = (api.open_module(file, options=options, session=run) for file in files)
    return api.layer_losses(original, lowered, [sample.sample for sample in samples], session=run)


def _print_accuracies(files: Sequence[Path], found: Sequence[Accuracy], as_json: bool) -> None:
    from dataclasses import asdict

    from tpumlir_core.cli.output import print_json, print_table

    drops = [{name: _drop(getattr(one, name), getattr(found[0], name)) for name in ("top1", "top5")} for one in found]
    if as_json:
        print_json([
            {"file": str(file), **asdict(one), "top1_drop": drop["top1"], "top5_drop": drop["top5"]}
            for file, one, drop in zip(files, found, drops, strict=True)
        ])
        return
    numbers = ("top-1 %", "top-5 %", "top-1 drop", "top-5 drop", "agreement %", "samples/s")
    rows = [
        (file, *(_percent(share) for share in (one.top1, one.top5, drop["top1"], drop["top5"], one.agreement)), _rate(one))
        for file, one, drop in zip(files, found, drops, strict=True)
    ]
    print_table(("file", *numbers), rows, numbers)
    click.echo(f"{found[0].samples} samples, {found[0].labelled} with a label; agreement: the same best class as {files[0]}")


def _print_layers(files: Sequence[Path], found: Sequence[LayerLoss], as_json: bool) -> None:
    from dataclasses import asdict

    from tpumlir_core.cli.output import print_json, print_table

    if as_json:
        print_json([asdict(one) for one in found])
        return
    numbers = ("adds %", "error %", "cosine")
    rows = [(one.name, one.operation, one.element, _percent(one.added), _percent(one.error), f"{one.cosine:.6f}") for one in found]
    print_table(("tensor", "operation", "type", *numbers), rows[:_WORST], numbers)
    click.echo(f"{len(rows)} tensors of {files[1]} beside {files[0]}, those whose layers add most error first")


def _drop(share: float | None, before: float | None) -> float | None:
    return None if share is None or before is None else before - share


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}"


def _rate(one: Accuracy) -> str:
    return f"{one.samples / one.seconds:.1f}" if one.seconds else "-"

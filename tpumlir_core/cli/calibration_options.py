"""The options of what learns from samples of a network: the samples, and how it is calibrated."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tpumlir_core.cli.options import FILE, Decorated
from tpumlir_core.errors import InputError

if TYPE_CHECKING:
    from tpumlir_core.calibration import Calibration
    from tpumlir_core.preprocess import Sample


def sample_options(command: Decorated) -> Decorated:
    """The options that ``take_samples`` reads."""
    for option in reversed(
        (
            click.option("--dataset", type=FILE, metavar="FOLDER", help="Folder of samples: images, .npz or .npy, also in folders of it."),
            click.option("--data-list", type=FILE, help="File with a sample a line: the file of each input, separated by commas."),
            click.option("--input-num", type=click.IntRange(0), default=0, help="How many of the samples to use; default: all."),
        )
    ):
        command = option(command)
    return command


def take_samples(values: dict[str, Any]) -> list[Sample] | None:
    """Take the values of ``sample_options`` out of a command's arguments and list the samples; None where none are named."""
    from tpumlir_core.preprocess import list_samples, read_sample_list

    folder: Path | None = values.pop("dataset")
    listed: Path | None = values.pop("data_list")
    count: int = values.pop("input_num")
    if folder is not None and listed is not None:
        raise InputError("--dataset and --data-list both name samples; give one of them")
    if folder is not None:
        return list(list_samples(folder, count))
    return None if listed is None else list(read_sample_list(listed, count))


def calibration_options(command: Decorated) -> Decorated:
    """The options that ``take_calibration`` reads."""
    for option in reversed(
        (
            click.option("--method", "--cali-method", default="", help="The calibrator, as `plugins list` names it; default: percentile."),
            click.option(
                "--effort", type=click.Choice(["low", "normal", "high"]), default="low", show_default=True,
                help="normal: ranges are tuned on what operations make of them; high: weights are changed for it too.",
            ),
            click.option("--tune-num", type=click.IntRange(1), default=5, show_default=True, help="Samples that are used for that."),
        )
    ):
        command = option(command)
    return sample_options(command)


def take_calibration(values: dict[str, Any]) -> Calibration | None:
    """Take the values of ``calibration_options`` out of a command's arguments and list the samples; None where none are named."""
    from tpumlir_core.calibration import DEFAULT_METHOD, Calibration
    from tpumlir_core.plugins.extension_points import Effort

    method = values.pop("method") or DEFAULT_METHOD
    effort, tuned = Effort(values.pop("effort")), values.pop("tune_num")
    samples = take_samples(values)
    return None if samples is None else Calibration(samples, method, effort=effort, tuned=tuned)

"""The samples that networks are calibrated and searched on, and the flags that name them."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from tpumlir_compat.flags import Flag, acts
from tpumlir_core.errors import InputError

if TYPE_CHECKING:
    from tpumlir_core.preprocess import Sample

FLAGS: tuple[Flag, ...] = (
    acts("--dataset", "folder of samples: images, .npz or .npy, also in folders of it; the same ones as the reference takes"),
    acts("--data_list", "file with a sample a line: the file of each input, separated by commas"),
)
"""``--input_num``, which ``read`` reads too, is each command's: its default differs."""


def read(values: Namespace) -> list[Sample]:
    """``--input_num`` of them. A list counts for more than a folder, as in the reference. Raises InputError where none are named."""
    from tpumlir_core.preprocess import list_samples, read_sample_list

    count = max(values.input_num, 0)
    if values.data_list:
        return read_sample_list(Path(values.data_list), count)
    if values.dataset:
        return list_samples(Path(values.dataset), count)
    raise InputError("name samples with --dataset FOLDER or --data_list FILE")

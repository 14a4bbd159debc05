"""Inputs to check a network with, as --test_input names them: an .npz, or an image or .npy for each input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.files import read_npz
from tpumlir_core.ir import Array
from tpumlir_core.preprocess import InputSpec, is_image, is_sample_file, read_sample


def read_inputs(files: Sequence[str], specs: Sequence[InputSpec]) -> dict[str, Array]:
    """The array of each input. One image serves all inputs that have none of their own, an item as large as a batch its items."""
    paths = [Path(file).expanduser() for file in files]
    if len(paths) == 1 and not is_sample_file(paths[0]):
        return named(paths[0], read_npz(paths[0]), specs)
    if is_image(paths[0]):
        paths += paths[-1:] * (len(specs) - len(paths))
    if len(paths) != len(specs):
        raise InputError(f"--test_input: {len(paths)} files for the {len(specs)} inputs {', '.join(spec.name for spec in specs)}")
    return {spec.name: read_sample((path,), [spec])[spec.name] for path, spec in zip(paths, specs, strict=True)}


def named(path: Path, arrays: Mapping[str, Array], specs: Sequence[InputSpec]) -> dict[str, Array]:
    """Those of an .npz that inputs have; the only array there is goes to the only input, whatever it is called."""
    if len(arrays) == len(specs) == 1:
        return {specs[0].name: _batched(next(iter(arrays.values())), specs[0])}
    missing = [spec.name for spec in specs if spec.name not in arrays]
    if missing:
        raise InputError(f"{path}: no array for the input {', '.join(missing)}; there is {', '.join(sorted(arrays)) or 'nothing'}")
    return {spec.name: _batched(arrays[spec.name], spec) for spec in specs}


def _batched(array: Array, spec: InputSpec) -> Array:
    """An array of batch 1 as often as the input's batch is large, where it is one item of it."""
    if array.ndim == len(spec.shape) > 1 and array.shape[0] == 1 and array.shape[1:] == spec.shape[1:]:
        return np.repeat(array, spec.shape[0], axis=0)
    return array

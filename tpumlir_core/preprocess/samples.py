"""Samples: which files they are, and their arrays by input."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.files import read_head, read_npy, read_npz
from tpumlir_core.ir import Array, ElementType, Module, top
from tpumlir_core.preprocess.images import image_input, raw_image
from tpumlir_core.preprocess.options import Preprocess, recorded_preprocess
from tpumlir_core.preprocess.raw import RawFormat, raw_format

IMAGE_SUFFIXES = (".bmp", ".jfif", ".jpeg", ".jpg", ".png")
SAMPLE_SUFFIXES = (".npz", ".npy", *IMAGE_SUFFIXES)
SEED = 1684
"""Of the shuffling of a folder: with it the reference takes the same files (tpu-mlir 1.30.2)."""

Sample = tuple[Path, ...]
"""The files of one sample: an .npz with all inputs, or an image or .npy for each input, in the network's order."""


@dataclass(frozen=True)
class InputSpec:
    """What an input takes: its name and shape, and how an image becomes that; ``raw``: it takes images of 8 bits as they are."""

    name: str
    shape: tuple[int, ...]
    preprocess: Preprocess
    raw: RawFormat | None = None


def input_specs(module: Module, preprocess: Preprocess | None = None) -> list[InputSpec]:
    """What the inputs of a module take; images as it records, unless ``preprocess`` says otherwise."""
    return [_spec(operation, preprocess) for operation in module.function.operations if isinstance(operation, top.Input)]


def _spec(operation: top.Input, preprocess: Preprocess | None) -> InputSpec:
    value, name = operation.output, operation.customization_format
    raw = raw_format(name) if name and value.type.element is ElementType.UI8 else None
    return InputSpec(value.name, value.shape, preprocess or recorded_preprocess(operation), raw)


def is_image(path: Path) -> bool:
    """Whether a file is called as images are."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def is_sample_file(path: Path) -> bool:
    """Whether a file is called as those are that hold one input: an image or an .npy."""
    return is_image(path) or path.suffix.lower() == ".npy"


def list_samples(folder: Path, count: int = 0) -> list[Sample]:
    """``count`` files of a folder and those in it (0: all), each a sample, in an order that is random and always the same."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; name one with images, .npz or .npy files")
    files = sorted(str(file) for file in folder.glob("**/*") if file.suffix.lower() in SAMPLE_SUFFIXES)
    if not files:
        raise InputError(f"{folder}: no sample in it; a sample is a file {', '.join(SAMPLE_SUFFIXES)}")
    random.Random(SEED).shuffle(files)
    return [(Path(file),) for file in files[: count or None]]


def read_sample_list(path: Path, count: int = 0) -> list[Sample]:
    """``count`` samples (0: all) of a file with one a line: the file of each input, separated by commas."""
    read_head(path)
    try:
        lines = [line.strip() for line in path.read_bytes().decode().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable list of files: {error}") from error
    samples = [tuple(Path(word.strip()) for word in line.split(",")) for line in lines if line]
    if not samples:
        raise InputError(f"{path}: no sample in it; a line is a file, or one for each input separated by commas")
    return samples[: count or None]


def read_sample(sample: Sample, inputs: Sequence[InputSpec]) -> Mapping[str, Array]:
    """The arrays of one sample by input. Raises InputError that names the file."""
    if len(sample) == 1 and not is_sample_file(sample[0]):
        return read_npz(sample[0])
    if len(sample) != len(inputs):
        names = ", ".join(spec.name for spec in inputs)
        raise InputError(f"{sample[0]}: {len(sample)} files for the {len(inputs)} inputs {names}; give one each, or one .npz with all")
    return {spec.name: _read_input(path, spec) for path, spec in zip(sample, inputs, strict=True)}


def _read_input(path: Path, spec: InputSpec) -> Array:
    if is_image(path):
        read_head(path)
        if spec.raw is not None:
            return raw_image(path, spec.shape, spec.preprocess, spec.raw)
        return image_input(path, spec.shape, spec.preprocess)
    array = read_npy(path)
    if array.size != np.prod(spec.shape):
        raise InputError(f"{path}: it has the shape {list(array.shape)}, the input {spec.name} is {list(spec.shape)}")
    return array

"""Which class each sample of a folder belongs to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tpumlir_core.errors import InputError
from tpumlir_core.files import read_head
from tpumlir_core.preprocess import Sample, list_samples


@dataclass(frozen=True)
class Labels:
    """Where labels are from.

    ``file``: text with a line ``NAME LABEL`` a sample, NAME a path in the folder. ``pattern``: a regular expression, whose group is
    the label in a file's name. With neither it is the sub-folder that a sample lies in: its name where all are numbers, else its
    place among their sorted names, as ImageNet counts; samples in no sub-folder have no label. ``none``: nothing has one.
    ``offset`` is added to all.
    """

    file: Path | None = None
    pattern: str = ""
    none: bool = False
    offset: int = 0

    def __post_init__(self) -> None:
        if (self.file is not None) + bool(self.pattern) + self.none > 1:
            raise InputError("labels come from a file, from file names, or there are none; choose one")
        try:
            groups = re.compile(self.pattern).groups
        except re.error as error:
            raise InputError(f"label pattern {self.pattern!r}: {error}") from None
        if self.pattern and groups != 1:
            raise InputError(f"label pattern {self.pattern!r}: it needs one group, the label, as in _([0-9]+)")


@dataclass(frozen=True)
class Labelled:
    """A sample and its class, from 0; None where nobody says."""

    sample: Sample
    label: int | None = None


def list_labelled(folder: Path, labels: Labels = Labels(), count: int = 0) -> list[Labelled]:
    """``count`` samples of a folder (0: all), in an order that is random and always the same. Raises InputError for what lacks a label."""
    if labels.file is not None:
        known = _read_labels(labels.file, folder)
        found = [Labelled(s, known[s[0]]) for s in list_samples(folder) if s[0] in known][: count or None]
        if not found:
            raise InputError(f"{labels.file}: it names no sample of {folder}; the names are paths in that folder")
    else:
        samples = list_samples(folder, count)
        found = [Labelled(s) for s in samples] if labels.none else _by_name(folder, samples, labels.pattern)
    return [Labelled(one.sample, None if one.label is None else one.label + labels.offset) for one in found]


def _by_name(folder: Path, samples: list[Sample], pattern: str) -> list[Labelled]:
    if pattern:
        return [Labelled(sample, _in_name(sample[0], pattern)) for sample in samples]
    classes = _classes(folder)
    return [Labelled(sample, classes.get(sample[0].relative_to(folder).parts[0])) for sample in samples]


def _in_name(path: Path, pattern: str) -> int:
    match = re.search(pattern, path.name)
    if match is None or not (match[1] or "").isdecimal():
        raise InputError(f"{path}: the pattern {pattern!r} finds no number in its name; it should find the label")
    return int(match[1])


def _classes(folder: Path) -> Mapping[str, int]:
    """Class of each sub-folder."""
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    numbered = all(name.isdecimal() for name in names)
    return {name: int(name) if numbered else place for place, name in enumerate(names)}


def _read_labels(path: Path, folder: Path) -> dict[Path, int]:
    read_head(path)
    try:
        lines = path.read_bytes().decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable list of labels: {error}") from error
    labels: dict[Path, int] = {}
    for number, line in enumerate(lines, 1):
        words = line.rsplit(None, 1)
        if not words:
            continue
        if len(words) != 2 or not words[1].isdecimal():
            raise InputError(f"{path}: line {number} is not a name and a label, as in cat.jpg 281")
        labels[folder / words[0]] = int(words[1])
    return labels

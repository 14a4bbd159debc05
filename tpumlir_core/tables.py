"""Calibration tables and quantization tables: text files that TPU-MLIR 1.30.2 reads and writes too."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tpumlir_core import __version__
from tpumlir_core.errors import InputError
from tpumlir_core.files import read_head, write_bytes
from tpumlir_core.plugins.extension_points import CalibratedRange

_FORMAT = "1.0"
"""The version of the format of calibration tables."""
_SECTIONS = ("#asym_op", "#int4_th")
"""Comments behind which a calibration table has other things than ranges: names of operations, ranges for 4 bits."""
_MEANS = "#means"
"""Begins a line with the means of a tensor's channels, which is a comment to others: how many, the tensor's name, the means. Lines of
the same tensor follow each other."""
_IN_A_LINE = 128
"""Means; TPU-MLIR 1.30.2 ends with a segmentation fault on a comment of 100 kB."""
_LOSS = "#loss"
"""Begins a line with what 8 bits lose of a tensor: its name, the loss."""
_DIGITS = 8
"""Significant digits of the numbers of a table, at least."""
_MOST_DECIMALS = 20


@dataclass(frozen=True)
class TableOrigin:
    """What a calibration table says of how it was made: the network, the calibrator, how many samples it and tuning saw."""

    network: str
    method: str
    samples: int
    tuned: int = 0


def read_calibration_table(path: Path) -> dict[str, CalibratedRange]:
    """Tensor name -> range. A line is ``name threshold low high``; what follows a later section's title is left out.

    Raises InputError that names the line.
    """
    ranges: dict[str, CalibratedRange] = {}
    means: dict[str, tuple[float, ...]] = {}
    losses: dict[str, float] = {}
    for number, line in _lines(path):
        if line.startswith(_SECTIONS):
            break
        if line.startswith(f"{_MEANS} "):
            name, more = _read_means(path, number, line)
            means[name] = means.get(name, ()) + more
        if line.startswith(f"{_LOSS} "):
            losses.update([_read_loss(path, number, line)])
        if line.startswith("#"):
            continue
        name, found = _range(path, number, line)
        if ranges.setdefault(name, found) != found:
            raise InputError(f"{path}: line {number}: {name} has another range above; keep one of them")
    if not ranges:
        raise InputError(f"{path}: no range in this calibration table; a line is: name threshold low high")
    return {name: replace(found, means=means.get(name, ()), loss=losses.get(name, 0.0)) for name, found in ranges.items()}


def read_quantization_table(path: Path) -> dict[str, str]:
    """Operation name -> mode, in capital letters. A line is ``name mode``, one with a name alone says nothing.

    Raises InputError that names the line.
    """
    modes: dict[str, str] = {}
    for number, line in _lines(path):
        words = line.split()
        if line.startswith("#") or len(words) == 1:
            continue
        if len(words) != 2:
            raise InputError(f"{path}: line {number} has {len(words)} words, not a name and a mode")
        name, mode = words[0], words[1].upper()
        if modes.setdefault(name, mode) != mode:
            raise InputError(f"{path}: line {number}: {name} has the mode {modes[name]} above; keep one of them")
    return modes


def write_calibration_table(path: Path, ranges: Mapping[str, CalibratedRange], origin: TableOrigin) -> None:
    """Write a calibration table, whole or not at all. It has no date: the same ranges give the same bytes."""
    lines = [
        f"# mlir version: tpumlir {__version__} cali version {_FORMAT}",
        f"# mlir: {' '.join(origin.network.split())}",
        f"# quantization threshold calculation method: ['{origin.method}']",
        f"# sample number: {origin.samples}",
        "###",
        f"# tune number: {origin.tuned}",
        "###",
        "# op_name    threshold    min    max",
        *(f"{name} {_number(found.threshold)} {_number(found.low)} {_number(found.high)}" for name, found in ranges.items()),
        *(line for name, found in ranges.items() for line in _means(name, found.means)),
        *(f"{_LOSS} {name} {found.loss:.4g}" for name, found in ranges.items() if found.loss),
    ]
    write_bytes(path, ("\n".join(lines) + "\n").encode())


def write_quantization_table(path: Path, modes: Mapping[str, str]) -> None:
    """Write a quantization table, whole or not at all."""
    write_bytes(path, "".join(f"{line}\n" for line in ["# op_name   quantize_mode", *(f"{n} {m}" for n, m in modes.items())]).encode())


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number, from 1, and text of the lines that are not empty."""
    read_head(path)
    try:
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable table: {error}") from error
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line.strip()


def _range(path: Path, number: int, line: str) -> tuple[str, CalibratedRange]:
    name, *words = line.rsplit(None, 3)
    try:
        threshold, low, high = (float(word) for word in words)
    except ValueError:
        raise InputError(f"{path}: line {number} is not a name and three numbers, threshold low high") from None
    if not all(math.isfinite(value) for value in (threshold, low, high)):
        raise InputError(f"{path}: line {number}: the range of {name} is not finite; calibrate it again")
    if threshold <= 0 or low > high:
        raise InputError(f"{path}: line {number}: the range of {name} needs a threshold above 0 and low <= high")
    return name, CalibratedRange(threshold, low, high)


def _means(name: str, means: tuple[float, ...]) -> list[str]:
    """Several lines where there are many."""
    parts = [means[start : start + _IN_A_LINE] for start in range(0, len(means), _IN_A_LINE)]
    return [f"{_MEANS} {len(part)} {name} {' '.join(f'{mean:.6g}' for mean in part)}" for part in parts]


def _read_means(path: Path, number: int, line: str) -> tuple[str, tuple[float, ...]]:
    try:
        _, count, rest = line.split(None, 2)
        name, *words = rest.rsplit(None, int(count))
        means = tuple(map(float, words))
    except ValueError:
        raise InputError(f"{path}: line {number} is not a number, a name and so many means") from None
    if len(means) != int(count) or not all(map(math.isfinite, means)):
        raise InputError(f"{path}: line {number}: the means of {name} are not {count} finite numbers; calibrate it again")
    return name, means


def _read_loss(path: Path, number: int, line: str) -> tuple[str, float]:
    try:
        _, rest = line.split(None, 1)
        name, word = rest.rsplit(None, 1)
        loss = float(word)
    except ValueError:
        raise InputError(f"{path}: line {number} is not a name and a loss") from None
    if not 0 <= loss < math.inf:
        raise InputError(f"{path}: line {number}: the loss of {name} is no number from 0; calibrate it again")
    return name, loss


def _number(value: float) -> str:
    """Fixed point, as the reference writes it, with digits enough for what is small."""
    before = math.floor(math.log10(abs(value))) + 1 if value else 1
    return f"{value + 0.0:.{min(max(_DIGITS - 1, _DIGITS - before), _MOST_DECIMALS)}f}"

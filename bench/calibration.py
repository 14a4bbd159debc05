"""`python -m bench.calibration [--reference VENV]`: images a second and memory of calibration, ours and the reference's.

The network is CenterFace at 256x256, the images are JPEGs of 512x512, cut out of scikit-image's photos. A rate is that between a
few images and many, so that start-up does not count; both sides see the same files, right after each other.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

import numpy as np

from bench.children import Usage, run
from bench.reference import VARIABLE
from demo.centerface import fetch_model
from tpumlir_core.errors import TpumlirError

SHAPE = (1, 3, 256, 256)
FEW, MANY = 8, 104
ROUNDS = 2
"""How often each is measured; the fastest counts."""
MEMORY = (100, 1000)
"""Numbers of images between which peak memory should not grow."""
METHODS = ("kl", "max")
PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")

Calibrate = Callable[[str, int], Usage]
"""Calibrates by a method on so many images."""


@dataclass(frozen=True)
class Rate:
    """Images a second by the clock, and seconds of processor time an image; the best of ROUNDS of each."""

    by_clock: float
    processor: float

    @classmethod
    def of(cls, calibrate: Calibrate, method: str) -> Rate:
        """Measured between FEW and MANY images."""
        few, many = ([calibrate(method, count) for _ in range(ROUNDS)] for count in (FEW, MANY))
        wall, processor = (min(map(kind, many)) - min(map(kind, few)) for kind in (attrgetter("wall"), attrgetter("cpu")))
        return cls((MANY - FEW) / wall, processor / (MANY - FEW))


def make_photos(folder: Path, count: int) -> None:
    """``count`` JPEGs of 512x512, each another part of a photo, seeded."""
    from PIL import Image
    from skimage import data

    random = np.random.default_rng(0)
    photos = [getattr(data, name)() for name in PHOTOS]
    for index in range(count):
        photo = photos[index % len(photos)]
        size = int(random.integers(128, min(photo.shape[:2])))
        top, left = (int(random.integers(0, side - size)) for side in photo.shape[:2])
        Image.fromarray(photo[top : top + size, left : left + size]).resize((512, 512)).save(folder / f"{index:04}.jpg", quality=92)


def ours(model: Path, photos: Path, work: Path) -> Calibrate:
    """Our command on a network that it has imported."""
    tool: list[str | Path] = [sys.executable, "-m", "tpumlir_core"]
    run([*tool, "transform", model, "--mlir", "ours.mlir", "--input-shapes", str(list(SHAPE)), "--pixel-format", "rgb"], work, os.environ)

    def calibrate(method: str, count: int) -> Usage:
        wanted: Sequence[str | Path] = ["--dataset", photos, "--input-num", str(count), "--method", method, "-o", "ours.table"]
        return run([*tool, "calibrate", "ours.mlir", *wanted], work, os.environ)

    return calibrate


def theirs(environment: Path, model: Path, photos: Path, work: Path) -> Calibrate:
    """The reference's tools on a network that it has imported; without the tuning that it does by default."""
    tools = environment.resolve() / "bin"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    path: Mapping[str, str] = {**inherited, "PATH": f"{tools}:{os.environ.get('PATH', '')}"}
    source: list[str | Path] = ["--model_name", "net", "--model_def", model, "--mlir", "net.mlir", "--input_shapes", str([list(SHAPE)])]
    run([tools / "model_transform.py", *source, "--pixel_format", "rgb"], work, path)

    def calibrate(method: str, count: int) -> Usage:
        wanted: Sequence[str | Path] = ["--dataset", photos, "--input_num", str(count), "--cali_method", method, "--tune_num", "0"]
        return run([tools / "run_calibration.py", "net.mlir", *wanted, "-o", "net.table"], work, path)

    return calibrate


def row(side: str, method: str, rate: Rate) -> str:
    """A line of the table."""
    return f"| {side} | {method} | {rate.by_clock:.1f} | {rate.processor:.3f} |"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.calibration", description=__doc__)
    parser.add_argument("--reference", type=Path, default=os.environ.get(VARIABLE), help=f"environment with tpu-mlir (default: {VARIABLE})")
    environment: Path | None = parser.parse_args().reference
    try:
        with tempfile.TemporaryDirectory() as name:
            _measure(environment, fetch_model().resolve(), Path(name))
    except TpumlirError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _measure(environment: Path | None, model: Path, work: Path) -> None:
    photos = work / "photos"
    photos.mkdir()
    make_photos(photos, max(MEMORY))
    own = ours(model, photos, work)
    print("| | method | images a second | processor s an image |\n|---|---|--:|--:|")
    for method in METHODS:
        print(row("ours", method, Rate.of(own, method)), flush=True)
        if environment is not None:
            print(row("reference", method, Rate.of(theirs(environment, model, photos, work), method)), flush=True)
    for count in MEMORY:
        print(f"peak memory on {count} images: {own('kl', count).peak / 1e6:.0f} MB", flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""Where SOPHGO's emulator (CModel) and the runtime built for it lie: one folder a chip in the user's cache."""

from __future__ import annotations

import os
from pathlib import Path

from tpumlir_core.errors import InputError

VERSION = "1.30.2"
"""The tpu-mlir release whose libraries are used."""
CHIPS = ("bm1684", "bm1684x")
"""The chips whose libraries are fetched."""
EMULATOR, RUNTIME, DRIVER = "libcmodel.so", "libbmrt.so", "libbmlib.so.0"
"""The three files of a chip's folder."""


def cache_folder() -> Path:
    """The folder of the chips' folders: ``TPUMLIR_CMODEL``, else in the user's cache. It need not exist."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("TPUMLIR_CMODEL") or cache / "tpumlir" / "cmodel" / VERSION)


def library(chip: str, name: str = EMULATOR) -> Path:
    """A library of a chip (lower case). Raises InputError where it has not been fetched."""
    path = cache_folder() / chip / name
    if not path.exists():
        raise InputError(f"{path}: no CModel library of {chip}; run: tpumlir bmrt fetch-cmodel")
    return path

"""Gets the emulator's libraries out of SOPHGO's wheel on PyPI into the user's cache."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from tpumlir_core.errors import InputError
from tpumlir_sophgo import cmodel

WHEEL_SHA256 = "542807361c9eeb0777a7bd35e501d8c71cce767e4bce021a3cb3a7c25c35f909"
"""Of tpu_mlir-1.30.2-py3-none-any.whl on PyPI."""
REQUIREMENT = f"tpu-mlir=={cmodel.VERSION} --hash=sha256:{WHEEL_SHA256}\n"
_PYTHON = "3.10"
"""The Python version that the wheel declares; only its libraries are used, which no Python loads."""


def members(chip: str) -> dict[str, str]:
    """File in a chip's folder -> member of the wheel (one driver library serves both chips)."""
    return {
        cmodel.RUNTIME: "tpu_mlir/lib/libbmrt.so.1.0",
        cmodel.DRIVER: "tpu_mlir/lib/libbmlib_bm1684x.so.0",
        cmodel.EMULATOR: f"tpu_mlir/lib/libcmodel_{chip}.so",
    }


def is_installed(folder: Path) -> bool:
    """Whether every library of every chip is there."""
    return all((folder / chip / name).is_file() for chip in cmodel.CHIPS for name in members(chip))


def fetch(folder: Path, force: bool = False) -> bool:
    """Download the wheel (about 300 MB, deleted afterwards) and lay out its libraries; False where they were there already.

    Raises InputError where the download fails or the wheel is not the pinned one.
    """
    if is_installed(folder) and not force:
        return False
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise InputError(f"CModel runs on Linux x86-64 only, not on {platform.system()} {platform.machine()}")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as name:
        install(_download(Path(name)), folder)
    return True


def _download(target: Path) -> Path:
    requirements = target / "requirements.txt"
    requirements.write_text(REQUIREMENT)
    options = ["--no-deps", "--only-binary=:all:", f"--python-version={_PYTHON}", "--no-cache-dir", "--disable-pip-version-check"]
    quiet = [] if sys.stderr.isatty() else ["--quiet"]
    command = [sys.executable, "-m", "pip", "download", *quiet, *options, "--require-hashes", "-d", str(target), "-r", str(requirements)]
    if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False).returncode:
        raise InputError(f"tpu-mlir {cmodel.VERSION} could not be downloaded; pip says above why; mend that and run it again")
    return next(target.glob("*.whl"))


def install(wheel: Path, folder: Path) -> None:
    """Lay out the wheel's libraries, one folder a chip; each appears whole or not at all."""
    with tempfile.TemporaryDirectory(prefix=".install-", dir=folder) as name, zipfile.ZipFile(wheel) as archive:
        for chip in cmodel.CHIPS:
            made = Path(name) / chip
            made.mkdir()
            for file, member in members(chip).items():
                try:
                    with archive.open(member) as source, (made / file).open("wb") as target:
                        shutil.copyfileobj(source, target)
                except KeyError as error:
                    raise InputError(f"{wheel}: no {member} in it; it is not the wheel of tpu-mlir {cmodel.VERSION}") from error
        for chip in cmodel.CHIPS:
            old = folder / chip
            if old.exists():
                old.rename(Path(name) / f"{chip}.old")
            (Path(name) / chip).rename(old)

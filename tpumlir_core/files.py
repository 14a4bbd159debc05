"""Reading tensors and writing results: outputs appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_core.ir import Array

HEAD_BYTES = 4096
"""How much of a file is read to recognise its format."""
_DAMAGE = (OSError, ValueError, EOFError, MemoryError, RuntimeError, KeyError, zipfile.BadZipFile, zlib.error)
"""What numpy and zipfile raise for damaged, encrypted or absurdly large archives."""


def read_head(path: Path) -> bytes:
    """The first HEAD_BYTES of a file. Raises InputError when it is missing, no regular file or unreadable."""
    try:
        if not path.is_dir() and path.exists() and not path.is_file():
            raise InputError(f"{path}: cannot be read: it is a pipe or a device; name a file")
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {_reason(error)}") from error


def read_npz(path: Path) -> dict[str, Array]:
    """The tensors of an .npz by name. Raises InputError when it is no .npz, or holds objects instead of numbers."""
    read_head(path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not hasattr(archive, "files"):
                raise InputError(f"{path}: this is one array (.npy); name it in an .npz: numpy.savez(path, NAME=array)")
            return {name: archive[name] for name in archive.files}
    except _DAMAGE as error:
        raise InputError(f"{path}: not a readable .npz: {' '.join(str(error).split())}") from error


def read_npy(path: Path) -> Array:
    """The array of an .npy. Raises InputError when it is none, or holds objects instead of numbers."""
    read_head(path)
    try:
        array = np.load(path, allow_pickle=False)
    except _DAMAGE as error:
        raise InputError(f"{path}: not a readable .npy: {' '.join(str(error).split())}") from error
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path}: several arrays (.npz), not one; call the file .npz")
    return array


def check_output(path: Path) -> None:
    """Raises InputError when nothing can be written at ``path``; called before any work is done."""
    folder = path.absolute().parent
    if path.is_dir():
        raise InputError(f"{path}: cannot be written: it is a folder; name a file")
    if not folder.is_dir():
        raise InputError(f"{path}: cannot be written: there is no folder {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{path}: cannot be written: no permission for the folder {folder}")


def make_folder(path: Path) -> None:
    """A folder at ``path``, in a folder that is there. Raises InputError when there can be none."""
    try:
        path.mkdir(exist_ok=True)
    except FileExistsError:
        raise InputError(f"{path}: cannot be a folder: it is a file; name another") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be made: {_reason(error)}") from error


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all."""
    write_parts(path, [data])


def write_parts(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Write a file of parts that follow one another, whole or not at all."""

    def write(target: Path) -> None:
        with target.open("wb") as file:
            file.writelines(parts)

    write_through(path, write)


def write_npz(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write tensors as an .npz, whole or not at all."""

    def write(target: Path) -> None:
        with target.open("wb") as file, zipfile.ZipFile(file, "w") as archive:
            for name, array in arrays.items():
                with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, np.asanyarray(array), allow_pickle=False)

    write_through(path, write)


def write_through(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` make the file, and what it puts beside it, in a fresh folder; move all of it into place at the end.

    That folder is made beside ``path``, so that moving is one rename a file; it is gone afterwards, come what may.
    """
    check_output(path)
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.absolute().parent))
        try:
            write(folder / path.name)
            made = sorted(folder.iterdir(), key=lambda file: file.name == path.name)
            for file in made:  # the named file last: when it is there, everything is
                file.replace(path.absolute().parent / file.name)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    return (error.strerror or str(error) or type(error).__name__).lower()

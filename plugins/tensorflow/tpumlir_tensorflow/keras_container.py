"""Looking at Keras files before anything is started for them: whether a container is whole, and what description of layers it has."""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path

from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_tensorflow.child.keras_files import CONFIG, LARGEST_CONFIG, WEIGHTS, check_config
from tpumlir_tensorflow.child.network import Refused

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_MOST_PACKED = 64
"""How many times larger than the file its content may be: numbers of networks hardly pack."""
_ENTRIES = (CONFIG, WEIGHTS, "metadata.json")
_DAMAGE = (OSError, ValueError, EOFError, RuntimeError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error)


def check_keras(path: Path) -> None:
    """Raises InputError for an archive that is damaged, or holds more than layers and numbers."""
    try:
        with zipfile.ZipFile(path) as archive:
            _check_entries(archive, path.stat().st_size)
            config = archive.read(CONFIG)
            with archive.open(WEIGHTS) as weights:
                _check_superblock(weights.read(512), archive.getinfo(WEIGHTS).file_size)
            damaged = archive.testzip()
    except _DAMAGE as error:
        raise InputError(f"no whole Keras file: {' '.join(str(error).split()) or type(error).__name__}") from None
    if damaged:
        raise InputError(f"its {damaged} is damaged: the checksum is wrong")
    try:
        check_config(config)
    except Refused as error:
        raise (UnsupportedError(str(error), error.items) if error.items else InputError(str(error))) from None


def _check_entries(archive: zipfile.ZipFile, size: int) -> None:
    names = archive.namelist()
    lacking = [name for name in (CONFIG, WEIGHTS) if name not in names]
    if lacking:
        raise InputError(f"no Keras file: it has no {lacking[0]}")
    strange = [name for name in names if name not in _ENTRIES and not name.endswith("/")]
    if strange:
        raise InputError(f"its entry {strange[0]} is none that a network has; export the model as a SavedModel")
    if len(set(names)) < len(names):
        raise InputError("an entry of the archive is there twice")
    if archive.getinfo(CONFIG).file_size > LARGEST_CONFIG or sum(i.file_size for i in archive.infolist()) > size * _MOST_PACKED:
        raise InputError("its entries unpack to more than a network's")


def check_hdf5(path: Path) -> None:
    """Raises InputError for a file that begins as no HDF5 file, or ends too early."""
    try:
        with path.open("rb") as file:
            _check_superblock(file.read(512), path.stat().st_size)
    except OSError as error:
        raise InputError(f"cannot be read: {(error.strerror or str(error)).lower()}") from None


def _check_superblock(head: bytes, size: int) -> None:
    """The superblock: signature, version, the size of an address and, at a place that depends on the version, the end of the file."""
    if not head.startswith(_SIGNATURE) or len(head) < 64:
        raise InputError("no whole Keras file: its HDF5 signature is wrong")
    version = head[8]
    addresses, end_at = (head[13], 40) if version < 2 else (head[9], 28)
    if version == 1:
        end_at += 4
    if version > 3 or addresses != 8:
        raise InputError("no whole Keras file: its HDF5 superblock is of no known version")
    (end,) = struct.unpack_from("<Q", head, end_at)
    if end != size:
        raise InputError(f"no whole Keras file: its HDF5 has {size} bytes in place of {end}")

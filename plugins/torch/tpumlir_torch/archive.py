"""PyTorch's zip archives, opened with distrust: entries are looked at before anything is read from them."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tpumlir_core.errors import InputError
from tpumlir_core.importing import LARGEST_TENSOR

ZIP_MAGIC = b"PK\x03\x04"
_MOST_MEMBERS = 1 << 20
_LARGEST_UNPACKED = 1 << 28
"""Bytes that a compressed member may unpack to: PyTorch compresses program text only."""
_DAMAGES = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError, OverflowError,
    MemoryError,
)


@dataclass(frozen=True)
class Archive:
    """The members of a file, their names without the folder that holds them all."""

    path: Path
    members: Mapping[str, zipfile.ZipInfo]
    opened: zipfile.ZipFile

    def __contains__(self, name: str) -> bool:
        return name in self.members

    def size(self, name: str) -> int:
        """Bytes of a member. Raises InputError where there is none of this name."""
        return self._member(name).file_size

    def read(self, name: str) -> bytes:
        """The bytes of a member, its checksum verified."""
        member = self._member(name)
        try:
            return self.opened.read(member)
        except _DAMAGES as error:
            raise InputError(f"its part '{name}' is damaged ({type(error).__name__}); save the model again") from None

    def names(self, suffix: str) -> list[str]:
        """Members whose names end so, sorted."""
        return sorted(name for name in self.members if name.endswith(suffix))

    def _member(self, name: str) -> zipfile.ZipInfo:
        if name not in self.members:
            raise InputError(f"its part '{name}' is missing; save the model again")
        return self.members[name]


def open_archive(path: Path) -> Archive:
    """The archive in a file; nothing of it is unpacked yet.

    Raises InputError for what is no zip archive, is damaged, encrypted, or claims more bytes than it can hold.
    """
    try:
        opened = zipfile.ZipFile(path)
        entries = [entry for entry in opened.infolist() if not entry.is_dir()]
    except _DAMAGES as error:
        raise InputError(f"not a whole zip archive ({type(error).__name__}); save the model again") from None
    if len(entries) > _MOST_MEMBERS:
        raise InputError(f"{len(entries)} parts are too many for a model")
    folders = {entry.filename.partition("/")[0] for entry in entries}
    if len(folders) != 1:
        raise InputError("its parts do not lie in one folder, as PyTorch puts them")
    _check_sizes(entries, path.stat().st_size)
    return Archive(path, _by_name(entries), opened)


def _by_name(entries: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    members: dict[str, zipfile.ZipInfo] = {}
    for entry in entries:
        name = entry.filename.partition("/")[2]
        if name in members:
            raise InputError(f"it has two parts '{name}'")
        members[name] = entry
    return members


def _check_sizes(entries: list[zipfile.ZipInfo], whole: int) -> None:
    """Raise InputError for members that are encrypted, packed otherwise than PyTorch does, or claim more bytes than possible."""
    unpacked = 0
    for entry in entries:
        if entry.flag_bits & 1 or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InputError(f"its part '{entry.filename}' is encrypted or packed in a way that PyTorch never uses")
        if entry.compress_type == zipfile.ZIP_DEFLATED:
            unpacked += entry.file_size
        elif entry.file_size > min(whole, LARGEST_TENSOR) or entry.compress_size != entry.file_size:
            raise InputError(f"its part '{entry.filename}' claims {entry.file_size} bytes, more than it can have")
    if unpacked > _LARGEST_UNPACKED:
        raise InputError(f"its compressed parts claim {unpacked} bytes; those of a model are small")

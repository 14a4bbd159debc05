"""Reads exported programs (``torch.export.save``): the graph is JSON, weights are raw bytes; pickles in the archive stay unread."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_torch.archive import Archive
from tpumlir_torch.dtypes import EXPORT_DTYPES
from tpumlir_torch.storages import Stored, arranged

MODELS, WEIGHTS, CONSTANTS = "models/", "data/weights/", "data/constants/"
OLD_FORMAT = "serialized_exported_program.json"
_NEWEST_SCHEMA = 8
"""Major version of the file format that torch 2.13 writes (torch/_export/serde/schema.py)."""


def is_exported(archive: Archive) -> bool:
    """Whether an archive holds an exported program."""
    return OLD_FORMAT in archive or any(name.startswith(MODELS) for name in archive.members)


def read_json(archive: Archive, name: str) -> Any:
    """A JSON member. Raises InputError for what is none."""
    try:
        return json.loads(archive.read(name).decode())
    except (ValueError, RecursionError) as error:
        raise InputError(f"its part '{name}' is damaged ({type(error).__name__}); export the model again") from None


def read_model(archive: Archive) -> tuple[str, Mapping[str, Any]]:
    """(name of the model in the archive, its JSON)."""
    if OLD_FORMAT in archive:
        raise InputError("a format of before torch 2.8; load it there and save it with a newer torch")
    names = [name for name in archive.names(".json") if name.startswith(MODELS)]
    if len(names) != 1:
        raise InputError(f"it holds {len(names)} exported programs; save one alone")
    model = read_json(archive, names[0])
    version = get(model, "schema_version", "major")
    if not isinstance(version, int) or version > _NEWEST_SCHEMA:
        raise UnsupportedError(f"version {version} of the format of exported programs; {_NEWEST_SCHEMA} is the newest known")
    return names[0].removeprefix(MODELS).removesuffix(".json"), model


def get(value: Any, *path: str) -> Any:
    """A part of JSON data. Raises InputError where it is missing."""
    for step in path:
        if isinstance(value, dict) and step in value:
            value = value[step]
        else:
            raise InputError(f"the program has no '{'.'.join(path)}'; export the model again")
    return value


def items(value: Any, *path: str) -> list[Any]:
    """A list in JSON data."""
    found = get(value, *path)
    if not isinstance(found, list):
        raise InputError(f"the program's '{'.'.join(path)}' is no list")
    return found


def text(value: Any, *path: str) -> str:
    """A string in JSON data."""
    found = get(value, *path)
    if not isinstance(found, str):
        raise InputError(f"the program's '{'.'.join(path)}' is no text")
    return found


def dtype_name(number: Any) -> str:
    """An element type by its number in this format."""
    return EXPORT_DTYPES.get(number, f"type {number}") if isinstance(number, int) else f"type {number}"


def extents(sizes: Any) -> tuple[tuple[int | None, ...], tuple[str, ...]]:
    """(extents, None for open ones; the expression of each open one, "" for the others)."""
    shape: list[int | None] = []
    symbols: list[str] = []
    for size in items({"sizes": sizes}, "sizes"):
        extent = size.get("as_int") if isinstance(size, dict) else None
        fixed = isinstance(extent, int) and not isinstance(extent, bool)
        shape.append(extent if fixed else None)
        symbols.append("" if fixed else text(size, "as_expr", "expr_str"))
    return tuple(shape), tuple(symbols)


class TensorFile:
    """The weights and constants of an archive, read one at a time."""

    def __init__(self, archive: Archive, model: str) -> None:
        self._archive = archive
        self._places: dict[str, tuple[str, Mapping[str, Any]]] = {}
        for folder, name in ((WEIGHTS, f"{WEIGHTS}{model}_weights_config.json"), (CONSTANTS, f"{CONSTANTS}{model}_constants_config.json")):
            if name in archive:
                config = get(read_json(archive, name), "config")
                if not isinstance(config, dict):
                    raise InputError(f"its part '{name}' is damaged; export the model again")
                self._places |= {key: (folder, entry) for key, entry in config.items()}

    def tensor(self, name: str) -> Stored:
        """A weight, buffer or constant by its name in the module. Raises UnsupportedError for what is no plain tensor."""
        if name not in self._places:
            raise InputError(f"tensor '{name}' is missing; export the model again")
        folder, entry = self._places[name]
        if get(entry, "use_pickle"):
            raise UnsupportedError(f"tensor '{name}', which is stored as a pickled object")
        meta = get(entry, "tensor_meta")
        shape = [_whole(name, size) for size in items(meta, "sizes")]
        strides = [_whole(name, stride) for stride in items(meta, "strides")]
        data = self._archive.read(folder + text(entry, "path_name"))
        try:
            return arranged(data, dtype_name(get(meta, "dtype")), _whole(name, get(meta, "storage_offset")), shape, strides)
        except UnsupportedError as error:
            raise UnsupportedError(f"tensor '{name}': {error}") from None
        except InputError as error:
            raise InputError(f"tensor '{name}': {error}") from None


def _whole(name: str, value: Any) -> int:
    found = value.get("as_int") if isinstance(value, dict) else None
    if not isinstance(found, int) or isinstance(found, bool):
        raise InputError(f"tensor '{name}' has an extent that is no number")
    return found



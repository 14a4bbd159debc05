"""Reading the compiled file that a command is given, and finding the target that it is for."""

from __future__ import annotations

from pathlib import Path

from tpumlir_core.bmodel import read_model
from tpumlir_core.bmodel.schema import Model
from tpumlir_core.errors import InputError
from tpumlir_core.files import read_head
from tpumlir_core.plugins import TARGET, PluginManager
from tpumlir_core.plugins.extension_points import Target


def read_compiled(path: Path) -> tuple[bytes, Model]:
    """The bytes and the tables of a bmodel. Raises InputError that names the file."""
    read_head(path)
    data = path.read_bytes()
    try:
        return data, read_model(data)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def target_of(path: Path, model: Model, plugins: PluginManager) -> tuple[str, Target]:
    """Name and target of the chip that a bmodel is for. Raises PluginError when it is not installed."""
    if not model.chip:
        raise InputError(f"{path}: the bmodel does not say which chip it is for")
    name = model.chip.lower()
    return name, plugins.get(TARGET, name)

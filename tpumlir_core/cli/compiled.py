"""Reading the compiled file that a command is given, and finding the target that it is for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tpumlir_core.bmodel import is_bmodel, read_model
from tpumlir_core.bmodel.schema import Model
from tpumlir_core.container import Container, container_chip, read_container
from tpumlir_core.errors import InputError
from tpumlir_core.files import read_head
from tpumlir_core.plugins import TARGET, PluginManager
from tpumlir_core.plugins.choice import recognize
from tpumlir_core.plugins.extension_points import Target


def open_compiled(path: Path, plugins: PluginManager) -> tuple[bytes, str, Target]:
    """A compiled file with its target's name and target: that of the chip the file names, else the one that recognizes it.

    Raises InputError when none does, PluginError when the chip's target is not installed.
    """
    head = read_head(path)
    if is_bmodel(head):
        data, model = read_compiled(path)
        if not model.chip:
            raise InputError(f"{path}: the bmodel does not say which chip it is for")
        return data, model.chip.lower(), plugins.get(TARGET, model.chip.lower())
    if container_chip(head) is not None:
        data, container = read_container_file(path)
        return data, container.chip, plugins.get(TARGET, container.chip)
    found = recognize(TARGET, path, plugins)
    if found is None:
        known = ", ".join(plugins.names(TARGET)) or "none, install one"
        raise InputError(f"{path}: not a bmodel, nor a file that a target knows (targets: {known})")
    return (path.read_bytes(), *found)


def read_compiled(path: Path) -> tuple[bytes, Model]:
    """The bytes and the tables of a bmodel. Raises InputError that names the file."""
    read_head(path)
    data = path.read_bytes()
    with naming(path):
        return data, read_model(data)


def read_container_file(path: Path) -> tuple[bytes, Container]:
    """The bytes and the content of a file of the core's own format. Raises InputError that names the file."""
    data = path.read_bytes()
    with naming(path):
        return data, read_container(data)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an InputError about the content of a file, which was read as bytes, name that file."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from error

"""Plugins in a single file, for one run and without an install: ``--plugin FILE.py``."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import io
import re
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

from tpumlir_core.errors import PluginError
from tpumlir_core.plugins.finder import Candidate
from tpumlir_core.plugins.health import Plugin
from tpumlir_core.plugins.hookspecs import PROJECT
from tpumlir_core.plugins.kinds import HOOK, KINDS, Kind
from tpumlir_core.plugins.loader import attribute, one_line


def load_file(path: Path) -> list[Plugin]:
    """The plugins in a file: its public classes that are an extension point's, and its hooks, in the order of the file.

    They count as of a distribution with the file's name, whose version is a digest of its content. The module is
    ``tpumlir_file_...`` and replaces what an earlier load of the same file gave. Raises PluginError.
    """
    module = _execute(path)
    version = f"file {hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
    found = [Plugin(Candidate(kind.name, name, path.name, version, value)) for kind, name, value in _extensions(module)]
    if not found:
        kinds = ", ".join(kind.contract.partition(":")[2] for kind in KINDS if kind.contract.startswith("tpumlir_core"))
        raise PluginError(f"{path}: no plugin is in this file; define a public class derived from one of {kinds}")
    return found


def _execute(path: Path) -> ModuleType:
    try:
        source = path.read_bytes()
    except OSError as error:
        raise PluginError(f"{path}: the plugin file cannot be read: {error.strerror}") from None
    name = f"tpumlir_file_{re.sub(r'[^0-9A-Za-z]', '_', path.stem)}_{hashlib.sha256(bytes(path.resolve())).hexdigest()[:8]}"
    spec = importlib.util.spec_from_loader(name, None, origin=str(path))
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__file__ = str(path)
    sys.modules[name] = module
    try:
        with redirect_stdout(io.StringIO()):
            exec(compile(source, str(path), "exec"), module.__dict__)
    except KeyboardInterrupt:
        raise
    except ModuleNotFoundError as error:
        needed = (error.name or "").partition(".")[0]
        raise PluginError(f"{path}: the plugin file needs the module {error.name}: pip install {needed}") from error
    except BaseException as error:  # SystemExit, and what native extensions panic with
        raise PluginError(f"{path}: the plugin file cannot be imported: {one_line(error)}") from error
    return module


def _extensions(module: ModuleType) -> Iterator[tuple[Kind[Any], str, str]]:
    """Kind, name and ``module:attribute`` of each extension that the module defines."""
    contracts = [(kind, attribute(kind.contract)) for kind in KINDS if kind.contract.startswith("tpumlir_core")]
    for name, found in vars(module).items():
        if name.startswith("_") or not isinstance(found, type) or found.__module__ != module.__name__ or inspect.isabstract(found):
            continue
        for kind, contract in contracts:
            if issubclass(found, contract):
                called = getattr(found, "opcode" if kind.of_classes else "name", "") or name.lower()
                yield kind, str(called), f"{module.__name__}:{name}"
    if any(hasattr(found, f"{PROJECT}_impl") for found in vars(module).values()):
        yield HOOK, module.__name__, module.__name__

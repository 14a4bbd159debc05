"""A plugin's import in a process of its own: how long it takes and what it leaves behind. ``python -m`` this, KIND NAME."""

from __future__ import annotations

import importlib
import io
import json
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

HEAVY = ("torch", "tensorflow", "onnx", "onnxruntime", "paddle")
"""Packages that take long to import: a plugin may do so only where it uses them."""

CORE = ("tpumlir_core.api", "tpumlir_core.bmodel", "tpumlir_core.container", "tpumlir_core.ir.tpu", "tpumlir_core.interpreter", "click")
"""What does not count as a plugin's own import."""


class Watcher:
    """First in ``sys.meta_path``: notes which line imports what is heavy, finds nothing itself."""

    def __init__(self) -> None:
        self.heavy: dict[str, str] = {}

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name in HEAVY:
            frames = [frame for frame in traceback.extract_stack()[:-1] if not frame.filename.startswith("<frozen")]
            self.heavy[name] = f"{frames[-1].filename}:{frames[-1].lineno}"
        return None


def waited() -> float:
    """Seconds that this process was ready to run but another one had the processor; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def measure(kind: str, name: str) -> dict[str, Any]:
    """Seconds of the import (waiting for the processor left out), heavy packages with the line that imports each, what is
    changed and what is printed."""
    from tpumlir_core.plugins import PluginManager, kind_named
    from tpumlir_core.plugins.state import changes, global_state

    for core in CORE:
        importlib.import_module(core)
    manager = PluginManager.discover(required=False)
    module = manager.find(kind_named(kind), name).candidate.value.partition(":")[0].strip()
    watcher, printed = Watcher(), io.StringIO()
    sys.meta_path.insert(0, watcher)
    before, started, stood = global_state(), time.perf_counter(), waited()
    with redirect_stdout(printed):
        importlib.import_module(module)
        manager.get(kind_named(kind), name)
    seconds = time.perf_counter() - started - (waited() - stood)
    changed = changes(before, global_state())
    if kind == "op":  # declaring operations is what these are for
        changed = [change for change in changed if not change.startswith("the registry of operations")]
    return {"module": module, "seconds": seconds, "heavy": watcher.heavy, "changed": changed, "printed": printed.getvalue()}


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], sys.argv[2])))

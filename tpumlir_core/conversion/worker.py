"""The life of a converter's process: one call of one function, in a Python that has the framework. Run as a script.

The Python may be that of an environment without tpumlir, so nothing but the standard library is imported here, and the modules
that are called may import only their own package, the framework and what comes with it. The folder in the command line holds
``request.json``; the answer is left there as ``answer.json``: ``value``, or ``error`` with what went wrong.

What a model is refused for is raised as an exception with an attribute ``items``: () or what is not supported. Any other
exception is a fault that the file caused in the framework, told by its class, its text and the place.
"""

import importlib
import importlib.util
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

LONGEST = 600
"""Characters of an exception's text that are told."""


def main(folder: Path) -> None:
    """Answer the request in a folder, and end the process at once: exit handlers of native libraries may hang."""
    request = json.loads((folder / "request.json").read_text("utf-8"))
    own = str(Path(__file__).resolve().parent)
    sys.path[:] = [place for place in sys.path if place and str(Path(place).resolve()) != own]
    try:
        _limit(int(request["bytes"]))
        answer = {"value": _function(request)(**request["arguments"])}
    except BaseException as error:
        answer = {"error": _told(error)}
    part = folder / "answer.part"
    part.write_text(json.dumps(answer), "utf-8")
    part.replace(folder / "answer.json")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _limit(memory: int) -> None:
    """No core files, and no more memory than ``memory`` bytes where the system can say so."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory:
        resource.setrlimit(resource.RLIMIT_DATA, (memory, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def _function(request: Any) -> Any:
    """``module:function`` of a package that is loaded from its folder, so that nothing beside it can be imported."""
    module, _, function = request["function"].partition(":")
    package = module.partition(".")[0]
    init = Path(request["package"]) / "__init__.py"
    spec = importlib.util.spec_from_file_location(package, init, submodule_search_locations=[request["package"]])
    assert spec is not None
    assert spec.loader is not None
    sys.modules[package] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[package])
    return getattr(importlib.import_module(module), function)


def _told(error: BaseException) -> dict[str, Any]:
    """An exception as JSON: its kind (refused, absent, memory, fault), text, and what the others do not have, its items."""
    text = " ".join(str(error).split())
    items = getattr(error, "items", None)
    if isinstance(items, tuple):
        return {"kind": "refused", "text": text, "items": list(items)}
    if isinstance(error, MemoryError):
        return {"kind": "memory", "text": text, "items": []}
    if isinstance(error, ImportError):
        return {"kind": "absent", "text": text, "items": []}
    place = traceback.extract_tb(error.__traceback__)[-1] if error.__traceback__ else None
    where = f" ({Path(place.filename).name}:{place.lineno})" if place else ""
    return {"kind": "fault", "text": f"{type(error).__name__}: {text[:LONGEST]}{where}", "items": []}


if __name__ == "__main__":
    main(Path(sys.argv[1]))

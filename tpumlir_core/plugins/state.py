"""Global state of the process that plugins must leave alone."""

from __future__ import annotations

import hashlib
import locale
import logging
import os
import pickle
import random
import signal
import sys
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from tpumlir_core.ir import registered_operations


def global_state() -> dict[str, Any]:
    """What is watched, by the name that messages use."""
    return {
        "os.environ": dict(os.environ),
        "the working directory": os.getcwd(),  # noqa: PTH109  (a string is compared)
        "numpy's global random generator": _digest(np.random.get_state()),
        "Python's global random generator": _digest(random.getstate()),
        "numpy's error handling": np.geterr(),
        "numpy's print options": _digest(sorted((k, str(v)) for k, v in np.get_printoptions().items())),
        "the registry of operations": {name: id(kind) for name, kind in registered_operations().items()},
        "sys.path": list(sys.path),
        "the warning filters": list(warnings.filters),
        "the root logger": (logging.root.level, list(logging.root.handlers)),
        "the locale": locale.setlocale(locale.LC_ALL),
        "the recursion limit": sys.getrecursionlimit(),
        "the handler of SIGINT": signal.getsignal(signal.SIGINT),
        "sys.stdout": id(sys.stdout),
    }


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What differs, with the keys that do where it is a mapping."""
    return [_change(name, before[name], after[name]) for name in before if before[name] != after[name]]


def _change(name: str, before: Any, after: Any) -> str:
    if not isinstance(before, dict):
        return name
    keys = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
    return f"{name} ({', '.join(keys)})"


def _digest(value: Any) -> str:
    return hashlib.sha256(pickle.dumps(value)).hexdigest()

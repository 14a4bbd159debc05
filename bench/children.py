"""Child processes and what they cost."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tpumlir_core.errors import InputError


@dataclass(frozen=True)
class Usage:
    """What a process, its own children included, took: processor seconds, seconds by the clock, peak memory in bytes."""

    cpu: float
    wall: float
    peak: int


def run(command: Sequence[str | Path], folder: Path, environment: Mapping[str, str]) -> Usage:
    """Run a command to its end; its output goes to a log in ``folder``. Raises InputError with its last words where it fails."""
    log = folder / f"{Path(command[0]).name}.log"
    started = time.perf_counter()
    with log.open("wb") as stream:
        process = subprocess.Popen([str(part) for part in command], cwd=folder, env=dict(environment), stdout=stream, stderr=stream)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)  # it was waited for here
    if process.returncode:
        words = log.read_text(errors="replace").strip().splitlines()[-1:]
        raise InputError(f"{Path(command[0]).name} ends with {process.returncode}: {' '.join(words)[:300]}")
    return Usage(usage.ru_utime + usage.ru_stime, time.perf_counter() - started, usage.ru_maxrss * 1024)

"""Child processes and what they cost."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tpumlir_core.errors import InputError

_LAUNCHER = """
import json, resource, subprocess, sys
status = subprocess.run(sys.argv[2:]).returncode
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[1], "w") as file:
    json.dump([status, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024], file)
"""
"""A process counts as its own peak the memory of the one that started it: so a small one is put in between."""


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
    report = folder / "usage.json"
    with log.open("wb") as stream:
        launcher = [sys.executable, "-S", "-E", "-c", _LAUNCHER, str(report)]
        subprocess.run([*launcher, *map(str, command)], cwd=folder, env=dict(environment), stdout=stream, stderr=stream, check=True)
    status, cpu, peak = json.loads(report.read_text())
    if status:
        words = log.read_text(errors="replace").strip().splitlines()[-1:]
        raise InputError(f"{Path(command[0]).name} ends with {status}: {' '.join(words)[:300]}")
    return Usage(cpu, time.perf_counter() - started, peak)

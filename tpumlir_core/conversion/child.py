"""Calling a function in a process that has the framework: what the framework prints, breaks or eats stays there."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tpumlir_core.conversion import worker
from tpumlir_core.errors import AbsentFrameworkError, InputError, UnsupportedError
from tpumlir_core.importing import one_line
from tpumlir_core.plugins import isolation

SECONDS = 900.0
SECONDS_VARIABLE = "TPUMLIR_CONVERSION_SECONDS"
"""How long a call may take by the clock, and the variable that says otherwise."""
_LONGEST_WORDS = 300
"""Characters of what a crashed framework said."""
_TELLING = re.compile(r"\[error\]|\berror:|check failed|fatal", re.IGNORECASE)
"""What tells why a framework has ended its process, among all that it says."""


@dataclass(frozen=True)
class Framework:
    """A framework that a plugin converts with.

    ``name``: as users know it; ``distribution``: of the plugin, whose extra ``framework`` brings it; ``modules``: those that have
    to be there; ``variables``: of the process's environment, set before anything is imported.
    """

    name: str
    distribution: str
    modules: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)

    def python(self) -> Path:
        """The Python that has it: that of the plugin's isolated environment, else this one. Raises AbsentFrameworkError."""
        isolated = isolation.find(self.distribution)
        if isolated is not None:
            return isolated.python
        absent = [name for name in self.modules if importlib.util.find_spec(name) is None]
        if not absent:
            return Path(sys.executable)
        here = f"pip install '{self.distribution}[{isolation.EXTRA}]'"
        apart = f"tpumlir plugins install {self.distribution} --isolated"
        raise AbsentFrameworkError(f"it takes {self.name}, and there is no module {absent[0]}: {here}, or apart from here: {apart}")


def call(framework: Framework, function: str, arguments: Mapping[str, Any], folder: Path | None = None) -> Any:
    """What ``package.module:function`` of an installed plugin answers, in a process of the framework: JSON values both ways.

    ``folder`` is the working directory, where files may be left. Raises InputError for all that a model can do to a framework:
    refusals, crashes, and too much time or memory; AbsentFrameworkError where the framework is not there.
    """
    python = framework.python()
    with tempfile.TemporaryDirectory(prefix="tpumlir-") as name:
        scratch = Path(name)
        request = {"package": str(_package(function)), "function": function, "arguments": arguments, "bytes": _memory()}
        (scratch / "request.json").write_text(json.dumps(request), "utf-8")
        code = _run([str(python), str(Path(worker.__file__).resolve()), str(scratch)], framework, scratch, folder or scratch)
        answer = scratch / "answer.json"
        if not answer.is_file():
            raise InputError(_ending(code, framework, (scratch / "log").read_bytes()))
        return _value(json.loads(answer.read_text("utf-8")), framework)


def _package(function: str) -> Path:
    spec = importlib.util.find_spec(function.partition(".")[0])
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]).resolve()


def _memory() -> int:
    """Bytes of this machine's memory, which no conversion may exceed; 0 where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 0


def _run(command: list[str], framework: Framework, scratch: Path, folder: Path) -> int:
    """The exit code of a process whose words go into the file ``log``; it and its children are ended when they take too long."""
    seconds = _seconds()
    with (scratch / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder, env=_environment(framework, command[0], scratch),
            start_new_session=True,
        )  # fmt: skip
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise InputError(f"{framework.name} is not done after {seconds:g} seconds ({SECONDS_VARIABLE} allows for more)") from None
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process, and what it may have started."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    elif process.poll() is None:
        process.kill()
    process.wait()


def _seconds() -> float:
    text = os.environ.get(SECONDS_VARIABLE, "")
    try:
        seconds = float(text) if text else SECONDS
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise InputError(f"{SECONDS_VARIABLE} is {text!r}, not a number of seconds")
    return seconds


def _environment(framework: Framework, python: str, scratch: Path) -> dict[str, str]:
    """This process's variables, but those of this Python where it is another's."""
    foreign = python != sys.executable
    kept = {name: text for name, text in os.environ.items() if not (foreign and name.startswith("PYTHON"))}
    return {**kept, "PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "TMPDIR": str(scratch), **framework.variables}


def _ending(code: int, framework: Framework, log: bytes) -> str:
    lines = [line.strip() for line in log.decode("utf-8", "replace").splitlines() if line.strip()]
    telling = next(filter(_TELLING.search, lines), lines[-1] if lines else "")
    ended = f"signal {-code}, {signal.strsignal(-code)}" if code < 0 else f"exit code {code}"
    words = f": {telling[:_LONGEST_WORDS]}" if telling else ""
    return one_line(f"{framework.name} crashed on this model ({ended}){words}")


def _value(answer: Mapping[str, Any], framework: Framework) -> Any:
    if "value" in answer:
        return answer["value"]
    error = answer["error"]
    text = one_line(error["text"])
    match error["kind"]:
        case "refused" if error["items"]:
            raise UnsupportedError(text, tuple(one_line(item) for item in error["items"]))
        case "refused":
            raise InputError(text)
        case "memory":
            raise InputError(f"{framework.name} needs more memory for this model than this machine has")
        case "absent":
            raise AbsentFrameworkError(f"{framework.name} cannot be imported: {text}; see `tpumlir plugins doctor`")
        case _:
            raise InputError(f"{framework.name} refuses this model: {text}")

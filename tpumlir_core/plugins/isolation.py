"""Isolated environments: the framework that a plugin converts with, in a virtual environment of its own.

A distribution says in its metadata what belongs into it: the requirements of its extra ``framework``. Environments lie in the
user's data folder, one for a distribution, and a file in each tells what it was made for; without that file it is half made.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from tpumlir_core.errors import InputError, PluginError
from tpumlir_core.plugins.distributions import canonical, installed_version, read_head

EXTRA = "framework"
"""The extra that a distribution names the requirements of its environment with."""
FOLDER_VARIABLE = "TPUMLIR_ENVIRONMENTS"
"""The folder of all environments, in place of the user's data folder."""
_RECORD = "tpumlir-environment.json"
_NAMES = "import sys, importlib.metadata as m; [m.version(name) for name in sys.argv[1:]]"


@dataclass(frozen=True)
class Isolated:
    """A finished environment of a distribution, and the requirements that it was made for."""

    distribution: str
    folder: Path
    requires: tuple[str, ...]

    @property
    def python(self) -> Path:
        return python_in(self.folder)


def python_in(folder: Path) -> Path:
    """The interpreter of a virtual environment."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def environments(variables: Mapping[str, str] | None = None) -> Path:
    """The folder in which environments lie. Raises InputError without a home."""
    variables = os.environ if variables is None else variables
    if variables.get(FOLDER_VARIABLE):
        return Path(variables[FOLDER_VARIABLE])
    for variable, below in (("XDG_DATA_HOME", ""), ("LOCALAPPDATA", ""), ("HOME", ".local/share")):
        if variables.get(variable):
            return Path(variables[variable], below, "tpumlir", "environments")
    raise InputError(f"there is no place for environments: set HOME or {FOLDER_VARIABLE}")


def _folder(distribution: str) -> Path:
    """Where the environment of a distribution lies. Raises InputError for what is no name of one."""
    name = canonical(distribution)
    if not re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", name):
        raise InputError(f"{distribution}: not the name of a distribution")
    return environments() / name


def requirements(distribution: str) -> tuple[str, ...]:
    """What an installed distribution's extra asks for on this machine, sorted; () where it has none, or is not installed."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        lines = read_head(metadata.distribution(distribution)).requires
    except (metadata.PackageNotFoundError, ValueError):
        return ()
    found = []
    for line in lines:
        try:
            needed = Requirement(line)
        except InvalidRequirement:
            continue
        marker = needed.marker
        if marker is not None and marker.evaluate({"extra": EXTRA}) and not marker.evaluate({"extra": ""}):
            needed.marker = None
            found.append(str(needed))
    return tuple(sorted(found))


def unmet(lines: Sequence[str]) -> list[str]:
    """Those of some requirements that this environment does not meet."""
    from packaging.requirements import Requirement

    def met(needed: Requirement) -> bool:
        version = installed_version(needed.name)
        return version is not None and needed.specifier.contains(version, prereleases=True)

    return [line for line in lines if not met(Requirement(line))]


def find(distribution: str) -> Isolated | None:
    """The environment of a distribution; None where there is none, or a half made one."""
    try:
        return _read(_folder(distribution))
    except InputError:
        return None


def find_all() -> list[Isolated]:
    """All finished environments, sorted."""
    try:
        folders = sorted(environments().iterdir())
    except (InputError, OSError):
        return []
    return [found for folder in folders if (found := _read(folder)) is not None]


def _read(folder: Path) -> Isolated | None:
    try:
        record: Any = json.loads((folder / _RECORD).read_text("utf-8"))
        return Isolated(str(record["distribution"]), folder, tuple(map(str, record["requires"])))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def make(distribution: str, python: str = "") -> Isolated:
    """A new environment for an installed distribution, in place of what it may have, by ``python`` (default: this one).

    Raises PluginError where the distribution has no such extra, and with the reason in one line where it cannot be made.
    """
    from tpumlir_core.plugins.pip import run_pip

    distribution = canonical(distribution)
    wanted = requirements(distribution)
    if not wanted:
        raise PluginError(f"{distribution} has no extra {EXTRA!r}: it needs no environment of its own")
    folder = _folder(distribution)
    remove(distribution)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        done = subprocess.run([python or sys.executable, "-m", "venv", str(folder)], capture_output=True, text=True, check=False)
    except OSError as error:
        raise PluginError(f"{folder}: no environment can be made: {error.strerror or error}: {error.filename}") from None
    if done.returncode:
        lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise PluginError(f"{folder}: no environment can be made: {(lines or ['python -m venv gives no reason'])[-1]}")
    try:
        run_pip(python_in(folder), "install", "--", *wanted)
    except PluginError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    record = {"distribution": distribution, "requires": wanted}
    (folder / _RECORD).write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    return Isolated(distribution, folder, wanted)


def remove(distribution: str) -> bool:
    """Remove the environment of a distribution, half made or not; whether there was one."""
    folder = _folder(distribution)
    if not folder.exists():
        return False
    (folder / _RECORD).unlink(missing_ok=True)
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise PluginError(f"{folder}: cannot be removed: {error.strerror or error}") from None
    return True


def fault(isolated: Isolated) -> str:
    """What is wrong with an environment, with what mends it; "" when nothing is. Runs its Python, but imports no framework."""
    from packaging.requirements import Requirement

    again = f"run `tpumlir plugins install {isolated.distribution} --isolated` again"
    wanted = requirements(isolated.distribution)
    if not wanted:
        return f"no installed plugin uses it; remove it with `tpumlir plugins uninstall {isolated.distribution} --isolated`"
    if wanted != isolated.requires:
        return f"it was made for {', '.join(isolated.requires)}, the plugin asks for {', '.join(wanted)}; {again}"
    names = [Requirement(line).name for line in wanted]
    try:
        done = subprocess.run([isolated.python, "-I", "-c", _NAMES, *names], capture_output=True, text=True, check=False)
    except OSError as error:
        return f"its Python cannot be run ({error.strerror or error}); {again}"
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return f"its packages are damaged ({lines[-1] if lines else f'exit code {done.returncode}'}); {again}"
    return ""

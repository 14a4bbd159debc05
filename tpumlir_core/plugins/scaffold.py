"""New plugin packages: written from the templates of this package, complete and conformant from the start."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template

from tpumlir_core import __version__
from tpumlir_core.errors import InputError

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
ALIASES = {"operator": "op"}


@dataclass(frozen=True)
class Blueprint:
    """What a kind's package brings: the entry-point groups with the class suffix of each (None: the module itself), and what
    its read-me says about it."""

    points: tuple[tuple[str, str | None], ...]
    what: str


BLUEPRINTS = {
    "frontend": Blueprint((("frontends", ""),), "reads networks that are written down as a chain of operators"),
    "target": Blueprint((("targets", ""), ("runners", "Runner")), "a chip for elementwise functions, with a runner for its files"),
    "op": Blueprint((("ops", ""),), "a custom operator for every chip"),
    "quantizer": Blueprint((("quantizers", ""),), "lowers networks with weights rounded to 8 bits"),
    "calibrator": Blueprint((("calibrators", ""),), "chooses ranges without the outliers"),
    "runner": Blueprint((("runners", ""),), "runs files on the host"),
    "hook": Blueprint((("hooks", None),), "logs stages and adds a pass"),
}
"""Kinds that a package can be written for."""


def write_package(kind: str, name: str, parent: Path) -> Path:
    """A new folder in ``parent`` with the package; it is called as the distribution. Raises InputError."""
    kind = ALIASES.get(kind, kind)
    if kind not in BLUEPRINTS:
        raise InputError(f"{kind}: no template for this kind; there is {', '.join(BLUEPRINTS)}")
    if not _NAME.fullmatch(name):
        raise InputError(f"{name}: not a name for a plugin; use lower-case letters, digits and '-', as in acme-net")
    if not parent.is_dir():
        raise InputError(f"{parent}: there is no such folder")
    folder = parent / f"tpumlir-{name}"
    if folder.exists():
        raise InputError(f"{folder}: it is there already; remove it or choose another name")
    files = _files(kind, name)
    try:
        folder.mkdir()
        for file, text in files.items():
            (folder / file).write_text(text, "utf-8")
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror}") from error
    return folder


def _files(kind: str, name: str) -> dict[str, str]:
    words = name.split("-")
    module, cls = f"tpumlir_{'_'.join(words)}", "".join(word.capitalize() for word in words)
    major, minor = __version__.split(".")[:2]
    values = {
        "kind": kind,
        "name": name,
        "distribution": f"tpumlir-{name}",
        "module": module,
        "cls": cls,
        "dialect": "_".join(words),
        "mode": "_".join(words).upper(),
        "what": BLUEPRINTS[kind].what,
        "least": f"{major}.{minor}",
        "below": f"{major}.{int(minor) + 1}",
        "entry_points": "".join(
            f'[project.entry-points."tpumlir.{group}"]\n{name} = "{module}{"" if suffix is None else f":{cls}{suffix}"}"\n'
            for group, suffix in BLUEPRINTS[kind].points
        ),
    }
    templates = {"pyproject.toml": "pyproject", "README.md": "readme", f"{module}.py": kind, f"test_{module}.py": "test"}
    return {file: Template(_template(template)).substitute(values) for file, template in templates.items()}


def _template(name: str) -> str:
    return (resources.files("tpumlir_core.plugins") / "templates" / f"{name}.txt").read_text("utf-8")

"""Distributions: every data file is packed, every entry point resolves, what is imported is declared."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECTS = {"core": ROOT / "pyproject.toml", **{path.parent.name: path for path in sorted(ROOT.glob("plugins/*/pyproject.toml"))}}
LIBRARIES = {name: path for name, path in PROJECTS.items() if name != "umbrella"}
CALLED = {"google": "protobuf", "PIL": "pillow", "cv2": "opencv-python-headless"}
"""Distributions that are not called as their module is."""


def package(name: str) -> Path:
    return LIBRARIES[name].parent / module_name(name)


def module_name(name: str) -> str:
    """What the package of a distribution is called."""
    return f"tpumlir_{name.replace('-', '_')}"


def project(name: str) -> dict[str, Any]:
    return tomllib.loads(PROJECTS[name].read_text())


def imported(path: Path) -> Iterator[str]:
    """Top-level names of the modules that a file imports, at any level."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
        elif isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)


@pytest.mark.parametrize("name", LIBRARIES)
def test_data_files_are_packed(name: str) -> None:
    patterns = project(name).get("tool", {}).get("setuptools", {}).get("package-data", {}).get(module_name(name), [])
    packed = {file for pattern in patterns for file in package(name).glob(pattern)}
    data = {file for file in package(name).rglob("*") if file.is_file() and file.suffix not in (".py", ".pyc")}
    assert packed == data


@pytest.mark.parametrize("name", LIBRARIES)
def test_entry_points_resolve(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(LIBRARIES[name].parent))  # the example of operators is not installed with the others
    for points in project(name)["project"].get("entry-points", {}).values():
        for value in points.values():
            module, _, attribute = value.partition(":")
            assert getattr(import_module(module), attribute)


@pytest.mark.parametrize("name", LIBRARIES)
def test_what_is_imported_is_declared(name: str) -> None:
    modules = {module for file in package(name).rglob("*.py") for module in imported(file)}
    used = {CALLED.get(module, module.replace("_", "-")) for module in modules - sys.stdlib_module_names - {module_name(name)}}
    described = project(name)["project"]
    lines = [*described["dependencies"], *(line for extra in described.get("optional-dependencies", {}).values() for line in extra)]
    declared = {canonicalize_name(Requirement(line).name) for line in lines}
    assert used <= declared


def test_the_umbrella_brings_all_but_the_examples() -> None:
    required = {Requirement(line).name for line in project("umbrella")["project"]["dependencies"]}
    assert required == {f"tpumlir-{name}" for name in LIBRARIES if not name.startswith("example-")}


@pytest.mark.parametrize("name", PROJECTS)
def test_every_distribution_has_a_read_me(name: str) -> None:
    assert (PROJECTS[name].parent / project(name)["project"]["readme"]).read_text().startswith("# tpumlir")

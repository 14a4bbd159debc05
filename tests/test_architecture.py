"""The rules of the house: who may import whom, what of the core is public, and which names the core may not know."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = ROOT / "tpumlir_core"
PLUGINS = {path.name: path / f"tpumlir_{path.name.replace('-', '_')}" for path in sorted((ROOT / "plugins").iterdir()) if path.is_dir()}
del PLUGINS["umbrella"]  # no code

MAY_IMPORT = {"bm1684x": {"tpumlir_sophgo"}, "bmrt": {"tpumlir_sophgo"}, "example-op": {"tpumlir_bm1684x"}}
"""Which other plugins a plugin may import; one that is not named, none."""

NAMES = ("bm1684", "sophgo", "bmrt", "cmodel", "onnx", "torch", "tflite", "caffe", "paddle", "tensorflow", "example-", "example_")
"""Chips, frameworks and plugins, as parts of words in any spelling."""
GENERIC = {"compat", "float", "int8"}
"""Plugins whose names are words of the field as well."""
FORMAT_NAMES = {
    "ir/attributes.py": {"pytorch_half_pixel": "a value of an attribute in the reference's MLIR text"},
    "ir/top/resize.py": {"pytorch_half_pixel": "the same"},
    "testing/probe.py": dict.fromkeys(("torch", "tensorflow", "onnx", "onnxruntime", "paddle"), "heavy to import, whoever does it"),
}
"""Words that the core's code may have, by file, with the reason."""


def sources(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


@cache
def imports(path: Path) -> frozenset[tuple[str, str]]:
    """(module, name or "") of every import in a file, those inside functions and for type checkers too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            found |= {(node.module or "", alias.name) for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {(alias.name, "") for alias in node.names}
    return frozenset(found)


def packages_imported(folder: Path) -> set[str]:
    """Packages of this project that a package imports, besides itself."""
    top = {module.partition(".")[0] for path in sources(folder) for module, _ in imports(path)}
    return {name for name in top if name.startswith("tpumlir_")} - {folder.name}


def public_modules() -> dict[str, str]:
    """The modules of docs/plugins/public-api.md, with what it says of them."""
    text = (ROOT / "docs/plugins/public-api.md").read_text()
    return dict(re.findall(r"^\| `(tpumlir_core[\w.]*)` \| (.+) \|$", text, re.MULTILINE))


# --- who imports whom -------------------------------------------------------------------------------------------------
def test_the_core_imports_no_plugin() -> None:
    assert packages_imported(CORE) == set()


@pytest.mark.parametrize("name", PLUGINS)
def test_dependencies_of_plugins_point_one_way(name: str) -> None:
    assert packages_imported(PLUGINS[name]) - {"tpumlir_core"} <= MAY_IMPORT.get(name, set())


# --- what is public ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("module", public_modules())
def test_public_modules_are_described_in_their_own_words(module: str) -> None:
    doc = import_module(module).__doc__ or ""
    assert public_modules()[module] == doc.splitlines()[0]


@pytest.mark.parametrize("name", PLUGINS)
def test_plugins_import_public_modules_of_the_core_only(name: str) -> None:
    public = public_modules()
    assert public
    for path in sources(PLUGINS[name]):
        for module, attribute in sorted(imports(path)):
            if module.partition(".")[0] != "tpumlir_core":
                continue
            where = f"{path.relative_to(ROOT)} imports {attribute} of {module}"
            assert module in public or (module == "tpumlir_core" and f"{module}.{attribute}" in public), f"{where}: not public"
            assert not attribute.startswith("_"), f"{where}: a private name"
            inner = f"{module}.{attribute}"
            assert inner in public or not is_module(inner), f"{where}: a module that is not public"


def is_module(name: str) -> bool:
    """Whether a name of a package is a module (and no attribute of the package hides it)."""
    package, _, attribute = name.rpartition(".")
    parent = import_module(package)
    return hasattr(parent, "__path__") and find_spec(name) is not None and getattr(parent, attribute, None) in (None, import_module(name))


# --- names that the core does not know ----------------------------------------------------------------------------------
def words_of_code(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of every name and literal of a file; docstrings and comments, which may tell where a fact is from, are left out."""
    text = path.read_text()
    prose = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT and token.start[0] not in prose:
            yield token.start[0], token.string


def known_names(text: str) -> Iterator[str]:
    """The whole words of a text that have one of NAMES in them."""
    for word in re.findall(r"[\w-]+", text):
        if any(name in word.lower() for name in NAMES):
            yield word


def test_every_plugin_is_among_the_names() -> None:
    assert {name for name in PLUGINS if not any(part in name for part in NAMES)} == GENERIC


@pytest.mark.parametrize("path", sources(CORE), ids=lambda path: str(path.relative_to(CORE)))
def test_the_core_names_no_chip_framework_or_plugin(path: Path) -> None:
    allowed = FORMAT_NAMES.get(str(path.relative_to(CORE)), {})
    found = [f"line {line}: {word}" for line, text in words_of_code(path) for word in known_names(text) if word not in allowed]
    assert not found, f"{path.relative_to(ROOT)} names a chip, framework or plugin: {', '.join(found)}"


@pytest.mark.parametrize(("file", "word"), [(file, word) for file, words in FORMAT_NAMES.items() for word in words])
def test_what_is_allowed_is_needed(file: str, word: str) -> None:
    assert word in {word for _, text in words_of_code(CORE / file) for word in known_names(text)}


def test_the_check_of_names_finds_names(tmp_path: Path) -> None:
    source = tmp_path / "bad.py"
    source.write_text('"""About ONNX."""\n\n\ndef load_onnx(path):\n    """Reads ONNX."""\n    return "BM1684X", path  # Caffe\n')
    found = [word for _, text in words_of_code(source) for word in known_names(text)]
    assert found == ["load_onnx", "BM1684X"]

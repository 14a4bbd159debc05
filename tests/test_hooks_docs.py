"""The page about hooks: its reference is what the code says, and its example does what it tells."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tpumlir_core.plugins.hookspecs import Hooks

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "plugins" / "hooks.md"


@pytest.fixture
def generator(docs_script: Callable[[str], ModuleType]) -> ModuleType:
    """docs/hook_reference.py."""
    return docs_script("hook_reference")


def block(language: str, index: int = 0) -> str:
    return str(re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)[index])


def test_the_reference_is_what_the_code_says(generator: ModuleType) -> None:
    assert generator.page(PAGE.read_text()) == PAGE.read_text(), "run: python docs/hook_reference.py"
    hooks = [name for name in vars(Hooks) if not name.startswith("_")]
    assert hooks == [name for name in re.findall(r"^### (\w+)$", PAGE.read_text(), re.MULTILINE) if name.islower()]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """The folder that commands run in, with log(exp(x)) + x."""
    folder = tmp_path / "work"
    folder.mkdir()
    nodes = [helper.make_node("Exp", ["x"], ["e"]), helper.make_node("Log", ["e"], ["l"]), helper.make_node("Add", ["l", "x"], ["y"])]
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3]) for name in ("x", "y")]
    model = helper.make_model(helper.make_graph(nodes, "net", tensors[:1], tensors[1:]), ir_version=9)
    model.opset_import[0].version = 17
    onnx.save(model, folder / "net.onnx")
    np.savez(folder / "x.npz", x=np.linspace(-2, 2, 6, dtype=np.float32).reshape(2, 3))
    return folder


COMPILE = ("compile", "net.onnx", "--chip", "bm1684x", "-o", "net.bmodel", "--test-input", "x.npz")


def test_the_example_works(site: Any, work: Path, tpumlir: Any) -> None:
    project = tomllib.loads(block("toml"))["project"]
    requires, points = tuple(project["dependencies"]), project["entry-points"]
    site.install(project["name"], points, {"acme_inverses": block("python")}, requires, project["version"])
    made = tpumlir(*COMPILE, "--print-after", "acme-cancel-inverses")
    assert made.returncode == 0, made.stderr
    assert "// after acme-cancel-inverses" in made.stderr
    assert "top.Exp" not in made.stderr
    assert re.search(r"^Acme\n  slowest stage: \w+", made.stdout, re.MULTILINE)
    (network,) = json.loads(tpumlir("info", "net.bmodel", "--json").stdout)["networks"]
    (stage,) = network["stages"]
    assert stage["made_by"]["acme-inverses"] == "1.0"
    assert "tpumlir-core" in stage["made_by"]
    assert "acme-inverses 1.0" in tpumlir("info", "net.bmodel").stdout
    assert tpumlir("run", "net.bmodel", "--input", "x.npz", "--output", "y.npz").returncode == 0
    np.testing.assert_allclose(np.load(work / "y.npz")["y_Add"], 2 * np.load(work / "x.npz")["x"], rtol=1e-6)
    assert tpumlir(*COMPILE, TPUMLIR_DISABLE="acme-inverses").returncode == 0
    (network,) = json.loads(tpumlir("info", "net.bmodel", "--json").stdout)["networks"]
    assert network["stages"][0]["tiu_commands"] > stage["tiu_commands"]
    assert "acme-inverses" not in network["stages"][0]["made_by"]


def test_hooks_in_a_file(work: Path, tpumlir: Any) -> None:
    (work / "hooks.py").write_text(block("python", 1))
    assert tpumlir(*COMPILE, "--plugin", "hooks.py").returncode == 0
    (work / "hooks.py").write_text(block("python", 1).replace("assert", "assert not"))
    failed = tpumlir(*COMPILE, "--plugin", "hooks.py")
    assert (failed.returncode, "hooks.py" in failed.stderr, "failed in stage_started" in failed.stderr) == (3, True, True)

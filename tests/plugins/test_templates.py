"""Packages as `tpumlir plugins new` writes them: conformant from the start, and they run."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.plugins.environments import lay_out
from tpumlir_core.plugins import PluginManager
from tpumlir_core.plugins.scaffold import BLUEPRINTS, write_package
from tpumlir_core.testing import State, run_kit

RUFF = ("--select", "E,F,W,I,B", "--line-length", "140")


def name_of(kind: str) -> str:
    return f"acme-new-{kind}"


@pytest.fixture
def install(site: Any, tmp_path: Path) -> Any:
    """Writes the package of a kind and lays it out as installed."""

    def write(kind: str) -> Path:
        folder = write_package(kind, name_of(kind), tmp_path)
        lay_out(folder, site.folder)
        return folder

    return write


@pytest.mark.parametrize("kind", BLUEPRINTS)
def test_a_new_package_keeps_every_promise(kind: str, install: Any) -> None:
    install(kind)
    plugins = [plugin for plugin in PluginManager.discover().plugins() if plugin.name == name_of(kind)]
    assert len(plugins) == len(BLUEPRINTS[kind].points)
    for plugin in plugins:
        outcomes = list(run_kit(plugin.kind, plugin.name))
        assert {outcome.check: outcome.message for outcome in outcomes if outcome.state is not State.PASSED} == {}
        assert len(outcomes) > 5


@pytest.mark.parametrize("kind", BLUEPRINTS)
def test_a_new_package_is_tidy(kind: str, install: Any) -> None:
    folder = install(kind)
    ruff = Path(sys.executable).with_name("ruff")
    checked = subprocess.run([ruff, "check", "--isolated", *RUFF, folder], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    assert "$" not in "".join(file.read_text() for file in folder.iterdir())
    (test,) = folder.glob("test_*.py")
    assert len([line for line in test.read_text().splitlines() if line]) <= 3
    compile(test.read_text(), str(test), "exec")
    about = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert about["name"] == f"tpumlir-{name_of(kind)}"
    assert any(line.startswith("tpumlir-core>=") and "<" in line for line in about["dependencies"])


def test_its_own_test_runs_the_kit_under_pytest(install: Any, site: Any) -> None:
    folder = install("calibrator")
    environment = {"PYTHONPATH": f"{site.folder}:{':'.join(entry for entry in sys.path if entry)}"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "10 passed" in done.stdout


def test_from_new_frontend_to_new_runner(install: Any, tpumlir: Any, tmp_path: Path) -> None:
    for kind in ("frontend", "quantizer", "target", "hook"):
        install(kind)
    work = tmp_path / "work"
    (work / "net.json").write_text(json.dumps({name_of("frontend"): 1, "input": [2, 3], "operators": ["Abs", "Exp"]}))
    np.savez(work / "x.npz", input=np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3))
    options = ("--chip", name_of("target"), "--quantize", "acme_new_quantizer", "--test-input", "x.npz", "--json")
    compiled = tpumlir("compile", "net.json", "-o", "net.bin", *options)
    assert compiled.returncode == 0, compiled.stderr
    assert [section["title"] for section in json.loads(compiled.stdout)["sections"]] == [name_of("hook")]
    ran = tpumlir("run", "net.bin", "--input", "x.npz", "--output", "y.npz")
    assert ran.returncode == 0, ran.stderr
    expected = np.exp(np.abs(np.linspace(-1, 1, 6, dtype=np.float32))).reshape(2, 3)
    np.testing.assert_allclose(np.load(work / "y.npz")["step1"], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("frontend", "Bad Name"), "not a name for a plugin"),
        (("frontend", "-x"), "No such option"),
        (("nothing", "acme"), "'nothing' is not one of"),
        (("frontend", "acme", "--output", "nowhere"), "there is no such folder"),
    ],
)
def test_what_cannot_be_written_is_said(tpumlir: Any, arguments: tuple[str, ...], said: str) -> None:
    result = tpumlir("plugins", "new", *arguments)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1), result.stderr
    assert said in result.stderr


def test_nothing_is_written_over(tpumlir: Any, tmp_path: Path) -> None:
    assert tpumlir("plugins", "new", "operator", "acme").returncode == 0
    (tmp_path / "work" / "tpumlir-acme" / "README.md").write_text("mine")
    again = tpumlir("plugins", "new", "operator", "acme")
    assert (again.returncode, "it is there already" in again.stderr) == (2, True)
    assert (tmp_path / "work" / "tpumlir-acme" / "README.md").read_text() == "mine"

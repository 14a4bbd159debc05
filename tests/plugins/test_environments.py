"""Whatever is installed or not, the rest works: the core alone, without each plugin, and among sick ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.plugins.environments import FIRST_PARTY, Environment
from tests.timing import assert_below, child_seconds
from tpumlir_core.container import Container, write_container
from tpumlir_onnx.examples import write_example

SECONDS = 0.25
"""Processor time that `plugins list` may take."""


def assert_one_line(result: Any, *parts: str) -> None:
    assert (result.returncode, result.stderr.count("\n")) == (2, 1), result.stderr
    assert result.stderr.startswith("tpumlir: error: ")
    for part in parts:
        assert part in result.stderr


def test_the_core_alone(tmp_path: Path) -> None:
    environment = Environment(tmp_path / "env")
    assert "compile" in environment.run("--help").stdout
    listed = json.loads(environment.run("plugins", "list", "--json").stdout)
    assert [(plugin["kind"], plugin["name"]) for plugin in listed] == [("interpreter", "numpy")]
    (environment.work / "net.bin").write_bytes(write_container(Container("nochip", "net", (), (), {})))
    assert json.loads(environment.run("info", "net.bin", "--json").stdout)["chip"] == "nochip"
    assert_one_line(environment.run("disasm", "net.bin"), "no target is called 'nochip'", "installed: none")
    assert environment.run("plugins", "doctor").returncode == 0


@pytest.mark.parametrize("absent", FIRST_PARTY)
def test_without_one_plugin_the_others_work(tmp_path: Path, absent: str) -> None:
    environment = Environment(tmp_path / "env", [plugin for plugin in FIRST_PARTY if plugin != absent])
    plugins = json.loads(environment.run("plugins", "list", "--json").stdout)
    sick = {plugin["distribution"] for plugin in plugins if plugin["health"] != "ok"}
    needing = {"sophgo": {"tpumlir-bm1684x", "tpumlir-bmrt"}}.get(absent, set())
    assert sick == needing
    for plugin in plugins:
        if plugin["distribution"] in needing:
            assert plugin["health"] == "missing dependency"
            assert f"pip install 'tpumlir-{absent}<0.2,>=0.1'" in plugin["reason"]
    write_example(environment.work / "net.onnx")
    compiled = environment.run("compile", "net.onnx", "-o", "net.bmodel", "--chip", "bm1684x")
    if absent == "bmrt":
        assert compiled.returncode == 0, compiled.stderr
    else:
        words = {"sophgo": "missing dependency", "bm1684x": "no target is called", "onnx": "no frontend knows", "float": "no quantizer"}
        assert_one_line(compiled, words[absent])
    if absent != "onnx":
        assert environment.run("transform", "net.onnx", "--mlir", "net.mlir").returncode == 0


RUNNERS = "tpumlir.runners"
GOOD = """
    from tpumlir_core.plugins.extension_points import Runner

    class Good(Runner):
        def recognizes(self, path, head):
            return False

        def run(self, path, inputs):
            return dict(inputs)
"""
SICK = {
    "broken": ("broken", "RuntimeError: no luck"),
    "incompatible": ("incompatible", "it needs tpumlir-core >=99"),
    "claimed": ("conflict", "acme-claim-1 1.0 and acme-claim-2 1.0 both bring it"),
    "needy": ("missing dependency", "pip install 'acme-absent>=2'"),
}


@pytest.fixture
def twelve(tmp_path: Path, request: pytest.FixtureRequest) -> Environment:
    """The first-party plugins and, of others: seven healthy, one broken, one incompatible, two in conflict, one in need."""
    environment = Environment(tmp_path / "env", FIRST_PARTY)
    site = type(request.getfixturevalue("site"))(environment.site)
    for number in range(1, 8):
        site.install(f"acme-good-{number}", {RUNNERS: {f"good{number}": f"acme_good{number}:Good"}}, {f"acme_good{number}": GOOD})
    broken = {"acme_broken": "print('noise')\nraise RuntimeError('no\\nluck')"}
    site.install("acme-broken", {RUNNERS: {"broken": "acme_broken:X"}}, broken)
    site.install("acme-incompatible", {RUNNERS: {"incompatible": "acme_broken:X"}}, requires=("tpumlir-core>=99",))
    for number in (1, 2):
        site.install(f"acme-claim-{number}", {RUNNERS: {"claimed": "acme_good1:Good"}})
    site.install("acme-needy", {RUNNERS: {"needy": "acme_good1:Good"}}, requires=("acme-absent>=2",))
    write_example(environment.work / "net.onnx")
    np.savez(environment.work / "x.npz", x=np.zeros((1, 3, 9, 7), np.float32))
    return environment


def test_among_sick_plugins_the_healthy_ones_work(twelve: Environment) -> None:
    assert "compile" in twelve.run("--help").stdout
    listed = json.loads(twelve.run("plugins", "list", "--json").stdout)
    states = {plugin["name"]: plugin["health"] for plugin in listed if plugin["distribution"].startswith("acme")}
    assert {name: state for name, state in states.items() if state != "ok"} == {
        name: state for name, (state, _) in SICK.items() if name != "broken"  # what only its import shows, the list cannot know
    }
    doctor = twelve.run("plugins", "doctor", "--json")
    assert doctor.returncode == 1
    states = {plugin["name"]: plugin["health"] for plugin in json.loads(doctor.stdout)["plugins"]}
    assert {name: states[name] for name in SICK} == {name: state for name, (state, _) in SICK.items()}
    compiled = twelve.run("compile", "net.onnx", "-o", "net.bmodel", "--chip", "bm1684x", "--json")
    assert compiled.returncode == 0, compiled.stderr
    assert json.loads(compiled.stdout)["bytes"] > 0


def test_a_sick_plugin_gives_its_reason_in_one_line(twelve: Environment) -> None:
    for name, (state, reason) in SICK.items():
        result = twelve.run("run", "net.onnx", "--input", "x.npz", "--output", "y.npz", "--runner", name)
        assert_one_line(result, f"runner {name} of acme-", state, reason)
        assert result.stdout == ""


def test_listing_is_quick_and_imports_no_plugin(twelve: Environment) -> None:
    listing = "import sys; from tpumlir_core.cli.main import group; group.main(['plugins', 'list'], standalone_mode=False)"
    plugins = "[m for m in sys.modules if m.startswith(('acme', 'tpumlir_')) and not m.startswith('tpumlir_core')]"
    done = twelve.python("-c", f"{listing}; print({plugins}, 'numpy' in sys.modules, 'stevedore' in sys.modules)")
    assert done.stdout.splitlines()[-1] == "[] False False", done.stdout + done.stderr

    assert_below(SECONDS, lambda: child_seconds(lambda: twelve.run("plugins", "list").check_returncode()))

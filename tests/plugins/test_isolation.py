"""Environments of frameworks: made of what a distribution's metadata asks for, found, examined and removed."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Command
from tpumlir_core.conversion.child import Framework, call
from tpumlir_core.errors import InputError, PluginError
from tpumlir_core.plugins import isolation

RUNNER = """
    from tpumlir_core.conversion import Framework
    from tpumlir_core.plugins.extension_points import Runner

    class Plain(Runner):
        def recognizes(self, path, head):
            return False

        def run(self, path, inputs):
            return dict(inputs)

    class Good(Plain):
        framework = Framework("Frame", "acme-net", ("acme_frame",))
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of all environments."""
    monkeypatch.setenv(isolation.FOLDER_VARIABLE, str(tmp_path / "environments"))
    return tmp_path / "environments"


def write_wheel(folder: Path) -> Path:
    """A framework of one module, as a wheel that needs no building."""
    path = folder / "acme_frame-1.5-py3-none-any.whl"
    info = "acme_frame-1.5.dist-info"
    files = {
        "acme_frame.py": "ANSWER = 42\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: acme-frame\nVersion: 1.5\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
        record = "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD"))
        wheel.writestr(f"{info}/RECORD", record)
    return path


def install_plugin(site: Any, *requires: str) -> None:
    lines = ("numpy", 'other>=3; extra == "dev"', *(f'{line} ; extra == "framework"' for line in requires))
    site.install("acme-net", {"tpumlir.runners": {"acme-runner": "acme_net_runner:Good"}}, {"acme_net_runner": RUNNER}, requires=lines)


def test_requirements_are_those_of_the_extra(site: Any) -> None:
    install_plugin(site, "acme-frame>=1,<2", "acme-more[x]>=1")
    assert isolation.requirements("acme-net") == ("acme-frame<2,>=1", "acme-more[x]>=1")
    assert isolation.requirements("acme-absent") == ()


def test_lines_for_other_systems_are_left_out(site: Any) -> None:
    requires = ("here; extra == 'framework' and python_version >= '3'", "there; extra == 'framework' and python_version < '3'")
    site.install("acme-two", {}, requires=requires)
    assert isolation.requirements("acme-two") == ("here",)


def test_from_install_to_uninstall(site: Any, tmp_path: Path, folder: Path, tpumlir: Command) -> None:
    wheel = write_wheel(tmp_path)
    install_plugin(site, f"acme-frame @ {wheel.as_uri()}")
    made = tpumlir("plugins", "install", "acme-runner", "--isolated")
    assert (made.returncode, made.stderr) == (0, "")
    assert str(folder / "acme-net") in made.stdout
    found = isolation.find("acme_net")
    assert found is not None
    assert (found.folder, isolation.fault(found)) == (folder / "acme-net", "")

    package = site.folder / "acme_ask"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "child.py").write_text("def ask():\n    import acme_frame\n    return acme_frame.ANSWER\n")
    assert call(Framework("Frame", "acme-net", ("acme_frame",)), "acme_ask.child:ask", {}) == 42

    doctor = json.loads(tpumlir("plugins", "doctor", "--json").stdout)
    states = {state["distribution"]: state for state in doctor["frameworks"]}
    assert states["acme-net"] == {"distribution": "acme-net", "place": str(folder / "acme-net"), "fault": ""}

    removed = tpumlir("plugins", "uninstall", "acme-runner", "--isolated")
    assert removed.stdout == "removed the environment of acme-net\n"
    assert isolation.find("acme-net") is None
    again = tpumlir("plugins", "uninstall", "acme-runner", "--isolated")
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)


def record(folder: Path, name: str, *requires: str) -> Path:
    """An environment that has a record and nothing else."""
    home = folder / name
    home.mkdir(parents=True)
    (home / "tpumlir-environment.json").write_text(json.dumps({"distribution": name, "requires": requires}))
    return home


def test_doctor_tells_of_environments_that_do_not_fit(site: Any, folder: Path, tpumlir: Command) -> None:
    install_plugin(site, "acme-frame>=2")
    record(folder, "acme-net", "acme-frame>=1")
    record(folder, "acme-gone", "acme-frame>=1")
    (folder / "half").mkdir()
    told = tpumlir("plugins", "doctor")
    assert told.returncode == 1
    assert "it was made for acme-frame>=1, the plugin asks for acme-frame>=2" in told.stdout
    assert "no installed plugin uses it; remove it with `tpumlir plugins uninstall acme-gone --isolated`" in told.stdout
    assert "2 environments with a fault" in told.stdout
    assert "half" not in told.stdout
    assert tpumlir("plugins", "uninstall", "acme-gone", "--isolated").returncode == 0
    assert not (folder / "acme-gone").exists()


def test_a_damaged_environment_is_told(site: Any, folder: Path) -> None:
    install_plugin(site, "acme-frame>=1")
    record(folder, "acme-net", "acme-frame>=1")
    found = isolation.find("acme-net")
    assert found is not None
    assert "its Python cannot be run" in isolation.fault(found)


def test_doctor_tells_where_no_framework_is(site: Any, tpumlir: Command) -> None:
    install_plugin(site, "acme-frame>=1")
    told = tpumlir("plugins", "doctor").stdout
    apart = "tpumlir plugins install acme-net --isolated"
    assert f"framework of acme-net: not installed (acme-frame>=1): pip install 'acme-net[framework]', or apart from here: {apart}" in told


@pytest.mark.parametrize("requires", [("acme-frame @ file:///nowhere/acme_frame-1.5-py3-none-any.whl",)])
def test_nothing_is_left_of_an_environment_that_cannot_be_made(
    site: Any, folder: Path, tpumlir: Command, requires: tuple[str, ...]
) -> None:
    install_plugin(site, *requires)
    failed = tpumlir("plugins", "install", "acme-runner", "--isolated")
    assert (failed.returncode, failed.stderr.count("\n")) == (2, 1)
    assert failed.stderr.startswith("tpumlir: error: pip install acme-frame")
    assert list(folder.iterdir()) == []


def test_wrong_requests_are_one_line(site: Any, tpumlir: Command, folder: Path) -> None:
    site.install("acme-plain", {"tpumlir.runners": {"plain": "acme_plain:Plain"}}, {"acme_plain": RUNNER})
    for arguments, words in (
        (("install", "plain", "--isolated"), "its plugins run no framework in a process of its own; pip install 'acme-plain[framework]'"),
        (("install", "plain", "--python", "python3"), "--python is for --isolated"),
        (("uninstall", "../../etc", "--isolated"), "not the name of a distribution"),
    ):
        told = tpumlir("plugins", *arguments)
        assert (told.returncode, told.stderr.count("\n")) == (2, 1), told.stderr
        assert words in told.stderr
    install_plugin(site, "acme-frame")
    with pytest.raises(PluginError, match="no environment can be made"):
        isolation.make("acme-net", "/nowhere/python")
    with pytest.raises(PluginError, match="acme-plain has no extra 'framework'"):
        isolation.make("acme-plain")


def test_frameworks_that_cannot_be_isolated_are_told_so(site: Any, tpumlir: Command) -> None:
    entry = {"tpumlir.runners": {"plain": "acme_plain:Plain"}}
    site.install("acme-plain", entry, {"acme_plain": RUNNER}, requires=('acme-frame>=1; extra == "framework"',))
    told = tpumlir("plugins", "doctor").stdout
    assert "framework of acme-plain: not installed (acme-frame>=1): pip install 'acme-plain[framework]'\n" in told


def test_the_folder_is_the_users(tmp_path: Path) -> None:
    assert isolation.environments({"HOME": "/home/me"}) == Path("/home/me/.local/share/tpumlir/environments")
    assert isolation.environments({"HOME": "/home/me", "XDG_DATA_HOME": "/data"}) == Path("/data/tpumlir/environments")
    assert isolation.environments({"HOME": "/home/me", isolation.FOLDER_VARIABLE: "/here"}) == Path("/here")
    with pytest.raises(InputError, match="set HOME"):
        isolation.environments({})

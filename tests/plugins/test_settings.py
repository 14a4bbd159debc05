"""What the user wants of plugins: in the environment, in a project's pyproject.toml, in the user's own file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tpumlir_core.errors import InputError, PluginError
from tpumlir_core.plugins import FRONTEND, RUNNER, PluginManager
from tpumlir_core.plugins.settings import Selection, user_file

RUNNERS = "tpumlir.runners"
SOURCE = """
    from tpumlir_core.plugins.extension_points import Runner

    class Good(Runner):
        def recognizes(self, path, head):
            return head.startswith(b"good")

        def run(self, path, inputs):
            return dict(inputs)
"""


@pytest.fixture
def three(site: Any) -> Any:
    """Runners a and b of one distribution and c of another; their modules must not be imported."""
    site.install("acme-ab", {RUNNERS: {"a": "acme_ab:Good", "b": "acme_ab:Good"}}, {"acme_ab": "raise SystemExit(9)"})
    site.install("acme-c", {RUNNERS: {"c": "acme_c:Good"}}, {"acme_c": "raise SystemExit(9)"})
    return site


def names(site: Any, folder: Path, **environment: str) -> list[str]:
    return PluginManager.discover(environment, [str(site.folder)], folder).names(RUNNER)


def project(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("table", "environment", "left"),
    [
        ('disable = ["a"]', {}, ["b", "c"]),
        ('disable = ["runner:b", "acme_c"]', {}, ["a"]),
        ('plugins = ["acme-ab"]', {}, ["a", "b"]),
        ('plugins = ["a", "c"]\ndisable = ["c"]', {}, ["a"]),
        ("plugins = []", {}, []),
        ('plugins = ["a"]', {"TPUMLIR_PLUGINS": "b"}, ["b"]),
        ('disable = ["a"]', {"TPUMLIR_DISABLE": "b"}, ["c"]),
        ("", {}, ["a", "b", "c"]),
    ],
)
def test_a_project_chooses_before_import(three: Any, tmp_path: Path, table: str, environment: dict[str, str], left: list[str]) -> None:
    folder = project(tmp_path / "project", f"[tool.tpumlir]\n{table}\n")
    (folder / "deep" / "inside").mkdir(parents=True)
    assert names(three, folder / "deep" / "inside", **environment) == left
    assert not {"acme_ab", "acme_c"} & set(sys.modules)


def test_the_nearest_table_counts_and_other_projects_are_passed_over(three: Any, tmp_path: Path) -> None:
    outer = project(tmp_path / "outer", '[tool.tpumlir]\ndisable = ["a"]\n')
    inner = project(outer / "inner", "[project]\nname = 'x'\n")
    nearest = project(inner / "nearest", '[tool.tpumlir]\ndisable = ["b"]\n')
    broken = project(outer / "broken", "this is no TOML")
    assert names(three, inner) == ["b", "c"]
    assert names(three, nearest) == ["a", "c"]
    assert names(three, broken) == ["b", "c"]


def test_a_reason_names_its_place(three: Any, tmp_path: Path) -> None:
    folder = project(tmp_path / "project", '[tool.tpumlir]\ndisable = ["a"]\nplugins = ["b"]\n')
    manager = PluginManager.discover({}, [str(three.folder)], folder)
    assert manager.find(RUNNER, "a").reason == f"switched off by [tool.tpumlir] of {folder / 'pyproject.toml'}"
    assert manager.find(RUNNER, "c").reason == f"not named in [tool.tpumlir] of {folder / 'pyproject.toml'}"
    with pytest.raises(PluginError, match=r"runner a of acme-ab 1.0: disabled: switched off by \[tool.tpumlir\] of .*pyproject.toml"):
        manager.get(RUNNER, "a")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[tool.tpumlir]\nplugin = ['a']\n", "'plugin' is no setting of"),
        ("[tool.tpumlir]\ndisable = 'a'\n", "'disable' of [tool.tpumlir] must be a list"),
        ("[tool.tpumlir]\ndisable = [1]\n", "must be a list"),
        ("[tool]\ntpumlir = 3\n", "must be a table"),
        ("[tool.tpumlir\n", "no TOML"),
    ],
)
def test_a_damaged_table_is_one_line_and_the_help_works(three: Any, tmp_path: Path, tpumlir: Any, text: str, said: str) -> None:
    project(tmp_path / "work", text)
    with pytest.raises(InputError) as caught:
        Selection.from_environment({}, tmp_path / "work")
    assert said in str(caught.value)
    result = tpumlir("plugins", "list")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "pyproject.toml" in result.stderr
    assert tpumlir("--help").returncode == 0


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("absent", "requires the plugin 'absent', which is not installed"),
        ("sick", "runner sick of acme-sick 1.0: broken: its import failed: RuntimeError: no luck"),
        ("acme-sick", "runner sick of acme-sick 1.0: broken"),
        ("good", ""),
    ],
)
def test_required_plugins_must_be_healthy(site: Any, tmp_path: Path, tpumlir: Any, word: str, said: str) -> None:
    site.install("acme-sick", {RUNNERS: {"sick": "acme_required_sick:X"}}, {"acme_required_sick": "raise RuntimeError('no luck')"})
    site.install("acme-good", {RUNNERS: {"good": "acme_required:Good"}}, {"acme_required": SOURCE})
    work = project(tmp_path / "work", f'[tool.tpumlir]\nrequired = ["{word}"]\n')
    np.savez(work / "x.npz", x=np.zeros(3))
    (work / "file").write_bytes(b"good")
    for arguments in (("run", "file", "--input", "x.npz", "--output", "y.npz"), ("ops", "--frontend", "nothing")):
        result = tpumlir(*arguments)
        if said:
            assert (result.returncode, result.stderr.count("\n")) == (2, 1), result.stderr
            assert said in result.stderr
            assert str(work / "pyproject.toml") in result.stderr
        else:
            assert "require" not in result.stderr
    assert tpumlir("plugins", "list").returncode == 0
    assert tpumlir("--help").returncode == 0
    assert said in json.loads(tpumlir("plugins", "doctor", "--json").stdout)["required"]


def test_disable_and_enable_are_the_users_settings(site: Any, tmp_path: Path, tpumlir: Any) -> None:
    site.install("acme", {RUNNERS: {"a": "acme_own:Good"}, "tpumlir.frontends": {"a": "acme_own:Good"}}, {"acme_own": SOURCE})
    home = {"XDG_CONFIG_HOME": str(tmp_path / "config")}

    def states() -> dict[str, str]:
        listed = json.loads(tpumlir("plugins", "list", "--json", **home).stdout)
        return {plugin["kind"]: plugin["health"] for plugin in listed if plugin["distribution"] == "acme"}

    done = tpumlir("plugins", "disable", "runner:a", **home)
    file = tmp_path / "config" / "tpumlir" / "settings.toml"
    assert (done.returncode, done.stdout) == (0, f"runner a disabled (settings: {file})\n")
    assert states() == {"frontend": "ok", "runner": "disabled"}
    assert tpumlir("plugins", "disable", "acme", **home).returncode == 0
    assert states() == {"frontend": "disabled", "runner": "disabled"}
    still = tpumlir("plugins", "enable", "acme", **home)
    assert (still.returncode, still.stderr.count("\n")) == (2, 1)
    assert f"runner a of acme 1.0 is still off: switched off by {file}" in still.stderr
    assert tpumlir("plugins", "enable", "runner:a", **home).returncode == 0
    assert states() == {"frontend": "ok", "runner": "ok"}
    file.write_text('disable = ["gone"]\n')  # a plugin that is not installed any more
    assert tpumlir("plugins", "enable", "gone", **home).returncode == 0
    assert "gone" not in file.read_text()
    unknown = tpumlir("plugins", "disable", "nothing", **home)
    assert (unknown.returncode, unknown.stderr.count("\n")) == (2, 1)


def test_the_users_file_is_where_the_system_keeps_such_files() -> None:
    assert user_file({"XDG_CONFIG_HOME": "/x", "HOME": "/h"}) == Path("/x/tpumlir/settings.toml")
    assert user_file({"APPDATA": "/a"}) == Path("/a/tpumlir/settings.toml")
    assert user_file({"HOME": "/h"}) == Path("/h/.config/tpumlir/settings.toml")
    assert user_file({}) is None


FAULTS = {
    "raises": ("raise RuntimeError('no\\nluck')", "RuntimeError: no luck"),
    "exits": ("import sys\nprint('bye')\nsys.exit('gone')", "SystemExit: gone"),
    "interrupts": ("raise GeneratorExit('odd')", "GeneratorExit: odd"),
    "panics": ("class Panic(BaseException): pass\nraise Panic('native')", "Panic: native"),
    "recurses": ("def f(): f()\nf()", "RecursionError"),
    "is no text": ("\\x00", "SyntaxError"),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_bad_import_breaks_only_itself(site: Any, tmp_path: Path, tpumlir: Any, what: str) -> None:
    source, reason = FAULTS[what]
    module = f"acme_import_{what.replace(' ', '_')}"
    site.install("acme-bad", {RUNNERS: {"bad": f"{module}:X"}, "tpumlir.frontends": {"bad": f"{module}:X"}}, {module: source})
    site.install("acme-good", {RUNNERS: {"good": f"{module}_good:Good"}}, {f"{module}_good": SOURCE})
    work = tmp_path / "work"
    np.savez(work / "x.npz", x=np.zeros(3))
    (work / "file").write_bytes(b"good")
    ran = tpumlir("run", "file", "--input", "x.npz", "--output", "y.npz", "--json")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert json.loads(ran.stdout)["output"] == "y.npz"
    asked = tpumlir("run", "file", "--input", "x.npz", "--output", "y.npz", "--runner", "bad")
    assert (asked.returncode, asked.stdout, asked.stderr.count("\n")) == (2, "", 1)
    assert f"runner bad of acme-bad 1.0: broken: its import failed: {reason}" in asked.stderr
    doctor = json.loads(tpumlir("plugins", "doctor", "--json").stdout)
    assert {p["name"] for p in doctor["plugins"] if p["distribution"].startswith("acme-") and p["health"] != "ok"} == {"bad"}


def test_what_an_import_prints_and_how_long_it_takes_is_no_one_elses_matter(site: Any, tmp_path: Path, tpumlir: Any) -> None:
    noisy = "import time\nprint('loading acme ...')\ntime.sleep(0.2)\n" + "\n".join(line[4:] for line in SOURCE.splitlines())
    noisy = noisy.replace("class Good(Runner):", "class Good(Runner):\n    def __init__(self):\n        print('made')\n")
    site.install("acme-noisy", {RUNNERS: {"noisy": "acme_noisy:Good"}}, {"acme_noisy": noisy})
    work = tmp_path / "work"
    np.savez(work / "x.npz", x=np.zeros(3))
    (work / "file").write_bytes(b"good")
    assert "acme" not in tpumlir("plugins", "info", "numpy").stdout
    assert "acme_noisy" not in sys.modules
    ran = tpumlir("run", "file", "--input", "x.npz", "--output", "y.npz", "--runner", "noisy", "--json")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert json.loads(ran.stdout)["output"] == "y.npz"


def test_a_plugin_that_exits_when_it_is_called_is_a_fault_of_its_own(site: Any, tmp_path: Path, tpumlir: Any) -> None:
    source = SOURCE.replace("return dict(inputs)", "raise SystemExit(0)")
    site.install("acme", {RUNNERS: {"leaver": "acme_leaver:Good"}}, {"acme_leaver": source})
    work = tmp_path / "work"
    np.savez(work / "x.npz", x=np.zeros(3))
    (work / "file").write_bytes(b"good")
    result = tpumlir("run", "file", "--input", "x.npz", "--output", "y.npz")
    assert (result.returncode, result.stderr.count("\n")) == (3, 1)
    assert "runner leaver of acme 1.0 failed in run: SystemExit: 0" in result.stderr


def test_conflicting_plugins_are_named_and_neither_is_imported(site: Any) -> None:
    for number in (1, 2):
        site.install(f"acme-{number}", {"tpumlir.frontends": {"same": "acme_claim:X"}}, {"acme_claim": "raise SystemExit(9)"})
    with pytest.raises(PluginError, match=r"acme-1 1.0 and acme-2 1.0 both bring it"):
        PluginManager.discover({}, [str(site.folder)]).get(FRONTEND, "same")
    assert "acme_claim" not in sys.modules


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("install", "./nothing-here"), "pip install ./nothing-here failed"),
        (("uninstall", "nothing"), "no plugin and no distribution with plugins is called 'nothing'"),
        (("uninstall", "numpy"), "it is part of tpumlir-core"),
        (("uninstall", "laid-out"), "acme 1.0 is still found: it is not installed by pip"),
        (("uninstall", "twice"), "acme 1.0 and acme-2 1.0 bring it; name the distribution"),
    ],
)
def test_what_pip_cannot_do_is_one_line(site: Any, tpumlir: Any, arguments: tuple[str, ...], said: str) -> None:
    site.install("acme", {RUNNERS: {"laid-out": "acme_pip:Good", "twice": "acme_pip:Good"}}, {"acme_pip": SOURCE})
    site.install("acme-2", {RUNNERS: {"twice": "acme_pip:Good"}})
    result = tpumlir("plugins", *arguments)
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (2, "", 1), result.stderr
    assert said in result.stderr

"""Plugins in a file for one run: what is found in it, and every way in which a file can be wrong."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.custom_operators.models import HEAD, IDENTITY, SWAP, operator_in
from tpumlir_core.errors import PluginError
from tpumlir_core.plugins import OP, RUNNER, Health, PluginManager
from tpumlir_core.stages import Session

RUNNER_FILE = """
from tpumlir_core.plugins.extension_points import Runner
from tpumlir_core.plugins.hookspecs import hookimpl

class _Base(Runner):
    def recognizes(self, path, head):
        return False

class Hidden(Runner):
    pass

class Echo(_Base):
    def run(self, path, inputs):
        return dict(inputs)

class Other(_Base):
    name = "second"

    def run(self, path, inputs):
        return {}

@hookimpl
def stage_started(stage):
    SEEN.append(stage)

SEEN = []
"""


def manager(*files: Path) -> PluginManager:
    plugins = PluginManager([])
    for file in files:
        plugins.add_file(file)
    return plugins


def test_public_concrete_classes_and_hooks_are_found(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(RUNNER_FILE)
    plugins = manager(file)
    assert plugins.names(RUNNER) == ["echo", "second"]
    assert plugins.get(RUNNER, "echo").run(file, {}) == {}
    assert {p.health for p in plugins.plugins()} == {Health.OK}
    session = Session(plugins)
    with session.stage("a stage", "x"):
        pass
    (hook,) = [p for p in plugins.plugins() if p.kind == "hook"]
    assert hook.candidate.distribution == "mine.py"
    assert __import__(hook.candidate.value).SEEN == ["a stage"]


def test_what_makes_a_run_does_not_tell_where_the_file_lay(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "swap.py").write_bytes(SWAP.read_bytes())
    origins = {manager(tmp_path / folder / "swap.py").find(OP, "acme.SwapChannel").origin for folder in ("a", "b")}
    assert len(origins) == 1


def test_the_same_file_twice_counts_once_and_two_files_may_not_claim_one_name(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    one, two = operator_in(first, IDENTITY), operator_in(second, IDENTITY)
    assert manager(one, one).names(OP) == ["acme.Op"]
    with pytest.raises(PluginError, match=r"op acme\.Op is also brought by op\.py"):
        manager(one, two)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = (", "cannot be imported: SyntaxError"),
        ("raise SystemExit(3)", "cannot be imported: SystemExit: 3"),
        ("print('loud')\nraise RuntimeError('no\\nluck')", "cannot be imported: RuntimeError: no luck"),
        ("import acme_library_that_is_absent", "needs the module acme_library_that_is_absent: pip install acme_library_that_is_absent"),
        ("x = 3", "no plugin is in this file; define a public class derived from one of Frontend,"),
        (HEAD + "class _Private(Operator):" + IDENTITY, "no plugin is in this file"),
        ("\0", "cannot be imported: "),
        (None, "cannot be read: "),
    ],
)
def test_a_file_that_is_wrong_is_one_line_and_exit_2(tpumlir: Any, tmp_path: Path, source: str | None, message: str) -> None:
    file = tmp_path / "sick.py"
    if source is not None:
        file.write_text(source)
    result = tpumlir("ops", "--plugin", file)
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert str(file) in result.stderr
    assert message in result.stderr
    assert tpumlir("ops").returncode == 0


def test_the_environment_lists_files(tpumlir: Any, tmp_path: Path) -> None:
    files = os.pathsep.join([str(SWAP), str(operator_in(tmp_path, IDENTITY))])
    assert tpumlir("ops", TPUMLIR_PLUGIN_FILES=files).stdout.splitlines()[-2:] == ["acme.Op", "acme.SwapChannel"]

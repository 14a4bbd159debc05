"""What tests share: distributions made up on the spot, found by importlib.metadata as any installed one."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tpumlir_core.cli.main import main

# The same examples in every run, and no time limits: a machine may be slow. What explores further are the sweeps.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.load_profile("tests")


class Site:
    """A folder of installed packages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(
        self,
        name: str,
        entry_points: Mapping[str, Mapping[str, str]],
        sources: Mapping[str, str] | None = None,
        requires: tuple[str, ...] = (),
        version: str = "1.0",
    ) -> None:
        """A distribution: group -> name -> ``module:attribute``, and the source of its modules."""
        info = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"] + [f"Requires-Dist: {line}" for line in requires]
        (info / "METADATA").write_text("\n".join(lines) + "\n")
        text = "".join(f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in names.items()) for group, names in entry_points.items())
        (info / "entry_points.txt").write_text(text)
        for module, source in (sources or {}).items():
            (self.folder / f"{module}.py").write_text(dedent(source))
        importlib.invalidate_caches()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A fresh folder of packages, importable in this process; modules of it are forgotten afterwards."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    yield Site(folder)
    for name in [n for n, module in sys.modules.items() if (getattr(module, "__file__", None) or "").startswith(str(folder))]:
        del sys.modules[name]


@pytest.fixture(scope="session")
def machine() -> Any:
    """The emulator of the BM1684X, one a process; tests are skipped where it has not been fetched."""
    from tpumlir_bm1684x.chip import arch
    from tpumlir_core.errors import InputError
    from tpumlir_sophgo.testing.cmodel import Machine

    try:
        return Machine(arch())
    except InputError as error:
        pytest.skip(str(error))


@pytest.fixture(autouse=True, scope="session")
def own_data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is made once for all tests finds no more isolated environments than the tests themselves do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's settings of their plugins reach the tests, nor isolated environments, but those that TPUMLIR_ENVIRONMENTS names."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for name in ("TPUMLIR_PLUGINS", "TPUMLIR_DISABLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def ieee_arithmetic() -> Iterator[None]:
    """Every test leaves the process computing with subnormal numbers: native libraries may set it to flush them to zero.

    hypothesis refuses such a process, and references calculated there would be wrong; so the test that did it fails, not a later one.
    """
    yield
    assert sys.float_info.min / 2 > 0, "numbers too small are flushed to zero from here on"


@pytest.fixture
def docs_script() -> Callable[[str], ModuleType]:
    """Imports a script of docs/, which is no package, by its name."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parent.parent / "docs" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@dataclass(frozen=True)
class Result:
    """What a run of the command gave."""

    returncode: int
    stdout: str
    stderr: str


Command = Callable[..., Result]


@pytest.fixture
def tpumlir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command in a folder of its own, ``work``; keyword arguments are environment variables."""
    work = tmp_path / "work"
    work.mkdir(exist_ok=True)

    def run(*arguments: str | Path, **environment: str) -> Result:
        with monkeypatch.context() as patch:
            patch.chdir(work)
            for name, value in environment.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                main([str(argument) for argument in arguments])
        code = ended.value.code
        assert isinstance(code, int)
        printed = capsys.readouterr()
        return Result(code, printed.out, printed.err)

    return run

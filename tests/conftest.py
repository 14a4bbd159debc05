"""What tests share: distributions made up on the spot, found by importlib.metadata as any installed one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parent.parent


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


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A fresh folder of packages, importable in this process; modules of it are forgotten afterwards by their names."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return Site(folder)


Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def tpumlir(tmp_path: Path) -> Command:
    """Runs the command in a process of its own, as a user does, in a folder of its own."""
    work = tmp_path / "work"
    work.mkdir()
    paths = [str(tmp_path / "site"), str(ROOT), os.environ.get("PYTHONPATH", "")]

    def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tpumlir_core", *map(str, arguments)],
            cwd=work,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path), **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run

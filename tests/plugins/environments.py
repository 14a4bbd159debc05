"""Environments made of folders: the core, what it depends on, and chosen plugins, without a virtual environment or pip."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent.parent
FIRST_PARTY = ("sophgo", "bm1684x", "onnx", "float", "bmrt")


def lay_out(project: Path, site: Path) -> None:
    """What an install of a project leaves in ``site``: links to its modules and the metadata that its pyproject.toml asks for."""
    facts = tomllib.loads((project / "pyproject.toml").read_text())
    about = facts["project"]
    for module in sorted(project.glob("tpumlir_*")):
        if module.suffix != ".egg-info" and not module.stem.endswith("_test"):
            (site / module.name).symlink_to(module)
    info = site / f"{about['name'].replace('-', '_')}-{about['version']}.dist-info"
    info.mkdir()
    headers = [f"Metadata-Version: 2.1\nName: {about['name']}\nVersion: {about['version']}\nSummary: {about['description']}"]
    headers += [f"Requires-Dist: {line}" for line in about.get("dependencies", [])]
    (info / "METADATA").write_text("\n".join(headers) + f"\n\n{(project / about['readme']).read_text()}")
    groups: dict[str, dict[str, str]] = about.get("entry-points", {})
    (info / "entry_points.txt").write_text("".join(f"[{g}]\n" + "".join(f"{k} = {v}\n" for k, v in p.items()) for g, p in groups.items()))


class Environment:
    """A folder of packages and nothing else: what is not laid out in it is not installed."""

    def __init__(self, folder: Path, plugins: Iterable[str] = ()) -> None:
        self.folder = folder
        self.site = folder / "site"
        self.site.mkdir(parents=True)
        self.work = folder / "work"
        self.work.mkdir()
        for project in (ROOT, *(ROOT / "plugins" / plugin for plugin in plugins)):
            lay_out(project, self.site)
        about = [tomllib.loads((p / "pyproject.toml").read_text()) for p in (ROOT, *(ROOT / "plugins" / plugin for plugin in plugins))]
        for name in sorted({name for facts in about for line in facts["project"]["dependencies"] for name in _closure(line)}):
            _link(metadata.distribution(name), self.site)

    def run(self, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """``tpumlir`` in the folder ``work`` of this environment."""
        return self.python("-m", "tpumlir_core", *map(str, arguments), **environment)

    def python(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Python with nothing but this environment's packages."""
        kept: Mapping[str, str] = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "TPUMLIR_"))}
        variables = {**kept, "PYTHONPATH": str(self.site), "XDG_CONFIG_HOME": str(self.folder / "config"), **environment}
        return subprocess.run(
            [sys.executable, "-S", *arguments], cwd=self.work, env=variables, capture_output=True, text=True, timeout=300, check=False
        )


def _closure(line: str) -> Iterator[str]:
    """Names of the installed distributions that a requirement brings along, ours left out."""
    requirement = Requirement(line)
    ours = requirement.name.startswith("tpumlir")
    if ours or (requirement.marker is not None and not requirement.marker.evaluate({"extra": ""})):
        return
    yield requirement.name
    for more in metadata.distribution(requirement.name).requires or ():
        yield from _closure(more)


def _link(distribution: metadata.Distribution, site: Path) -> None:
    """Links to everything at the top level of a distribution's files."""
    tops: dict[str, Any] = {file.parts[0]: None for file in distribution.files or () if file.parts[0] not in ("..", "__pycache__")}
    for top in tops:
        source = Path(str(distribution.locate_file(top)))
        if source.exists() and not (site / top).exists():
            (site / top).symlink_to(source)

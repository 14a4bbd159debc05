"""What the documents tell users to type exists: commands, options, make targets, files and the code they show."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from tpumlir_core.cli.main import COMMANDS, group

ROOT = Path(__file__).parent.parent
DOCUMENTS = [
    "README.md", "CONTRIBUTING.md", "docs/user-guide.md", "docs/plugins/overview.md", "docs/plugins/custom-operator.md",
    "docs/plugins/target.md", "docs/plugins/hooks.md", "docs/plugins/tutorial.md", "docs/plugins/conformance-kit.md",
    "docs/plugins/compatibility.md", "docs/frontends/tensorflow.md", "docs/frontends/paddle.md", "docs/frontends/caffe.md",
    "docs/frontends/torch.md",
]


def typed(document: str) -> Iterator[list[str]]:
    """The ``tpumlir`` command lines in a document's code blocks."""
    for block in re.findall(r"```\n(.*?)```", (ROOT / document).read_text(), re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("tpumlir "):
                yield shlex.split(line)[1:]


LINES = [(document, line) for document in DOCUMENTS for line in typed(document) if line[0] in COMMANDS]


def test_there_are_lines_to_check() -> None:
    assert len(LINES) > 15


@pytest.mark.parametrize(("document", "line"), LINES, ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "")
def test_command_lines_can_be_parsed(document: str, line: list[str]) -> None:
    words = list(line)
    context = click.Context(group)
    command: click.Command | None = group
    while isinstance(command, click.Group):
        context = click.Context(command, parent=context)
        command = command.get_command(context, words.pop(0))
    assert command is not None, f"{document}: {line}"
    command.make_context(command.name, words)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_and_files_exist(document: str) -> None:
    text = (ROOT / document).read_text()
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert (ROOT / document).parent.joinpath(link).exists(), link
    for path in re.findall(r"`((?:tpumlir_core|plugins|docs|tests)/[\w/.]+)`", text):
        assert (ROOT / path).exists(), path
    for target in re.findall(r"make (test|demo|lint|venv|sweep|bench)\b", text):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target


def test_the_runner_of_the_overview_runs(site: Any, tpumlir: Any, tmp_path: Path) -> None:
    import numpy as np

    text = (ROOT / "docs/plugins/overview.md").read_text()
    source = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0]
    site.install("acme-runner", {"tpumlir.runners": {"acme": "acme_runner:AcmeRunner"}}, {"acme_runner": source})
    np.savez(tmp_path / "work" / "x.npz", x=np.arange(3))
    (tmp_path / "work" / "file").write_bytes(b"ACME")
    result = tpumlir("run", "file", "--input", "x.npz", "--output", "y.npz")
    assert (result.returncode, result.stderr) == (0, "")
    assert np.load(tmp_path / "work" / "y.npz")["y"].tolist() == [0, 1, 2]

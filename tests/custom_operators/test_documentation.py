"""The worked example of the author's page runs as it stands there: its files and every command."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.custom_operators.models import ROOT

PAGE = (ROOT / "docs/plugins/custom-operator.md").read_text()
PLUGIN, MODEL, KERNEL = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [shlex.split(line)[1:] for line in re.findall(r"^tpumlir .*$", PAGE, re.MULTILINE)]


def test_the_worked_example(tpumlir: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = tmp_path / "work"
    (work / "swish.py").write_text(PLUGIN)
    assert len(PLUGIN.splitlines()) <= 40
    with monkeypatch.context() as patch:
        patch.chdir(work)
        exec(MODEL, {})
    assert [line[0] for line in COMMANDS] == ["compile", "transform", "deploy", "run", "ops"]
    for line in COMMANDS:
        result = tpumlir(*line)
        assert (result.returncode, result.stderr) == (0, ""), line
    x = np.load(work / "x.npz")["x"]
    np.testing.assert_allclose(np.load(work / "y.npz")["y_Swish"], x / (1 + np.exp(-1.5 * x)), rtol=1e-5)
    assert re.search(r"^acme\.Swish( +decomposition)+$", result.stdout, re.MULTILINE)
    shown = re.search(r'`("acme\.Swish".*?)`', PAGE, re.DOTALL)
    assert shown is not None
    assert shown[1] in (work / "net.mlir").read_text()


def test_the_kernel_is_that_of_the_example() -> None:
    statements = [line for line in KERNEL.splitlines() if line.strip()]
    example = (ROOT / "plugins/example-op/tpumlir_example_op/abs_add.py").read_text().splitlines()
    assert [line for line in statements if line not in example] == []

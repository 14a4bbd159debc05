"""The code that the target author's page shows is the package's own."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parent.parent.parent
PACKAGE = ROOT / "plugins" / "example-target"
PAGE = (ROOT / "docs/plugins/target.md").read_text()
SHOWN = re.findall(r"<!-- (\S+) -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)


def test_all_code_says_where_it_is_from() -> None:
    assert len(SHOWN) == len(re.findall(r"^```(?:python|toml)$", PAGE, re.MULTILINE)) > 8


@pytest.mark.parametrize(("file", "code"), SHOWN, ids=[file for file, _ in SHOWN])
def test_code_is_the_package_s_own(file: str, code: str) -> None:
    lines = (PACKAGE / file).read_text().splitlines()
    wanted = code.splitlines()
    windows = ("\n".join(lines[start : start + len(wanted)]) for start in range(len(lines)))
    assert any(dedent(window) == "\n".join(wanted) for window in windows), f"{file} has no such lines"

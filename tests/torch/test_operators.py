"""Operators against PyTorch itself: every twelfth case of the sweep, and some by name, in each of three forms."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: make test-torch")

from sweeps.torch import cases, judge
from sweeps.torch_cases import Case

EVERY = 12
NAMED = ("batch_norm", "instance_norm", "rot90")
"""What the names of others begin with: decomposition makes other operators of them, with results of their own."""
CASES = [case for at, case in enumerate(cases()) if at % EVERY == 0 or case.name.startswith(NAMED)]


@pytest.mark.parametrize("form", ["traced", "exported", "decomposed"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_operator(case: Case, form: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        finding = judge(case, form, tmp_path, emulate=False)
    if finding.state == "not written":
        pytest.skip(f"PyTorch does not write it: {finding.why}")
    assert (finding.state, finding.why) == ("passed", "")

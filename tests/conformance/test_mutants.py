"""Damaged ONNX files through the command; `make sweep` tries many more."""

from __future__ import annotations

import onnx
import pytest

from sweeps.mutants import MODELS, Mutant, damaged, mutants, sweep

COUNT = 150


def test_all_compile_or_are_refused_in_one_line() -> None:
    verdicts = sweep(COUNT)
    assert [verdict for verdict in verdicts if verdict.fault] == []
    assert {verdict.exit_code for verdict in verdicts} == {0, 2}


@pytest.mark.parametrize("name", MODELS)
def test_the_models_themselves_are_valid(name: str) -> None:
    onnx.checker.check_model(onnx.ModelProto.FromString(MODELS[name]()), full_check=True)


def test_mutants_differ_and_come_again() -> None:
    made = [damaged(mutant) for mutant in mutants(COUNT)]
    assert made == [damaged(mutant) for mutant in mutants(COUNT)]
    assert len(set(made)) > 0.9 * COUNT
    assert damaged(Mutant("linear", 4)) != MODELS["linear"]()

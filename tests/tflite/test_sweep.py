"""The sweep's own parts: damaged files are the same every time and told apart from sound ones; a wrong operator is found."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from sweeps.mutants import Mutant
from sweeps.tflite.cases import cases
from sweeps.tflite.mutants import MODELS, damaged, judge
from sweeps.tflite.trials import import_operator
from tpumlir_core.ir import Array
from tpumlir_tflite.frontend import TfliteFrontend


def test_damaged_files_are_the_same_every_time() -> None:
    originals = {case.name: case.write() for case in cases() if case.name in MODELS}
    assert set(originals) == set(MODELS)
    for seed, name in enumerate(MODELS):
        first = damaged(Mutant(name, seed))
        assert first == damaged(Mutant(name, seed))
        assert first != damaged(Mutant(name, seed + 2 * len(MODELS))) != originals[name]


@pytest.mark.parametrize("seed", range(0, 6 * len(MODELS), 5))
def test_mutants_end_with_one_line(seed: int) -> None:
    assert judge(Mutant(MODELS[seed % len(MODELS)], seed)).fault == ""


def test_a_difference_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ai_edge_litert", reason="TensorFlow Lite's interpreter is not installed")
    case = next(case for case in cases() if case.operator == "TANH")
    assert import_operator(case).kind == "passed"
    run = TfliteFrontend.run

    def off_by_a_bit(self: TfliteFrontend, path: Path, *rest: object) -> dict[str, Array]:
        return {name: array + np.float32(0.01) for name, array in run(self, path, *rest).items()}  # type: ignore[arg-type]

    monkeypatch.setattr(TfliteFrontend, "run", off_by_a_bit)
    assert import_operator(dataclasses.replace(case, name="TANH again")).kind == "wrong"

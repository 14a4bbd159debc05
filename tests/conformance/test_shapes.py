"""Random single operations on the emulator; `make sweep` tries many more."""

from __future__ import annotations

import math

import pytest

from sweeps.calls import DRAWERS, LARGE, PRODUCTS, SMALL, draw_call
from sweeps.shapes import calls, judge, sweep
from tpumlir_bm1684x.target import Bm1684xTarget


def test_every_operation_with_a_kernel_is_drawn() -> None:
    views = {"Flatten", "Reshape", "Squeeze", "Unsqueeze"}
    rare = {"Cast", "Copy", "MaskedFill", "Normalize", "Subtract"}
    made = {"Lookup", "QuantizedConv", "QuantizedMatMul", "QuantizedScale"}  # by lowering: what INT8 draws becomes them
    kernels = {name for name, modes in Bm1684xTarget().operators().items() if modes["F32"] is None}
    assert kernels - set(DRAWERS) <= views | rare | made


@pytest.mark.parametrize("opcode", DRAWERS)
def test_draws_are_the_same_again_and_within_bounds(opcode: str) -> None:
    for seed in range(30):
        call = draw_call(opcode, seed, large=bool(seed % 2))
        assert call == draw_call(opcode, seed, large=bool(seed % 2))
        sizes = [math.prod(o.shape) for o in call.operands if o is not None]
        limit = PRODUCTS // 10 if opcode in ("Conv", "Deconv", "MatMul") else SMALL
        assert max(sizes) <= 4 * (LARGE if seed % 2 else limit)


@pytest.mark.usefixtures("emulator")
def test_one_call_of_each() -> None:
    verdicts = sweep(calls(1, sorted(DRAWERS)), workers=2)
    assert [verdict for verdict in verdicts if verdict.kind not in ("right", "refused")] == []
    assert sum(verdict.kind == "right" for verdict in verdicts) > 0.9 * len(verdicts)


@pytest.mark.usefixtures("emulator")
def test_a_wrong_result_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    call = draw_call("AddConst", 1, large=False)
    assert judge(call).kind == "right"
    monkeypatch.setattr("tpumlir_core.ir.top.AddConst.evaluate", lambda self, inputs: [inputs[0] + 2 * self.const_val])
    assert judge(call).kind == "wrong"

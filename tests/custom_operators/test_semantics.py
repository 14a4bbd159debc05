"""What a custom operator's declaration means: attributes, operands, results, decomposition, text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from tests.custom_operators.models import HEAD, IDENTITY, SWAP, normal, operator_in, save, save_op, session_of
from tpumlir_core import api
from tpumlir_core.checks import Verification
from tpumlir_core.custom import Operator
from tpumlir_core.errors import CompareError, InputError
from tpumlir_core.ir import Function, Module, TensorType, WeightStore
from tpumlir_core.ir.evaluate import evaluate_module
from tpumlir_core.ir.text import parse_module, print_module
from tpumlir_core.ir.top import Input
from tpumlir_core.ir.verify import verify
from tpumlir_core.passes import decompose

EXACT = (1 - 1e-9, 1 - 1e-6)


@pytest.fixture(scope="module")
def swap() -> type[Operator]:
    """The first example."""
    found = session_of(SWAP).operators.by_opcode("acme.SwapChannel")
    assert found is not None
    return found


@given(order=st.permutations(range(5)), rest=st.lists(st.integers(1, 4), max_size=3), batch=st.integers(1, 3))
def test_its_decomposition_is_its_reference(swap: type[Operator], order: list[int], rest: list[int], batch: int) -> None:
    shape = (batch, 5, *rest)
    source = Input.create([], [("x", TensorType(shape))])
    operation = swap.create([source.output], ["y"], order=tuple(order))
    module = Module("net", Function("main", [source, operation], [operation.output]), WeightStore())
    x = normal(*shape)
    expected = x[:, order]
    np.testing.assert_array_equal(evaluate_module(module, {"x": x})["y"], expected)
    assert decompose(module, lambda op: not op.opcode.startswith("acme."))
    verify(module)
    assert all(op.opcode.startswith("top.") for op in module.function.operations)
    np.testing.assert_array_equal(evaluate_module(module, {"x": x})["y"], expected)


MANY = """
    axis: int
    scale: float = 1.0
    mode: Literal["sum", "difference"] = "sum"
    sources = {"onnx": Source("acme::Op", {"axis": "dim"})}

    def infer(self, types):
        if len(types[0].shape) <= self.axis:
            raise ValueError(f"axis {self.axis} is outside of shape {types[0].shape}")
        return [types[0], types[0]]

    def reference(self, x, bias=None):
        y = x * self.scale + (0 if bias is None else bias)
        return y.astype(float), x

    def decompose(self, b):
        y = b.times(self.input, self.scale)
        if len(self.operands) > 1 and self.operands[1] is not None:
            y = b(top.Add, y, self.operands[1])
        return y, self.input
"""
MANY_HEAD = "from typing import Literal\n" + HEAD
DECLARED = '@operator("acme.Op", "input, bias?", "scaled, same")'


@pytest.mark.parametrize("bias", [True, False])
def test_several_results_optional_operands_and_renamed_attributes(tmp_path: Path, bias: bool) -> None:
    file = operator_in(tmp_path, MANY, DECLARED, MANY_HEAD)
    inputs = {"x": normal(2, 3)}
    path = save_op(tmp_path, inputs, ("y", "z"), {"b": normal(3)}, ["x", "b"] if bias else ["x"], dim=1, scale=3, mode="difference")
    session = session_of(file)
    api.compile(path, chip="bm1684x", verification=Verification(inputs, EXACT), session=session)
    computed = api.run(path, inputs, session=session)
    np.testing.assert_allclose(computed["y_Op"], inputs["x"] * 3 + (normal(3) if bias else 0), rtol=1e-6)
    module = api.transform(path, session=session)
    text = print_module(module)
    assert 'axis = 1 : i64, mode = "difference", scale = 3.000000e+00 : f64' in text
    assert print_module(parse_module(text, operators=session.operators)) == text
    assert api.transform(save_op(tmp_path, inputs, ("y",), dim=0), session=session).function.outputs[0].name == "y_Op"


@pytest.mark.parametrize(
    ("shape", "inputs", "outputs", "attributes", "message"),
    [
        ((2, 3), ["x"], ["y"], {}, "node node (Op): attribute dim is missing"),
        ((2, 3), ["x"], ["y"], {"dim": 1, "axis": 1}, "attribute axis is not known to acme.Op; it has dim, mode, scale"),
        ((2, 3), ["x"], ["y"], {"dim": "one"}, "attribute dim: expected an integer"),
        ((2, 3), ["x"], ["y"], {"dim": 1, "mode": "product"}, "attribute mode: expected one of sum, difference"),
        ((2, 3), ["x"], ["y"], {"dim": 2}, "acme.Op: axis 2 is outside of shape (2, 3)"),
        ((2, 3), ["x", "x", "x"], ["y"], {"dim": 1}, "it has 3 inputs, but the operator takes 2"),
        ((2, 3), [], ["y"], {"dim": 1}, "its input input is missing"),
        ((2, 3), ["x"], ["y", "z", "u"], {"dim": 1}, "it has 3 outputs, but the operator has 2"),
    ],
)
def test_nodes_that_do_not_fit_are_bad_input(
    tmp_path: Path, shape: tuple[int, ...], inputs: list[str], outputs: list[str], attributes: dict[str, Any], message: str
) -> None:
    session = session_of(operator_in(tmp_path, MANY, DECLARED, MANY_HEAD))
    path = save_op(tmp_path, {"x": normal(*shape)}, outputs, names=inputs, **attributes)
    with pytest.raises(InputError) as caught:
        api.transform(path, session=session)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_an_optional_attribute_may_be_absent(tmp_path: Path) -> None:
    body = "    limits: tuple[float, ...] | None = None\n    label: str = 'a'\n    exact: bool = False\n" + IDENTITY
    session = session_of(operator_in(tmp_path, body))
    for values in ({}, {"limits": [1.0, 2.5], "label": "b", "exact": 1}):
        module = api.transform(save_op(tmp_path, {"x": normal(2)}, **values), session=session)
        operation = module.function.operations[-1]
        expected = {"limits": (1.0, 2.5), "label": "b", "exact": True} if values else {"limits": None, "label": "a", "exact": False}
        assert operation.attributes() == expected
        again = parse_module(print_module(module), operators=session.operators)
        assert again.function.operations[-1].attributes() == expected


DETERMINANT = """
    def infer(self, types):
        return [types[0].with_shape(types[0].shape[:-2])]

    def reference(self, x):
        return np.linalg.det(x)

    def decompose(self, builder):
        return None
"""


def test_an_operator_of_onnx_itself_that_the_frontend_lacks_is_compared_with_onnxruntime(tmp_path: Path) -> None:
    file = operator_in(tmp_path, DETERMINANT, head="import numpy as np\n" + HEAD)
    file.write_text(file.read_text().replace("acme::Op", "ai.onnx::Det"))
    inputs = {"x": normal(5, 3, 3)}
    path = save(tmp_path / "net.onnx", [helper.make_node("Det", ["x"], ["y"])], inputs, ["y"], {})
    module = api.transform(path, session=session_of(file), verification=Verification(inputs, EXACT))
    assert [op.opcode for op in module.function.operations] == ["top.Input", "acme.Op"]
    file.write_text(file.read_text().replace("np.linalg.det(x)", "np.trace(x, axis1=1, axis2=2)"))
    with pytest.raises(CompareError):
        api.transform(path, session=session_of(file), verification=Verification(inputs))


def test_constants_are_folded_by_its_reference(tmp_path: Path) -> None:
    inputs = {"x": normal(2, 3)}
    nodes = [helper.make_node("Op", ["w"], ["v"], domain="acme"), helper.make_node("Add", ["x", "v"], ["y"])]
    path = save(tmp_path / "net.onnx", nodes, inputs, ["y"], {"w": normal(3)})
    module = api.transform(path, session=session_of(operator_in(tmp_path, IDENTITY)), verification=Verification(inputs))
    assert not any(op.opcode.startswith("acme.") for op in module.function.operations)

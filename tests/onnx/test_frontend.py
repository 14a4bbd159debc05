"""The ONNX frontend as a whole: names, inputs, outputs, cuts, branches, functions, messages, real structures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.onnx.onnx_models import check, model_of, save
from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_core.ir import Array, ElementType, Module, Operation
from tpumlir_core.ir.evaluate import evaluate_module
from tpumlir_core.plugins.extension_points import ImportOptions
from tpumlir_onnx.frontend import OnnxFrontend

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


def real(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def operations(module: Module, opcode: str) -> list[Operation]:
    return [operation for operation in module.function.operations if operation.opcode == opcode]


def node(op_type: str, inputs: list[str], outputs: list[str], name: str = "") -> onnx.NodeProto:
    return helper.make_node(op_type, inputs, outputs, name)


def test_names_are_the_reference_tools(tmp_path: Path) -> None:
    """<output>_<operator> for results, own names for inputs and initializers (tpu-mlir 1.30.2, run)."""
    x = real(1, 3, 8, 8)
    nodes = [node("Conv", ["x", "w1", "b1"], ["c1"]), node("Relu", ["c1"], ["r1"]), node("GlobalAveragePool", ["r1"], ["g"])]
    path = save(tmp_path / "m.onnx", model_of(nodes, {"x": x}, ["g"], {"w1": real(4, 3, 3, 3), "b1": real(4)}))
    module = check(path, {"x": x})
    assert [value.name for value in module.function.values()] == ["x", "w1", "b1", "c1_Conv", "r1_Relu", "g_GlobalAveragePool"]
    assert list(module.weights) == ["w1", "b1"]
    assert module.attributes["module.state"] == "TOP_F32"


def test_identities_before_outputs_give_their_names(tmp_path: Path) -> None:
    """As tpu-mlir 1.30.2 has it (run): there the nodes are removed first. An output that another is a copy of keeps its name."""
    x = real(2, 3)
    nodes = [
        node("Relu", ["x"], ["r"]), node("Exp", ["r"], ["e"]), node("Identity", ["r"], ["i"]), node("Identity", ["i"], ["out"]),
        node("Identity", ["e"], ["copy"]), node("Identity", ["x"], ["same"]),
    ]
    path = save(tmp_path / "m.onnx", model_of(nodes, {"x": x}, ["out", "e", "copy", "same"], {}))
    module = check(path, {"x": x})
    assert [value.name for value in module.function.outputs] == ["out_Relu", "e_Exp", "e_Exp", "x"]
    assert OnnxFrontend().run(path, {"x": x}, ImportOptions()).keys() == {"out_Relu", "e_Exp", "x"}


def test_names_have_no_spaces_and_are_unique(tmp_path: Path) -> None:
    x = real(2, 3)
    nodes = [node("Relu", ["an input"], ["a b"]), node("Exp", ["a b"], ["a_b_Relu"]), node("Relu", ["a_b_Relu"], ["#\t"])]
    module = check(save(tmp_path / "m.onnx", model_of(nodes, {"an input": x}, ["#\t"], {})), {"an_input": x})
    names = [value.name for value in module.function.values()]
    assert len(set(names)) == len(names)
    assert not any(c.isspace() or c == "#" for name in names for c in name)


def test_shapes_computed_in_the_graph_become_attributes(tmp_path: Path) -> None:
    x = real(2, 3, 4, 5)
    nodes = [
        node("Shape", ["x"], ["s"]), node("Gather", ["s", "zero"], ["n"]), node("Unsqueeze", ["n", "zeros"], ["n1"]),
        node("Concat", ["n1", "rest"], ["t"]), node("Reshape", ["x", "t"], ["y"]),
    ]
    nodes[3].attribute.append(helper.make_attribute("axis", 0))
    constants = {"zero": np.array(0, np.int64), "zeros": np.array([0], np.int64), "rest": np.array([-1], np.int64)}
    module = check(save(tmp_path / "m.onnx", model_of(nodes, {"x": x}, ["y"], constants)), {"x": x})
    assert [operation.opcode for operation in module.function.operations] == ["top.Input", "top.Reshape"]
    assert module.function.outputs[0].shape == (2, 60)


def test_open_dimensions_are_fixed_by_the_user(tmp_path: Path) -> None:
    model = model_of([node("Relu", ["x"], ["y"])], {"x": real(1, 3)}, ["y"], {})
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    path = save(tmp_path / "m.onnx", model)
    with pytest.raises(InputError, match=r"m\.onnx: input x: its shape \[\?, 3\] is not fixed; pass --input-shapes"):
        OnnxFrontend().load(path, ImportOptions())
    x = real(5, 3)
    check(path, {"x": x}, ImportOptions(input_shapes=((5, 3),)))
    for shapes, message in ((((5,),), "rank"), (((5, 0),), "below 1"), (((1, 3), (1, 3)), "2 input shapes")):
        with pytest.raises(InputError, match=message):
            OnnxFrontend().load(path, ImportOptions(input_shapes=shapes))


def test_a_declared_shape_can_be_overridden(tmp_path: Path) -> None:
    path = save(tmp_path / "m.onnx", model_of([node("GlobalMaxPool", ["x"], ["y"])], {"x": real(1, 3, 4, 4)}, ["y"], {}))
    check(path, {"x": real(2, 3, 6, 5)}, ImportOptions(input_shapes=((2, 3, 6, 5),)))


def test_a_shape_that_does_not_fit_is_told_with_the_node(tmp_path: Path) -> None:
    weights = {"w": real(8, 3, 3, 3)}
    path = save(tmp_path / "m.onnx", model_of([node("Conv", ["x", "w"], ["y"], "stem")], {"x": real(1, 3, 9, 9)}, ["y"], weights))
    with pytest.raises(InputError, match=r"m\.onnx: node stem \(Conv\): top\.Conv: filter \(8, 3, 3, 3\) does not suit 4 channels"):
        OnnxFrontend().load(path, ImportOptions(input_shapes=((1, 4, 9, 9),)))


@pytest.mark.parametrize("cut", ["a", "a_Relu"])
def test_the_network_is_cut_at_output_names(tmp_path: Path, cut: str) -> None:
    x = real(2, 3)
    nodes = [node("Relu", ["x"], ["a"]), node("Unheard", ["a"], ["b"]), node("Exp", ["b"], ["y"])]
    path = save(tmp_path / "m.onnx", model_of(nodes, {"x": x}, ["y"], {}))
    module = OnnxFrontend().load(path, ImportOptions(output_names=(cut,)))
    assert [value.name for value in module.function.outputs] == ["a_Relu"]
    with pytest.raises(InputError, match="output names nothing are no tensors"):
        OnnxFrontend().load(path, ImportOptions(output_names=("nothing",)))


def test_outputs_may_be_inputs_initializers_and_repeated(tmp_path: Path) -> None:
    x, w = real(2, 3), real(3)
    nodes = [node("Identity", ["x"], ["i"]), node("Add", ["x", "w"], ["y"]), node("Dropout", ["y"], ["d"])]
    path = save(tmp_path / "m.onnx", model_of(nodes, {"x": x, "unused": real(1)}, ["x", "w", "i", "y", "d"], {"w": w}))
    module = check(path, {"x": x, "unused": real(1)})
    assert [value.name for value in module.function.outputs] == ["x", "w", "x", "y_Add", "y_Add"]


def test_every_unsupported_operator_is_named_at_once(tmp_path: Path) -> None:
    nodes = [
        node("TopK", ["x", "k"], ["v", "i"], "top"), node("Relu", ["v"], ["r"]), node("Unheard", ["r"], ["u"], "odd"),
        helper.make_node("Magic", ["u"], ["y"], "spell", domain="acme"),
    ]
    path = save(tmp_path / "m.onnx", model_of(nodes, {"x": real(4)}, ["y"], {"k": np.array([2], np.int64)}))
    with pytest.raises(UnsupportedError) as caught:
        OnnxFrontend().load(path, ImportOptions())
    assert caught.value.items == ("Magic (node spell, domain acme)", "TopK (node top)", "Unheard (node odd)")


def branch(name: str, op_type: str) -> onnx.GraphProto:
    return helper.make_graph([node(op_type, ["x"], [f"{name}_out"])], name, [], [onnx.ValueInfoProto(name=f"{name}_out")])


def test_a_constant_condition_takes_its_branch(tmp_path: Path) -> None:
    x = real(2, 3)
    choice = helper.make_node("If", ["c"], ["y"], "choice", then_branch=branch("t", "Relu"), else_branch=branch("e", "Exp"))
    for value, opcode in ((True, "top.Relu"), (False, "top.Exp")):
        module = check(save(tmp_path / "m.onnx", model_of([choice], {"x": x}, ["y"], {"c": np.array(value)})), {"x": x})
        assert [o.opcode for o in module.function.operations] == ["top.Input", opcode]
    path = save(tmp_path / "m.onnx", model_of([choice], {"x": x, "c": np.array(True)}, ["y"], {}))
    with pytest.raises(UnsupportedError, match=r"If with a computed condition \(node choice\)"):
        OnnxFrontend().load(path, ImportOptions())


def test_local_functions_are_inlined(tmp_path: Path) -> None:
    x = real(2, 3)
    body = [node("Mul", ["a", "a"], ["s"]), node("Exp", ["s"], ["b"])]
    opsets = [helper.make_opsetid("", 17)]
    model = model_of([helper.make_node("Bell", ["x"], ["y"], domain="acme")], {"x": x}, ["y"], {})
    model.functions.append(helper.make_function("acme", "Bell", ["a"], ["b"], body, opsets))
    model.opset_import.append(helper.make_opsetid("acme", 1))
    module = check(save(tmp_path / "m.onnx", model), {"x": x})
    assert [o.opcode for o in module.function.operations] == ["top.Input", "top.Mul", "top.Exp"]


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_large_weights_beside_local_functions(tmp_path: Path, dtype: type[np.floating]) -> None:
    """More bytes than inlining carries along."""
    x, w = real(1, 200), real(200, 200).astype(dtype)
    nodes = [node("Cast", ["w"], ["f"]), node("MatMul", ["x", "f"], ["p"]), helper.make_node("Twice", ["p"], ["y"], domain="acme")]
    nodes[0].attribute.append(helper.make_attribute("to", TensorProto.FLOAT))
    model = model_of(nodes, {"x": x}, ["y"], {"w": w})
    function = helper.make_function("acme", "Twice", ["a"], ["b"], [node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 17)])
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("acme", 1))
    module = check(save(tmp_path / "m.onnx", model), {"x": x})
    assert np.array_equal(next(module.weights[name] for name in module.weights), w.astype(np.float32))
    model.graph.initializer[0].dims[0] = 201
    with pytest.raises(InputError, match="initializer w: its data does not fill shape"):
        OnnxFrontend().load(save(tmp_path / "m.onnx", model), ImportOptions())


def test_integer_inputs_and_constants_stay_exact(tmp_path: Path) -> None:
    table, ids = real(9, 4), np.array([[1, 8, 3]], np.int64)
    path = save(tmp_path / "m.onnx", model_of([node("Gather", ["t", "ids"], ["y"])], {"ids": ids}, ["y"], {"t": table}))
    module = check(path, {"ids": ids})
    assert operations(module, "top.Input")[0].output.type.element is ElementType.SI32
    options = ImportOptions(input_types=("float32",))
    assert operations(OnnxFrontend().load(path, options), "top.Input")[0].output.type.element is ElementType.F32


def test_half_precision_weights_become_float32(tmp_path: Path) -> None:
    x = real(2, 3).astype(np.float16)
    path = save(tmp_path / "m.onnx", model_of([node("Add", ["x", "w"], ["y"])], {"x": x}, ["y"], {"w": real(3).astype(np.float16)}))
    module = OnnxFrontend().load(path, ImportOptions())
    assert module.weights["w"].dtype == np.float32
    found = evaluate_module(module, {"x": x.astype(np.float32)})["y_Add"]
    assert np.allclose(found, OnnxFrontend().run(path, {"x": x}, ImportOptions())["y_Add"], atol=1e-2)


def test_old_files_list_initializers_as_inputs(tmp_path: Path) -> None:
    x, w = real(2, 3), real(3)
    model = model_of([node("Mul", ["x", "w"], ["y"])], {"x": x}, ["y"], {"w": w})
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [3]))
    module = check(save(tmp_path / "m.onnx", model), {"x": x})
    assert len(operations(module, "top.Input")) == 1


def test_recognizes_by_suffix_and_by_content(tmp_path: Path) -> None:
    data = model_of([node("Relu", ["x"], ["y"])], {"x": real(1)}, ["y"], {}).SerializeToString()
    frontend = OnnxFrontend()
    assert frontend.recognizes(tmp_path / "m.ONNX", b"")
    assert frontend.recognizes(tmp_path / "m", data[:4096])
    assert not frontend.recognizes(tmp_path / "m.mlir", b"module @m attributes {")
    assert not frontend.recognizes(tmp_path / "m.npz", b"PK\x03\x04")
    assert not frontend.recognizes(tmp_path / "saved_model.pb", b"\x08\x01\x12\xd0")


def test_operators_are_sorted_and_real() -> None:
    names = OnnxFrontend().operators()
    assert list(names) == sorted(set(names))
    assert len(names) > 130
    assert all(onnx.defs.has(name) for name in names)


def test_missing_inputs_are_named(tmp_path: Path) -> None:
    path = save(tmp_path / "m.onnx", model_of([node("Add", ["x", "z"], ["y"])], {"x": real(2), "z": real(2)}, ["y"], {}))
    with pytest.raises(InputError, match="inputs z are missing"):
        OnnxFrontend().run(path, {"x": real(2)}, ImportOptions())


def test_run_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "m.onnx", model_of([node("Relu", ["x"], ["y"])], {"x": real(2)}, ["y"], {}))
    monkeypatch.chdir(tmp_path)
    OnnxFrontend().run(path, {"x": real(2)}, ImportOptions())
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.onnx"]


@pytest.mark.parametrize("name", ["light_squeezenet", "light_shufflenet"])
def test_classic_networks(name: str) -> None:
    """Weights come from ConstantOfShape, so their expected outputs are ONNX's own."""
    path = LIGHT / f"{name}.onnx"
    module = OnnxFrontend().load(path, ImportOptions())
    entry = operations(module, "top.Input")[0].output
    expected = numpy_helper.to_array(onnx.load_tensor(str(LIGHT / f"{name}_output_0.pb")))
    x = np.random.default_rng(0).random(entry.shape, np.float32)
    output = module.function.outputs[0]
    assert output.shape == expected.shape
    # Not the softmax: its scores are equal and large, so that the last bit of a sum, which depends on BLAS's threads, moves it to 0.
    scores = output.owner.operands[0].name
    found, reference = evaluate_module(module, {entry.name: x}), OnnxFrontend().run(path, {entry.name: x}, ImportOptions())
    np.testing.assert_allclose(found[scores], reference[scores], rtol=1e-4)

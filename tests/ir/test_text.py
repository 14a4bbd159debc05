"""MLIR text: what TPU-MLIR 1.30.2 wrote (samples/, its output for two small ONNX networks) reads and prints back the same."""

from __future__ import annotations

import difflib
import struct
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.timing import assert_linear
from tpumlir_core.errors import InputError
from tpumlir_core.ir import ElementType, Function, Module, Quantization, TensorType, WeightStore, operation_class, top
from tpumlir_core.ir.text import parse_module, print_module, read_module, write_module
from tpumlir_core.ir.text.floats import float_text, parse_float
from tpumlir_core.ir.text.lexer import quote, unquote
from tpumlir_core.ir.text.types import parse_tensor, type_text
from tpumlir_core.ir.verify import verify

SAMPLES = Path(__file__).parent / "samples"


def sample(name: str, folder: Path) -> Path:
    """A sample beside weights of the right shapes."""
    text = (SAMPLES / f"{name}.mlir").read_text()
    path = folder / f"{name}.mlir"
    path.write_text(text)
    module = parse_module(text)
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {
        op.name: rng.standard_normal(op.output.shape).astype(np.float32) for op in module.function.operations if isinstance(op, top.Weight)
    }
    np.savez(folder / str(module.attributes["module.weight_file"]), **arrays)
    return path


def changed_lines(name: str) -> list[tuple[str, str]]:
    text = (SAMPLES / f"{name}.mlir").read_text()
    printed = print_module(parse_module(text))
    before, after = text.rstrip().splitlines(), printed.rstrip().splitlines()
    assert len(before) == len(after), "\n".join(difflib.unified_diff(before, after))
    return [(a.strip(), b.strip()) for a, b in zip(before, after, strict=True) if a != b]


def test_a_convolution_network_prints_as_the_reference_printed_it() -> None:
    # Only the names of the two results of TopK differ: %values, %indices there, %19#0, %19#1 here.
    changed = changed_lines("convolution")
    assert [a.replace("%values, %indices =", "%19:2 =").replace("%values", "%19#0").replace("%indices", "%19#1") for a, _ in changed] == [
        b for _, b in changed
    ]
    assert len(changed) == 2


def test_a_transformer_prints_as_the_reference_printed_it() -> None:
    # An integer input keeps its element type here; the reference's text calls it f32 behind top.Input.
    changed = changed_lines("transformer")
    assert [a.replace("tensor<1x6xf32>", "tensor<1x6xsi32>") for a, _ in changed] == [b for _, b in changed]
    assert [a.split('"')[1] for a, _ in changed] == ["top.Input", "top.Gather"]


def test_unranked_types_are_inferred() -> None:
    # What the reference writes before its shape inference; its names of results are the ONNX ones.
    text = (SAMPLES / "convolution_origin.mlir").read_text()
    module = parse_module(text)
    assert "tensor<*xf32>" in text
    shapes = {v.name: v.shape for v in module.function.values()}
    assert shapes["y_Softmax"] == (2, 10)
    assert shapes["rs_Resize"] == (2, 8, 12, 16)


@pytest.mark.parametrize("name", ["convolution", "transformer"])
def test_files_come_back_the_same(name: str, tmp_path: Path) -> None:
    module = read_module(sample(name, tmp_path))
    verify(module)
    again = tmp_path / "again.mlir"
    weights = write_module(module, again)
    back = read_module(again)
    assert print_module(back).splitlines()[2:] == print_module(module).splitlines()[2:]
    assert {n: back.weights[n].tobytes() for n in back.weights} == {n: module.weights[n].tobytes() for n in module.weights}
    first = (again.read_bytes(), weights.read_bytes())
    write_module(back, again)
    assert (again.read_bytes(), weights.read_bytes()) == first


def test_the_file_says_what_the_reference_asks_for(tmp_path: Path) -> None:
    module = read_module(sample("convolution", tmp_path))
    module.attributes = {}
    assert write_module(module, tmp_path / "again.mlir").name == "again_top_f32_all_weight.npz"
    assert {"module.chip": "ALL", "module.state": "TOP_F32"}.items() <= read_module(tmp_path / "again.mlir").attributes.items()


def test_the_file_of_the_weights_is_called_as_asked_for(tmp_path: Path) -> None:
    module = read_module(sample("convolution", tmp_path))
    assert write_module(module, tmp_path / "again.mlir", "theirs.npz") == tmp_path / "theirs.npz"
    back = read_module(tmp_path / "again.mlir")
    assert {n: back.weights[n].tobytes() for n in back.weights} == {n: module.weights[n].tobytes() for n in module.weights}


def test_numpy_reads_the_weights(tmp_path: Path) -> None:
    module = read_module(sample("convolution", tmp_path))
    with np.load(write_module(module, tmp_path / "again.mlir")) as arrays:
        np.testing.assert_array_equal(arrays["fw_fix"], module.weights["fw_fix"])


def test_weights_are_read_when_asked_for(tmp_path: Path) -> None:
    path = sample("convolution", tmp_path)
    archive = tmp_path / "conv_top_f32_all_weight.npz"
    with np.load(archive) as arrays:
        np.savez(archive, **{**arrays, "fb": np.zeros(3, np.float32)})
    module = read_module(path)
    assert module.weights["fw_fix"].shape == (8, 10)
    with pytest.raises(InputError, match=r"weight fb has shape \(3,\) float32; expected \(10,\)"):
        module.weights["fb"]


def test_weights_of_as_many_elements_take_the_shape_of_the_text(tmp_path: Path) -> None:
    # As in the reference's own files: 16 numbers under the type 1x1x16.
    path = sample("convolution", tmp_path)
    archive = tmp_path / "conv_top_f32_all_weight.npz"
    with np.load(archive) as arrays:
        flat = np.asfortranarray(arrays["fw_fix"]).astype(np.float64)
        np.savez(archive, **{**arrays, "fw_fix": flat})
    found = read_module(path).weights["fw_fix"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, flat.astype(np.float32))


# --- the smaller spellings ------------------------------------------------------------------------------------------


@given(st.floats() | st.floats(width=32))
def test_floats_come_back_with_the_same_bits(value: float) -> None:
    back = parse_float(float_text(value))
    assert struct.pack("<d", back) == struct.pack("<d", value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1.000000e+00"),
        (-1.0, "-1.000000e+00"),
        (0.16666670143604279, "0.16666670143604279"),
        (float("inf"), "0x7FF0000000000000"),
        (9.9999997473787516e-6, "9.9999997473787516E-6"),
        (0.35355338454246521, "0.35355338454246521"),
        (-0.0, "-0.000000e+00"),
    ],
)
def test_floats_are_spelt_as_in_the_reference(value: float, text: str) -> None:
    assert float_text(value) == text


@given(st.text())
def test_strings_come_back(text: str) -> None:
    assert unquote(quote(text)) == text
    assert quote(text).isascii()


@pytest.mark.parametrize(
    "type_",
    [
        TensorType(()),
        TensorType((1, 3)),
        TensorType((0, 7), ElementType.BF16),
        TensorType((2,), ElementType.SI32, address=4294967296),
        TensorType((2,), ElementType.F32, Quantization(1.0, 0, -4.25, 4.1)),
        TensorType((2,), ElementType.SI8, Quantization(0.031, -3)),
        TensorType((2,), ElementType.UI8, Quantization(0.5), 5),
    ],
)
def test_types_come_back(type_: TensorType) -> None:
    assert parse_tensor(type_text(type_)) == type_


def tiny(*lines: str, returned: str = "%1 : tensor<2x3xf32>") -> str:
    """A module with an input %0 and what ``lines`` say."""
    body = "\n".join(f"    {line}" for line in lines)
    return f"""module @m attributes {{module.state = "TOP_F32"}} {{
  func.func @main(%arg0: tensor<2x3xf32>) -> tensor<2x3xf32> {{
    %0 = "top.Input"(%arg0) : (tensor<2x3xf32>) -> tensor<2x3xf32> loc("x")
{body}
    return {returned}
  }}
}}
"""


RELU = '%1 = "top.Relu"(%0) : (tensor<2x3xf32>) -> tensor<2x3xf32> loc("y")'


def test_defaults_may_be_left_out_and_comments_are_skipped() -> None:
    module = parse_module("// a comment\n" + tiny(RELU))
    assert module.function.operations[1].attributes() == {"relu_limit": -1.0}


def test_absent_operands_and_results() -> None:
    module = parse_module(
        tiny(
            '%n = "top.None"() : () -> none',
            '%w:2 = "top.Arg"(%0) {axis = 1 : i64, keepdims = true, mode = "ArgMax"} '
            ': (tensor<2x3xf32>) -> (tensor<2x1xf32>, none) loc("i")',
            '%1 = "top.LayerNorm"(%0, %n, %n) {axis = 1 : si32, eps = 1.0e-5 : f64, normalized_shape = [3]} '
            ': (tensor<2x3xf32>, none, none) -> tensor<2x3xf32> loc("y")',
        )
    )
    arg, norm = module.function.operations[1:]
    assert len(arg.results) == 1
    assert norm.operands[1:] == [None, None]
    again = parse_module(print_module(module))
    assert print_module(again) == print_module(module)


def test_attributes_of_every_kind_come_back() -> None:
    operations: list[Any] = []
    value = top.Input.create([], [("x", TensorType((1, 4, 4, 4)))])
    operations.append(value)
    operations.append(
        top.Interp.create(
            [value.output], [("a", TensorType((1, 4, 8, 6)))], mode="linear", coord_mode="half_pixel", scale_h=2.0, scale_w=1.5
        )
    )
    operations.append(top.Add.create([value.output, value.output], ["b"], coeff=(0.1, float("-inf")), do_relu=True, relu_limit=1 / 3))
    operations.append(top.Slice.create([value.output], ["c"], offset=(-3,), steps=(-1,), ends=(-9223372036854775807,), axes=(1,)))
    operations.append(top.Cast.create([value.output], ["d"], to='IN"T\\8é'))
    module = Module(
        "a name", Function("main", operations, [operations[-1].output]), WeightStore(), {"module.inputs": ("x", "ü"), "n": 3, "f": 0.1}
    )
    text = print_module(module)
    back = parse_module(text)
    assert back.attributes == module.attributes
    assert back.name == "a name"
    for before, after in zip(operations, back.function.operations, strict=True):
        assert after.attributes() == before.attributes()
        assert after.output.type == before.output.type
    assert print_module(back) == text


def test_calibrated_modules_come_back_the_same() -> None:
    # Types as the reference writes them with --import-calibration-table.
    line = (
        '    %1 = "top.Relu"(%0) {relu_limit = -1.000000e+00 : f64} : (tensor<2x3x!quant.calibrated<f32<-2.100000e+00:2.573100e+00>>>) '
        "-> tensor<2x3x!quant.calibrated<f32<0.000000e+00:2.573100e+00>>> loc(#loc2)"
    )
    text = tiny(line.strip().replace("#loc2", '"y"')).replace(
        "-> tensor<2x3xf32> loc", "-> tensor<2x3x!quant.calibrated<f32<-2.100000e+00:2.573100e+00>>> loc"
    )
    module = parse_module(text)
    assert module.function.outputs[0].type.quantization == Quantization(1.0, 0, 0.0, 2.5731)
    printed = print_module(module)
    assert line in printed.splitlines()
    assert "%arg0: tensor<2x3xf32> loc" in printed


def test_lowered_modules_read_back() -> None:
    module = parse_module(tiny(RELU))
    relu = operation_class("tpu.Relu")
    assert relu is not None
    half = TensorType((2, 3), ElementType.F16, address=4096)
    source = module.function.operations[0].output
    lowered = relu.create([source], [("z", half)])
    module.function.operations.append(lowered)
    module.function.outputs = [lowered.output]
    back = parse_module(print_module(module))
    assert back.function.outputs[0].type == half


# --- what is wrong is told with its line ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "t:1: expected 'module', found the end of the file"),
        ("module {", "t:1: expected 'func.func'"),
        ("module @m\n{\n  func.func @main(%a: tensor<2xf32>) {\n  return §", "t:4: unexpected character"),
        (tiny(RELU).replace("return", "retrun"), "t:5: expected an operation"),
        (tiny(RELU.replace("(%0)", "(%7)")), "t:4: %7 is used before it is defined"),
        (tiny(RELU.replace("top.Relu", "top.Rellu")), "t:4: operation top.Rellu is not known"),
        (tiny(RELU.replace("top.Relu", "func.return")), "t:4: operation func.return is not known"),
        (tiny(RELU.replace("(%0)", "(%0, %0)")), "t:4: top.Relu: expected 2 operand types, found 1"),
        (tiny(RELU.replace("(%0)", "()").replace("(tensor<2x3xf32>)", "()")), "t:4: top.Relu: operand input is missing"),
        (
            tiny(RELU.replace("-> tensor<2x3xf32>", "-> tensor<2x4xf32>")),
            "t:4: top.Relu: expected result type tensor<2x3xf32>, found tensor<2x4xf32>",
        ),
        (tiny(RELU.replace("(tensor<2x3xf32>)", "(tensor<2x4xf32>)")), "t:4: top.Relu: %0 has type tensor<2x3xf32>, found tensor<2x4xf32>"),
        (tiny(RELU.replace("(tensor<2x3xf32>)", "(none)")), "t:4: top.Relu: %0 has type tensor<2x3xf32>, found none"),
        (
            tiny(RELU.replace("(%0)", "(%0) {alpha = 1.0 : f64}")),
            "t:4: top.Relu: attribute alpha is not known; expected one of: relu_limit",
        ),
        (tiny(RELU.replace("(%0)", "(%0) {relu_limit = true}")), "t:4: top.Relu: attribute relu_limit: expected f64"),
        (tiny(RELU.replace("(%0)", "(%0) {relu_limit = 1.0, relu_limit = 1.0}")), "t:4: attribute relu_limit is given twice"),
        (tiny(RELU.replace("(%0)", "(%0) {relu_limit = #tpu<x y>}")), "t:4: top.Relu: attribute relu_limit: expected f64"),
        (tiny(RELU.replace("top.Relu", "top.Elu")), "t:4: top.Elu: attribute alpha is missing"),
        (tiny(RELU.replace('"top.Relu"(%0)', '"top.GELU"(%0) {approx_mode = "exact"}')), "expected one of normal, tanh, sigm"),
        (tiny(RELU.replace('"top.Relu"(%0)', '"top.Softmax"(%0) {axis = 9999999999 : si32}')), "9999999999 does not fit in 32 bits"),
        (tiny(RELU.replace('"top.Relu"(%0)', '"top.Softmax"(%0) {axis = 1.5 : si32}')), "expected an integer, found 1.5"),
        (tiny(RELU.replace('"top.Relu"(%0)', '"top.Softmax"(%0) {axis = 5 : si32}')), "t:4: top.Softmax: axis 5 is outside"),
        (tiny(RELU.replace(' loc("y")', "")), r't:4: top.Relu: expected loc("name") with 1 name(s), found 0'),
        (tiny(RELU.replace('"y"', '"x"')), "t:4: top.Relu: name x is used twice"),
        (tiny(RELU.replace('"y"', '"a b"')), "has spaces"),
        (tiny(RELU.replace('loc("y")', "loc(#loc9)")), "t:4: alias #loc9 is not defined"),
        (tiny(RELU.replace('loc("y")', "loc(#l)")) + "#l = loc(#m)\n#m = loc(#l)\n", "location aliases nest deeper"),
        (tiny(RELU.replace('loc("y")', "loc(#l)")) + '#l = loc("a")\n#l = loc("b")\n', "alias #l is defined twice"),
        (tiny(RELU, RELU.replace('"y"', '"z"')), "t:5: %1 is defined twice"),
        (tiny(RELU.replace("tensor<2x3xf32>", "tensor<2x?xf32>")), "static dimensions"),
        (tiny(RELU.replace("tensor<2x3xf32>", "tensor<2x3xf99>")), "element type f99 is not known"),
        (tiny(RELU.replace("tensor<2x3xf32>", "tensor<2x3xf32")), "'<' is not closed"),
        (tiny(RELU.replace("(%0)", "(%0) ({ })")), "operations with regions are not read"),
        (tiny('%1 = "top.None"() : () -> none'), "t:5: an output is none"),
        (tiny(RELU) + "module {}", "t:8: expected the end of the file"),
        (tiny(RELU).replace("TOP_F32", 'A" = 1 : i64, "B'), "expected ',' or '}'"),
        (tiny(RELU).replace('"TOP_F32"', "[" * 40 + "]" * 40), "at most 16 nested lists"),
        (tiny(RELU).replace('"TOP_F32"', "#tpu<x y>"), "module attribute module.state: expected a number"),
        (tiny(RELU).replace("%arg0) :", "%arg1) :"), "t:3: top.Input: expected one argument"),
        (
            tiny(RELU.replace('"top.Relu"(%0)', '"top.Add"()').replace("(tensor<2x3xf32>)", "()")),
            "t:4: top.Add: expected tensors as inputs",
        ),
        (tiny(RELU.replace("%1 =", "%1:2 =")), "t:4: top.Relu: expected 2 result types, found 1"),
        (tiny(RELU.replace("%1 =", "%1:99999999 =")), "a number of results below 100000"),
    ],
)
def test_errors_name_the_line_and_what_was_expected(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_module(text, "t")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@given(
    st.integers(0, 2000),
    st.integers(0, 2000),
    st.sampled_from(["", "<", '"', "{", "]", "loc(", "%0", "9" * 5000, "0x", "-", "tensor<", "\0", "é"]),
)
def test_damaged_text_gives_an_input_error(start: int, length: int, inserted: str) -> None:
    text = tiny(
        RELU,
        '%2:2 = "top.Split"(%1) {axis = 0 : si32, num = 2 : i64} : (tensor<2x3xf32>) -> (tensor<1x3xf32>, tensor<1x3xf32>) '
        'loc(fused["a", "b"])',
    )
    damaged = text[:start] + inserted + text[start + length % 40 :]
    try:
        parse_module(damaged, "t")
    except InputError as error:
        message = str(error)
    else:
        message = "t: still valid"
    assert message.startswith("t")


@pytest.mark.parametrize("name", ["../w.npz", "/etc/w.npz", "..", "a/b.npz", "C:w.npz", ""])
def test_weights_outside_the_folder_are_refused(name: str, tmp_path: Path) -> None:
    path = sample("convolution", tmp_path)
    path.write_text(path.read_text().replace("conv_top_f32_all_weight.npz", name))
    with pytest.raises(InputError, match="weight_file"):
        read_module(path)


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    path = sample("convolution", inner)
    archive = inner / "conv_top_f32_all_weight.npz"
    archive.rename(tmp_path / "w.npz")
    archive.symlink_to(tmp_path / "w.npz")
    with pytest.raises(InputError, match="leads out of the folder"):
        read_module(path)


@pytest.mark.parametrize("damage", ["missing", "text", "cut", "renamed", "pickle"])
def test_damaged_weights_give_an_input_error(damage: str, tmp_path: Path) -> None:
    path = sample("convolution", tmp_path)
    archive = tmp_path / "conv_top_f32_all_weight.npz"
    with np.load(archive) as arrays:
        kept = dict(arrays)
    match damage:
        case "missing":
            archive.unlink()
        case "text":
            archive.write_text("no archive")
        case "cut":
            archive.write_bytes(archive.read_bytes()[:700])
        case "renamed":
            np.savez(archive, **{("other" if name == "fb" else name): array for name, array in kept.items()})
        case "pickle":
            np.savez(archive, **{**kept, "fb": np.array([{}] * 10, object)})
    with pytest.raises(InputError):
        read_module(path).weights["fb"]


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"", b"\x08\x01"])
def test_files_that_are_no_text(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.mlir"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"m\.mlir"):
        read_module(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_module(tmp_path / "absent.mlir")


def chain_text(length: int) -> str:
    return tiny(*(f'%{i + 1} = "top.Relu"(%{i}) : (tensor<2x3xf32>) -> tensor<2x3xf32> loc("y{i}")' for i in range(length)))


def test_long_texts_come_back() -> None:
    module = parse_module(chain_text(10_000))
    assert len(module.function.operations) == 10_001
    assert print_module(module).count("\n") == 20_008


def test_long_texts_read_in_linear_time() -> None:
    assert_linear(lambda length: partial(parse_module, chain_text(length)), 10_000, limit=10)

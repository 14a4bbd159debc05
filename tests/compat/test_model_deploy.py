"""``model_deploy.py`` on the emulator: every mode, the reference's files, and every flag that acts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from tests.compat.conftest import SHAPE, TRANSFORM, Tool
from tpumlir_core import api
from tpumlir_core.bmodel import WIRE_TYPES, read_model
from tpumlir_core.bmodel.schema import NetParameter
from tpumlir_core.files import read_npz
from tpumlir_core.ir import Array
from tpumlir_core.ir.text import read_module
from tpumlir_core.verify import compare_arrays

CHIP = ("--mlir", "net.mlir", "--chip", "bm1684x")
CHECKED = ("--test_input", "net_in_f32.npz", "--test_reference", "net_top_outputs.npz")
OUTPUT = "p_Softmax"


@pytest.fixture
def table(transformed: Path, tool: Tool) -> Path:
    """net_cali_table."""
    done = tool("run_calibration", "net.mlir", "--dataset", "photos", "--input_num", "4", "-o", "net_cali_table")
    assert done.returncode == 0, done.stderr
    return transformed.with_name("net_cali_table")


def stage(path: Path) -> NetParameter:
    return read_model(path.read_bytes()).net[0].parameter[0]


def types(path: Path) -> list[str]:
    """Element types of the inputs and outputs of a bmodel."""
    codes = {code: element.value for element, code in WIRE_TYPES.items()}
    return [codes[tensor.data_type] for tensor in (*stage(path).input_tensor, *stage(path).output_tensor)]


def expected(work: Path) -> Array:
    """What onnxruntime computes."""
    return np.asarray(ort.InferenceSession(work / "net.onnx").run(None, read_npz(work / "net_in_f32.npz"))[0])


# --- modes and files ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("mode", "prefix", "least"),
    [
        ("F32", "net_bm1684x_f32", (0.9999, 0.999)), ("F16", "net_bm1684x_f16", (0.999, 0.99)), ("BF16", "net_bm1684x_bf16", (0.99, 0.9)),
        ("INT8", "net_bm1684x_int8_sym", (0.95, 0.7)),
    ],
)
def test_every_mode(mode: str, prefix: str, least: tuple[float, float], table: Path, work: Path, tool: Tool) -> None:
    before = {path.name for path in work.iterdir()}
    flags = ("--calibration_table", "net_cali_table") if mode == "INT8" else ()
    done = tool("model_deploy", *CHIP, "--quantize", mode, *flags, *CHECKED, "--tolerance", "0.9,0.5", "--model", "out.bmodel")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("npz compare PASSED.") == 2
    made = {path.name for path in work.iterdir()} - before
    assert made == {
        "out", "out.bmodel", f"{prefix}_tpu.mlir", f"{prefix}_tpu_weights.npz", f"{prefix}_tpu_outputs.npz", f"{prefix}_model_outputs.npz",
    }
    found = read_npz(work / f"{prefix}_model_outputs.npz")[OUTPUT]
    assert compare_arrays(found, expected(work), least).passed
    assert read_module(work / f"{prefix}_tpu.mlir").attributes["module.mode"] == mode


def test_without_inputs_nothing_is_checked(transformed: Path, work: Path, tool: Tool) -> None:
    done = tool("model_deploy", *CHIP, "--model", "out.bmodel")
    assert done.returncode == 0
    assert "npz compare" not in done.stdout
    assert (work / "out.bmodel").exists()
    assert not list(work.glob("net_bm1684x*_outputs.npz"))


def test_without_a_reference_the_network_itself_is_one(transformed: Path, work: Path, tool: Tool) -> None:
    (work / "net_top_outputs.npz").unlink()
    done = tool("model_deploy", *CHIP, "--model", "out.bmodel", "--test_input", "image.png", "--quantize", "F16")
    assert done.returncode == 0, done.stderr
    assert "Reference net_top_outputs.npz" in done.stdout
    assert compare_arrays(read_npz(work / "net_top_outputs.npz")[OUTPUT], expected(work)).passed


def test_random_inputs(transformed: Path, work: Path, tool: Tool) -> None:
    tool("model_deploy", *CHIP, "--model", "out.bmodel", "--gen_test_input")
    first = read_npz(work / "net_gen_in.npz")["x"]
    assert first.shape == SHAPE
    assert 0.08 < first.std() < 0.12
    assert compare_arrays(read_npz(work / "net_bm1684x_f32_model_outputs.npz")[OUTPUT], expected(work)).passed
    tool("model_deploy", *CHIP, "--model", "out.bmodel", "--gen_test_input", "--gen_test_seed", "5", "--not_gen_bmodel")
    assert not np.array_equal(read_npz(work / "net_gen_in.npz")["x"], first)


def test_only_the_lowered_network(transformed: Path, work: Path, tool: Tool) -> None:
    assert tool("model_deploy", *CHIP, *CHECKED, "--model", "out.bmodel", "--not_gen_bmodel").returncode == 0
    assert (work / "net_bm1684x_f32_tpu.mlir").exists()
    assert not (work / "out.bmodel").exists()


def test_the_file_need_not_be_run(transformed: Path, work: Path, tool: Tool) -> None:
    done = tool("model_deploy", *CHIP, *CHECKED, "--model", "out.bmodel", "--skip_validation")
    assert done.stdout.count("npz compare PASSED.") == 1
    assert not (work / "net_bm1684x_f32_model_outputs.npz").exists()


# --- checks -------------------------------------------------------------------------------------------------------------
def test_every_tensor(transformed: Path, tool: Tool) -> None:
    done = tool("model_deploy", *CHIP, *CHECKED, "--model", "out.bmodel", "--compare_all", "--skip_validation")
    assert "[hidden_Relu " in done.stdout
    done = tool("model_deploy", *CHIP, *CHECKED, "--model", "out.bmodel", "--skip_validation")
    assert "[hidden_Relu " not in done.stdout


def off_reference(work: Path) -> None:
    """The reference is not what the network computes."""
    tensors = read_npz(work / "net_top_outputs.npz")
    np.savez(work / "net_top_outputs.npz", **{**tensors, OUTPUT: tensors[OUTPUT][:, ::-1]})


def test_a_failed_comparison_ends_with_1(transformed: Path, work: Path, tool: Tool) -> None:
    off_reference(work)
    failed = tool("model_deploy", *CHIP, *CHECKED, "--model", "out.bmodel")
    assert failed.returncode == 1
    told = f"net_bm1684x_f32_tpu_outputs.npz differs from net_top_outputs.npz in 1 of 1 tensors: {OUTPUT}"
    assert failed.stderr == f"model_deploy.py: error: {told}\n"
    assert not (work / "out.bmodel").exists()
    assert (work / "net_bm1684x_f32_tpu_outputs.npz").exists()


@pytest.mark.parametrize("flags", [("--tolerance=-1,-9",), ("--excepts", OUTPUT)])
def test_what_is_tolerated(flags: tuple[str, ...], transformed: Path, work: Path, tool: Tool) -> None:
    off_reference(work)
    assert tool("model_deploy", *CHIP, *CHECKED, *flags, "--model", "out.bmodel").returncode == 0


def test_names_may_be_left_aside(transformed: Path, work: Path, tool: Tool) -> None:
    tensors = read_npz(work / "net_top_outputs.npz")
    np.savez(work / "net_top_outputs.npz", other=tensors[OUTPUT][:, ::-1], same=tensors[OUTPUT])
    done = tool("model_deploy", *CHIP, *CHECKED, "--fazzy_match", "--model", "out.bmodel", "--skip_validation")
    assert done.returncode == 0
    assert "[same  " in done.stdout


def test_the_compiled_file_has_a_tolerance_of_its_own(transformed: Path, tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    run = api.run
    monkeypatch.setattr(api, "run", lambda *given, **more: {name: array[:, ::-1] for name, array in run(*given, **more).items()})
    failed = tool("model_deploy", *CHIP, *CHECKED, "--model", "out.bmodel", "--tolerance=-1,-9")
    assert failed.returncode == 1
    assert "net_bm1684x_f32_model_outputs.npz differs from net_bm1684x_f32_tpu_outputs.npz" in failed.stderr
    assert tool("model_deploy", *CHIP, *CHECKED, "--model", "out.bmodel", "--correctness=-1,-9").returncode == 0


# --- quantization -------------------------------------------------------------------------------------------------------
def test_asymmetric(table: Path, work: Path, tool: Tool) -> None:
    done = tool("model_deploy", *CHIP, "--quantize", "INT8", "--calibration_table", table, "--asymmetric", "--model", "out.bmodel")
    assert done.returncode == 0, done.stderr
    points = [value.type.quantization.zero_point for op in read_module(work / "net_bm1684x_int8_asym_tpu.mlir").function.operations
              for value in op.results if value.type.quantization is not None]
    assert any(points)


def test_a_table_of_modes(table: Path, work: Path, tool: Tool) -> None:
    (work / "modes").write_text("hidden_Relu F32\ngone_Conv F16\n")
    done = tool("model_deploy", *CHIP, "--quantize", "INT8", "--calibration_table", table, "--quantize_table", "modes", *CHECKED,
                "--tolerance", "0.9,0.5", "--model", "out.bmodel")
    assert done.returncode == 0, done.stderr
    assert "warning: --quantize_table: the network has no gone_Conv" in done.stderr
    assert (work / "net_bm1684x_int8_sym_tpu_qtable_weights.npz").exists()
    operations = read_module(work / "net_bm1684x_int8_sym_tpu.mlir").function.operations
    found = {value.name: value.type.element.value for operation in operations for value in operation.results}
    assert found["hidden_Relu"] == "f32"
    assert "si8" in found.values()


@pytest.mark.parametrize(
    ("flags", "kinds"),
    [
        ((), ["f32", "f32"]), (("--quant_input",), ["si8", "f32"]), (("--quant_input_list", "1"), ["si8", "f32"]),
        (("--quant_input_int8",), ["si8", "f32"]),
    ],
)
def test_types_of_inputs(flags: tuple[str, ...], kinds: list[str], table: Path, work: Path, tool: Tool) -> None:
    done = tool("model_deploy", *CHIP, "--quantize", "INT8", "--calibration_table", table, *flags, "--model", "out.bmodel")
    assert done.returncode == 0, done.stderr
    assert types(work / "out.bmodel") == kinds


@pytest.mark.parametrize(("flags", "kinds"), [(("--quant_output",), ["f32", "f16"]), (("--quant_output_list", "1"), ["f32", "f16"])])
def test_types_of_outputs(flags: tuple[str, ...], kinds: list[str], network: Path, work: Path, tool: Tool) -> None:
    tool("model_transform", *TRANSFORM, "--output_names", "g")
    done = tool("model_deploy", *CHIP, "--quantize", "F16", *flags, "--model", "out.bmodel")
    assert done.returncode == 0, done.stderr
    assert types(work / "out.bmodel") == kinds


def real_numbers(stored: bytes, mode: str, scale: float) -> Array:
    """What the bytes of an input stand for."""
    if mode == "BF16":
        return (np.frombuffer(stored, np.uint16).astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(stored, {"F32": np.float32, "F16": np.float16, "INT8": np.int8}[mode]) / np.float32(scale)


@pytest.mark.parametrize(("mode", "error"), [("F32", 0), ("F16", 2**-11), ("BF16", 2**-8), ("INT8", 2**-7)])
def test_what_the_runtimes_own_test_program_takes(mode: str, error: float, table: Path, work: Path, tool: Tool) -> None:
    flags = ["--calibration_table", "net_cali_table"] if mode == "INT8" else []
    flags += ["--quant_input", "--tolerance", "0.9,0.5", "--model", "out.bmodel"]
    done = tool("model_deploy", *CHIP, "--quantize", mode, *flags, *CHECKED)
    assert done.returncode == 0, done.stderr  # real numbers were fed, and compared
    assert (work / "out/compilation.bmodel").read_bytes() == (work / "out.bmodel").read_bytes()
    (fed,), (given,) = stage(work / "out.bmodel").input_tensor, stage(work / "out.bmodel").output_tensor
    found = real_numbers((work / "out/input_ref_data.dat").read_bytes(), mode, fed.scale)
    np.testing.assert_allclose(found, read_npz(work / "net_in_f32.npz")["x"].reshape(-1), atol=error)
    assert len((work / "out/output_ref_data.dat").read_bytes()) == given.size


def test_outputs_that_have_to_be_of_8_bits(transformed: Path, tool: Tool) -> None:
    failed = tool("model_deploy", *CHIP, "--quantize", "F16", "--quant_output_int8", "--model", "out.bmodel")
    assert failed.returncode == 2
    assert f"--quant_output_int8: the lowered network does not have 8 bits in {OUTPUT}" in failed.stderr


# --- images -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("flags", "shape"), [((), [1, 3, 16, 24]), (("--customization_format", "BGR_PACKED"), [1, 16, 24, 3])])
def test_raw_images(flags: tuple[str, ...], shape: list[int], transformed: Path, work: Path, tool: Tool) -> None:
    done = tool("model_deploy", *CHIP, "--fuse_preprocess", *flags, "--test_input", "image.png", "--test_reference", "net_top_outputs.npz",
                "--model", "out.bmodel")
    assert done.returncode == 0, done.stderr
    assert [(tensor.name, list(tensor.shape[0].dim)) for tensor in stage(work / "out.bmodel").input_tensor] == [("x_raw", shape)]
    assert read_npz(work / "net_in_ori.npz")["x_raw"].dtype == np.uint8
    assert compare_arrays(read_npz(work / "net_bm1684x_f32_model_outputs.npz")[OUTPUT], expected(work)).passed


def test_raw_images_have_to_be_images(transformed: Path, tool: Tool) -> None:
    failed = tool("model_deploy", *CHIP, "--fuse_preprocess", "--test_input", "net_in_f32.npz", "--model", "out.bmodel")
    assert failed.returncode == 2
    assert "--fuse_preprocess: give images with --test_input" in failed.stderr


# --- what is wrong ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--quantize", "INT4"), "INT4"),
        (("--chip", "bm1690"), "no target is called 'bm1690'"),
        (("--quantize", "INT8"), "INT8"),
        (("--customization_format", "RGB_PACKED"), "give that too"),
        (("--fuse_preprocess", "--customization_format", "RGBA_PLANAR"), "RGBA_PLANAR: networks take no alpha channel"),
        (("--mlir", "gone.mlir"), "gone.mlir"),
        (("--quantize_table", "gone"), "gone"),
        (("--model", "no/such/folder.bmodel"), "no/such/folder.bmodel: cannot be written"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(flags: tuple[str, ...], told: str, transformed: Path, tool: Tool) -> None:
    failed = tool("model_deploy", *CHIP, "--model", "out.bmodel", *flags)
    assert failed.returncode == 2
    assert told in failed.stderr
    assert failed.stderr.count("\n") == 1


def test_a_hostile_name_writes_nowhere_else(transformed: Path, work: Path, tool: Tool) -> None:
    transformed.write_text(transformed.read_text().replace("module @net", 'module @"../up"'))
    failed = tool("model_deploy", *CHIP, *CHECKED, "--model", "out.bmodel")
    assert failed.returncode == 2
    assert "network '../up': files cannot be named after it" in failed.stderr
    assert not list(work.parent.glob("up*"))

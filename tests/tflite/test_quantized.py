"""A fully quantized network: its own scales go through import, text and INT8, against TensorFlow Lite's integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.tflite.quantized import CLASSES, images, write_quantized
from tpumlir_core import api
from tpumlir_core.checks import execute
from tpumlir_core.errors import InputError
from tpumlir_core.interpreter import NumpyInterpreter
from tpumlir_core.ir import ElementType, Module, Quantization
from tpumlir_core.plugins.extension_points import CalibratedRange, ImportOptions, LoweringOptions
from tpumlir_core.stages import Session
from tpumlir_tflite.frontend import TfliteFrontend
from tpumlir_tflite.model import Graph, read_model

LEAST_SHARE = 0.95
"""Of the elements that must be within one step of what TensorFlow Lite computes."""


@pytest.fixture(scope="module", params=[True, False], ids=["float ends", "int8 ends"])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_quantized(tmp_path_factory.mktemp("quantized") / "net.tflite", request.param)


def source_scales(graph: Graph) -> dict[str, tuple[float, int]]:
    return {t.name: (float(t.scale.scales[0]), int(t.scale.zeros[0])) for t in graph.tensors if t.scale is not None and t.type == "INT8"}


def steps_apart(name: str, found: list[dict[str, np.ndarray]], expected: list[dict[str, np.ndarray]], step: float) -> np.ndarray:
    """How many steps of a tensor's scale each number is from TensorFlow Lite's."""
    return np.concatenate([np.abs(f[name] - e[name]).ravel() for f, e in zip(found, expected, strict=True)]) / step


def test_types_say_the_ranges_of_the_source(path: Path) -> None:
    module = api.transform(path)
    scales = source_scales(read_model(path))
    values = {value.name: value for value in module.function.values()}
    for name in ("stem", "deep", "point", "sum", "wide", "logits"):
        scale, zero = scales[name]
        assert values[name].type.element is ElementType.F32
        assert values[name].type.quantization == Quantization(scale, zero, (-128 - zero) * scale, (127 - zero) * scale)


def test_the_lowered_network_has_the_scales_of_the_source(path: Path) -> None:
    lowered = api.lower(api.transform(path), chip="bm1684x", quantize="INT8")
    scales = source_scales(read_model(path))
    types = {value.name: value.type for value in lowered.function.values()}
    for name in ("stem", "deep", "point", "sum", "wide", "logits"):
        scale, zero = scales[name]
        offset = 128 if types[name].element is ElementType.UI8 else 0
        assert types[name].element.bytes == 1
        assert types[name].scaling == (pytest.approx(scale, rel=1e-6), zero + offset)


def test_weights_keep_their_numbers(path: Path) -> None:
    lowered = api.lower(api.transform(path), chip="bm1684x", quantize="INT8")
    stored = {tensor.name: tensor.stored for tensor in read_model(path).tensors}
    filters = stored["wide_filter"]
    assert filters is not None
    np.testing.assert_array_equal(lowered.weights["wide_filter_i8"], filters.transpose(0, 3, 1, 2))


def compare_with_source(path: Path, module: Module) -> None:
    pytest.importorskip("ai_edge_litert", reason="TensorFlow Lite's interpreter is not installed")
    name = module.function.operations[0].name
    inputs = [{name: image} for image in images(8)]
    expected = list(TfliteFrontend().run_each(path, inputs, ImportOptions()))
    scales = source_scales(read_model(path))
    output = module.function.outputs[0].name
    assert module.function.outputs[0].shape == (1, CLASSES)
    floats = [NumpyInterpreter().run(module, fed) for fed in inputs]
    assert (steps_apart(output, floats, expected, 1 / 256) <= 1.001).mean() >= LEAST_SHARE
    lowered = api.lower(module, chip="bm1684x", quantize="INT8")
    found = [execute(lowered, fed, "bm1684x", Session()) for fed in inputs]
    for tensor in ("stem", "deep", "point", "sum", "wide", "swish", "logits"):
        assert (steps_apart(tensor, found, expected, scales[tensor][0]) <= 1.001).mean() >= LEAST_SHARE, tensor
    assert (steps_apart(output, found, expected, 1 / 256) <= 1.001).mean() >= LEAST_SHARE


def test_int8_without_a_table_is_what_the_source_computes(path: Path) -> None:
    compare_with_source(path, api.transform(path))


def test_ranges_survive_text(path: Path, tmp_path: Path) -> None:
    api.save_module(api.transform(path), tmp_path / "net.mlir")
    compare_with_source(path, api.open_module(tmp_path / "net.mlir"))


def test_a_table_comes_before_the_own_ranges(path: Path) -> None:
    table = {"stem": CalibratedRange(3.0, -3.0, 3.0)}
    lowered = api.lower(api.transform(path), chip="bm1684x", quantize="INT8", lowering=LoweringOptions(calibration=table))
    types = {value.name: value.type.element for value in lowered.function.values()}
    assert types["wide"].bytes > 1


def test_float_modes_forget_the_ranges(path: Path) -> None:
    lowered = api.lower(api.transform(path), chip="bm1684x")
    assert all(value.type.quantization is None for value in lowered.function.values())


def test_a_float_network_still_needs_a_table(tmp_path: Path) -> None:
    example = TfliteFrontend().examples(tmp_path)[0]
    with pytest.raises(InputError, match="--calibration-table"):
        api.lower(api.transform(example.path), chip="bm1684x", quantize="INT8")


def test_the_compiled_file_on_the_emulator(path: Path) -> None:
    from sweeps.emulator import run_bmodel

    module = api.transform(path)
    name = module.function.operations[0].name
    lowered = api.lower(api.transform(path), chip="bm1684x", quantize="INT8")
    try:
        for image in images(2):
            (found,) = run_bmodel(api.deploy(api.transform(path), chip="bm1684x", quantize="INT8").data, [image])
            expected = execute(lowered, {name: image}, "bm1684x", Session())[module.function.outputs[0].name]
            np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=1e-6)
    except InputError as error:
        pytest.skip(str(error))

"""The runner on CModel, with networks made command by command."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.bmrt.networks import NEURONS, passing, scaled_sum
from tpumlir_bmrt.runner import BmrtRunner
from tpumlir_core.bmodel import BmodelNet, build_model, write_bmodel, write_model
from tpumlir_core.bmodel.schema import Shape
from tpumlir_core.errors import InputError, PluginError
from tpumlir_core.ir.types import ElementType

SHAPE = (2, 70, 3, 5)
RANDOM = np.random.default_rng(7)
A, B = (RANDOM.standard_normal(SHAPE).astype(np.float32) for _ in range(2))
RUNNER = BmrtRunner(timeout=60)


def _file(folder: Path, *nets: BmodelNet) -> Path:
    path = folder / "net.bmodel"
    path.write_bytes(write_bmodel(nets))
    return path


def test_recognizes_by_the_magic_number(tmp_path: Path) -> None:
    path = _file(tmp_path, scaled_sum())
    assert RUNNER.recognizes(path, path.read_bytes()[:4096])
    assert not RUNNER.recognizes(path, b"ONNX")


@pytest.mark.parametrize("cut", [False, True], ids=["one group", "two groups"])
def test_every_input_and_output(tmp_path: Path, cut: bool) -> None:
    """Both outputs, exact in F32; cut in two groups, the second uses what the first left in local memory."""
    results = RUNNER.run(_file(tmp_path, scaled_sum(cut=cut)), {"b": B, "a": A, "unused": A[:1]})
    assert list(results) == ["sum", "copy"]
    np.testing.assert_array_equal(results["sum"], (A + B) * np.float32(3))
    np.testing.assert_array_equal(results["copy"], A)


def test_weights_and_neurons_anywhere(tmp_path: Path) -> None:
    """A gap between weights and neurons, as the runtime moves each."""
    net = scaled_sum(weights=bytes(5000), shape=(1, 3, 3, 5))
    with pytest.raises(Exception, match="weights reach into the neurons"):
        write_bmodel([net])
    results = RUNNER.run(_file(tmp_path, replace(net, weights=(), coeff=bytes(4000))), {"a": A[:1, :3], "b": B[:1, :3]})
    np.testing.assert_array_equal(results["copy"], A[:1, :3])


def test_networks_by_their_inputs_and_stages_by_shape(tmp_path: Path) -> None:
    small = (1, 3, 4, 4)
    path = _file(tmp_path, scaled_sum(), scaled_sum(shape=small, factor=2.0), passing((64,), ElementType.F32))
    a, b = A[:1, :1, :1, :1] * np.ones(small, np.float32), np.ones(small, np.float32)
    np.testing.assert_array_equal(RUNNER.run(path, {"a": a, "b": b})["sum"], (a + b) * 2)
    np.testing.assert_array_equal(RUNNER.run(path, {"a": A, "b": B}, net="net")["sum"], (A + B) * np.float32(3))
    np.testing.assert_array_equal(RUNNER.run(path, {"x": np.arange(64)})["y"], np.arange(64, dtype=np.float32))


@pytest.mark.parametrize(("element", "shape", "exact"), [
    (ElementType.F32, (4, 16), np.array([1.5, -2.25])),
    (ElementType.F16, (8, 4, 4), np.array([1.5, -2.25])),
    (ElementType.BF16, (128,), np.array([1.5, -2.25])),
    (ElementType.SI32, (64,), np.array([-(2**31), 2**31 - 1])),
    (ElementType.UI8, (2, 2, 2, 2, 2, 2, 2, 2), np.array([0, 255])),
])  # fmt: skip
def test_element_types_pass_through(tmp_path: Path, element: ElementType, shape: tuple[int, ...], exact: np.ndarray) -> None:
    net = passing(shape, element)
    assert math.prod(shape) * element.bytes == net.inputs[0].bytes
    given = np.resize(exact, shape)
    result = RUNNER.run(_file(tmp_path, net), {"x": given})["y"]
    assert result.dtype == (np.float32 if element.is_float else element.numpy)
    np.testing.assert_array_equal(result, given)


def test_quantized_inputs_and_outputs(tmp_path: Path) -> None:
    """Floats are quantized by the input's scale and zero point, clipped, and dequantized by the output's."""
    path = _file(tmp_path, passing((256,), ElementType.SI8, scale=0.5, zero_point=3))
    given = np.resize(np.array([0.0, 1.0, -1.2, 1e6, -1e6], np.float32), 256)
    expected = (np.clip(np.rint(given / 0.5) + 3, -128, 127) - 3) * 0.5
    np.testing.assert_array_equal(RUNNER.run(path, {"x": given})["y"], expected.astype(np.float32))
    stored = np.resize(np.arange(-128, 128, dtype=np.int8), 256)
    np.testing.assert_array_equal(RUNNER.run(path, {"x": stored})["y"], (stored.astype(np.float32) - 3) * 0.5)


@pytest.mark.parametrize(("inputs", "message"), [
    ({"a": A}, r"net.bmodel: input b of network net is missing; given: a"),
    ({"a": A, "b": B[:1]}, r"takes a \[2, 70, 3, 5\], b \[2, 70, 3, 5\], not a \[2, 70, 3, 5\], b \[1, 70, 3, 5\]"),
    ({"a": A, "b": B.astype(complex)}, "input b: complex128 are no numbers"),
    ({"a": A, "b": np.full(SHAPE, "x")}, "input b: <U1 are no numbers"),
])  # fmt: skip
def test_inputs_that_do_not_fit(tmp_path: Path, inputs: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        RUNNER.run(_file(tmp_path, scaled_sum()), inputs)
    assert "\n" not in str(caught.value)


def test_integers_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"input x: its int64 go from 0 to 300, which ui8 cannot hold"):
        RUNNER.run(_file(tmp_path, passing((256,), ElementType.UI8)), {"x": np.resize(np.array([0, 300]), 256)})


def test_files_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "x.bmodel"
    with pytest.raises(InputError, match=r"x.bmodel: cannot be read"):
        RUNNER.run(path, {})
    path.write_bytes(b"nonsense" * 20)
    with pytest.raises(InputError, match=r"x.bmodel: not a bmodel"):
        RUNNER.run(path, {})
    with pytest.raises(InputError, match=r"no network other; it holds net \(a, b\)"):
        RUNNER.run(_file(tmp_path, scaled_sum()), {}, net="other")
    net = passing((64,), ElementType.F32)
    with pytest.raises(InputError, match=r"several networks take the inputs x; it holds pass \(x\); twin \(x\)"):
        RUNNER.run(_file(tmp_path, net, replace(net, name="twin")), {"x": np.zeros(64)})


@pytest.mark.parametrize("shape", [(1,) * 9, (1 << 31, 2), (1 << 40,)])
def test_shapes_of_a_damaged_file(tmp_path: Path, shape: tuple[int, ...]) -> None:
    model = build_model([passing((64,), ElementType.F32)])
    stage = model.net[0].parameter[0]
    outputs = (replace(stage.output_tensor[0], shape=(Shape(shape),)),)
    path = tmp_path / "net.bmodel"
    path.write_bytes(write_model(replace(model, net=(replace(model.net[0], parameter=(replace(stage, output_tensor=outputs),)),))))
    with pytest.raises(InputError, match=r"tensor y: its shape .* is larger than any device's"):
        RUNNER.run(path, {"x": np.zeros(64)})


def test_what_the_runtime_says_is_told(tmp_path: Path) -> None:
    """A store beyond the neurons, which the runtime finds while it loads the file."""
    net = scaled_sum()
    short = replace(net, outputs=net.outputs[:1], neuron_bytes=net.outputs[1].address - NEURONS)
    with pytest.raises(PluginError, match=r"runtime fails; its last words: .*overflow, valid range"):
        RUNNER.run(_file(tmp_path, short), {"a": A, "b": B})


def test_a_network_that_hangs_is_ended(tmp_path: Path) -> None:
    """Its DMA command waits for a TIU command 5 (the low 20 bits of bytes 8 to 12) that never comes."""
    net = passing((64,), ElementType.F32)
    dma = bytearray(net.groups[0].dma)
    dma[8] = 5
    waiting = replace(net.groups[0], dma=bytes(dma))
    with pytest.raises(PluginError, match=r"not done after 1.5 s"):
        BmrtRunner(timeout=1.5).run(_file(tmp_path, replace(net, groups=(waiting,))), {"x": np.zeros(64)})


def test_no_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TPUMLIR_CMODEL", str(tmp_path / "none"))
    with pytest.raises(InputError, match="no CModel library of bm1684x; run: tpumlir bmrt fetch-cmodel"):
        RUNNER.run(_file(tmp_path, scaled_sum()), {"a": A, "b": B})

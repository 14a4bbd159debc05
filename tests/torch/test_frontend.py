"""Models that PyTorch wrote, read without PyTorch: the recipe is make_fixtures.py, the outputs are PyTorch's own."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_core.ir import Module
from tpumlir_core.ir.evaluate import evaluate_module
from tpumlir_core.plugins.extension_points import ImportOptions
from tpumlir_torch.examples import write_script
from tpumlir_torch.frontend import TorchFrontend

DATA = Path(__file__).parent / "data"
SHAPE = (2, 3, 6, 7)


def load(name: str, **options: object) -> Module:
    return TorchFrontend().load(DATA / name, ImportOptions(**options))  # type: ignore[arg-type]


def outputs(module: Module, expected: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """(ours, PyTorch's) for every output."""
    arrays = np.load(DATA / f"{expected}.npz")
    ours = evaluate_module(module, {"x": arrays["x"]})
    return [(ours[value.name], arrays[f"output{i}"]) for i, value in enumerate(module.function.outputs)]


@pytest.mark.parametrize("name", ["exported.pt2", "dynamic.pt2", "traced.pt", "frozen.pt"])
def test_network(name: str) -> None:
    module = load(name, input_shapes=(SHAPE,))
    pairs = outputs(module, "network")
    assert len(pairs) == 2
    for ours, expected in pairs:
        np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_scripted_modules_loops_and_dictionaries() -> None:
    pairs = outputs(load("scripted.pt", input_shapes=((4, 6),)), "scripted")
    assert len(pairs) == 2
    for ours, expected in pairs:
        np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_a_branch_on_the_data_is_refused_with_its_condition() -> None:
    with pytest.raises(UnsupportedError, match=r"decides\.pt: a number that depends on the input's data, tensor gt"):
        load("decides.pt", input_shapes=((2, 3),))


def test_names_are_the_source_s() -> None:
    exported = [operation.name for operation in load("exported.pt2").function.operations]
    assert {"x", "conv.weight", "conv2d", "batch_norm", "linear", "max_pool2d"} <= set(exported)
    traced = [operation.name for operation in load("traced.pt").function.operations]
    assert {"x", "conv.weight", "conv.convolution", "norm.batch_norm", "head.linear", "max_pool2d"} <= set(traced)


def test_a_trace_remembers_its_shape_and_a_script_does_not() -> None:
    assert load("traced.pt").function.operations[0].output.shape == SHAPE
    with pytest.raises(InputError, match=r"input x: its shape unknown is not fixed; pass --input-shapes"):
        load("frozen.pt")


def test_an_export_holds_for_its_own_shape_alone() -> None:
    with pytest.raises(InputError, match=r"input x: axis 2 is 8, but the program was exported for 6 alone"):
        load("exported.pt2", input_shapes=((2, 3, 8, 7),))


def test_open_extents_are_the_user_s() -> None:
    with pytest.raises(InputError, match=r"input x: its shape \[\?, 3, 6, 7\] is not fixed"):
        load("dynamic.pt2")
    module = load("dynamic.pt2", input_shapes=((5, *SHAPE[1:]),))
    assert module.function.outputs[0].shape == (5, 5)


def test_other_shapes_of_a_trace_give_other_networks() -> None:
    module = load("traced.pt", input_shapes=((1, 3, 9, 9),))
    assert [value.shape for value in module.function.outputs] == [(1, 5), (1, 4, 5, 5)]


def test_cut_at_outputs() -> None:
    module = load("exported.pt2", output_names=("relu_",))
    assert [value.name for value in module.function.outputs] == ["relu_"]
    assert "linear" not in {operation.name for operation in module.function.operations}


def test_types_of_inputs() -> None:
    assert load("traced.pt", input_types=("int32",)).function.operations[0].output.type.element.value == "si32"
    with pytest.raises(InputError, match="2 input types are given"):
        load("traced.pt", input_types=("int32", "float32"))


def test_weights_without_a_program() -> None:
    with pytest.raises(InputError, match=r"weights or a pickled module, without a program.*export the model: torch\.export\.save"):
        load("weights.pt")


def test_files_are_recognized_by_suffix_or_content(tmp_path: Path) -> None:
    frontend = TorchFrontend()
    for source in (DATA / "exported.pt2", DATA / "traced.pt"):
        renamed = tmp_path / "model.bin"
        renamed.write_bytes(source.read_bytes())
        assert frontend.recognizes(renamed, renamed.read_bytes()[:4096])
    assert not frontend.recognizes(tmp_path / "photos.zip", b"PK\x03\x04" + bytes(26) + b"photos/one.jpg")


def test_operators_are_listed() -> None:
    names = TorchFrontend().operators()
    assert list(names) == sorted(set(names))
    assert {"aten::conv2d", "aten::scaled_dot_product_attention", "prim::NumToTensor"} <= set(names)
    assert len(names) > 250


def test_without_the_framework_running_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(UnsupportedError, match=r"needs PyTorch, which is not installed: pip install 'tpumlir-torch\[framework\]'"):
        TorchFrontend().run(DATA / "traced.pt", {"x": np.zeros(SHAPE, np.float32)}, ImportOptions())


@pytest.mark.parametrize(("call", "expected"), [
    ("torch.to(x, dtype=4, layout=0, device=torch.device(\"cpu\"))", [-1, 0, 2]),
    ("torch.to(x, torch.device(\"cpu\"), 4)", [-1, 0, 2]),
    ("torch.to(x, 4, False, False, None)", [-1, 0, 2]),
    ("torch.add(x, x, alpha=2)", [-4.5, 1.5, 8.4]),
    ("torch.max(x, torch.zeros([3], dtype=6))", [0, 0.5, 2.8]),
    ("(torch.max(x, 0, True))[0]", [2.8]),
    ("torch.arange(3, dtype=6, layout=None, device=torch.device(\"cpu\"), pin_memory=False)", [0, 1, 2]),
    ("torch.sum(x, dtype=None)", 1.8),
    ("torch.mul(x, torch.sub(torch.size(x, 0), 1))", [-3, 1, 5.6]),
    ("torch.clamp(x, None, 1)", [-1.5, 0.5, 1]),
    ("torch.stack([x, x], -1)", [[-1.5, -1.5], [0.5, 0.5], [2.8, 2.8]]),
])
def test_calls_of_torchscript(call: str, expected: object, tmp_path: Path) -> None:
    source = write_script(tmp_path / "example.pt").path
    program = f"class Net(Module):\n  weight : Tensor\n  def forward(self: __torch__.Net,\n    x: Tensor) -> Tensor:\n    return {call}\n"
    path = tmp_path / "call.pt"
    with zipfile.ZipFile(source) as given, zipfile.ZipFile(path, "w") as made:
        for name in (name for name in given.namelist() if "traced_inputs" not in name):
            made.writestr(name, program if name.endswith(".py") else given.read(name))
    module = TorchFrontend().load(path, ImportOptions(input_shapes=((3,),)))
    ours = evaluate_module(module, {"x": np.array([-1.5, 0.5, 2.8], np.float32)})[module.function.outputs[0].name]
    np.testing.assert_allclose(ours, np.asarray(expected, np.float32), rtol=1e-6)

"""Running models in PyTorch, modules in memory, and custom operators; against PyTorch's own loaders."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tpumlir_core import api
from tpumlir_core.cli.main import main as command
from tpumlir_core.custom import Operator, operator, top
from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_core.ir.evaluate import evaluate_module
from tpumlir_core.ir.operator_lookup import OperatorSet
from tpumlir_core.plugins.extension_points import ImportOptions
from tpumlir_torch import from_module
from tpumlir_torch.frontend import TorchFrontend

torch = pytest.importorskip("torch", reason="PyTorch is not installed: make test-torch")

DATA = Path(__file__).parent / "data"
OPTIONS = ImportOptions(input_shapes=((2, 3, 6, 7),))


def theirs(name: str, x: Any) -> list[np.ndarray]:
    """The outputs as PyTorch's own loader runs the file."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        module = torch.export.load(DATA / name).module() if name.endswith("pt2") else torch.jit.load(DATA / name)
        return [tensor.numpy() for tensor in module(x)]


@pytest.mark.parametrize("name", ["exported.pt2", "dynamic.pt2", "traced.pt", "frozen.pt"])
def test_run_gives_what_pytorch_s_loader_gives_and_what_lies_between(name: str) -> None:
    x = torch.randn(2, 3, 6, 7)
    module = TorchFrontend().load(DATA / name, OPTIONS)
    found = TorchFrontend().run(DATA / name, {"x": x.numpy()}, OPTIONS)
    for value, expected in zip(module.function.outputs, theirs(name, x), strict=True):
        np.testing.assert_allclose(found[value.name], expected, atol=1e-6)
    ours = evaluate_module(module, {"x": x.numpy()})
    common = set(found) & set(ours)
    assert len(common) >= 8
    for tensor in sorted(common):
        np.testing.assert_allclose(ours[tensor], found[tensor], atol=1e-5, err_msg=tensor)


def test_transform_verifies_against_pytorch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "in.npz", x=np.random.default_rng(0).normal(size=(2, 3, 6, 7)).astype(np.float32))
    arguments = ["transform", DATA / "exported.pt2", "--mlir", tmp_path / "m.mlir", "--test-input", tmp_path / "in.npz", "--json"]
    with pytest.raises(SystemExit) as ended:
        command([str(argument) for argument in arguments])
    assert ended.value.code in (0, None), capsys.readouterr().err
    assert json.loads(capsys.readouterr().out)
    assert (tmp_path / "m.mlir").exists()


class Small(torch.nn.Module):  # type: ignore[misc, name-defined]
    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU())

    def forward(self, x: Any) -> Any:
        return self.inner(x).mean((2, 3))


def test_a_module_in_memory_compiles() -> None:
    module, x = Small().eval(), torch.randn(1, 3, 8, 8)
    imported = from_module(module, (x,))
    assert imported.name == "Small"
    ours = evaluate_module(imported, {"x": x.numpy()})[imported.function.outputs[0].name]
    np.testing.assert_allclose(ours, module(x).detach().numpy(), atol=1e-5)
    assert api.deploy(from_module(module, input_shapes=[(1, 3, 8, 8)]), chip="bm1684x").size > 0


def test_the_page_s_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Path(__file__).parent.parent.parent / "docs" / "frontends" / "torch.md"
    monkeypatch.chdir(tmp_path)
    exec(page.read_text().split("```python\n")[1].split("```")[0], {})
    assert (tmp_path / "model.bmodel").stat().st_size > 0


def test_a_module_that_cannot_be_exported() -> None:
    with pytest.raises(InputError, match=r"training mode; call eval\(\)"):
        from_module(Small().train(), input_shapes=[(1, 3, 8, 8)])
    with pytest.raises(InputError, match="give either example_inputs or input_shapes"):
        from_module(Small().eval())
    with pytest.raises(InputError, match="PyTorch cannot export Small"):
        from_module(Small().eval(), input_shapes=[(1, 5, 8, 8)])


@operator("acme.SwapChannel")
class SwapChannel(Operator):
    """Channel i of the result is channel ``order[i]`` of the operand."""

    order: tuple[int, ...]
    sources = {"torch": "acme::swap"}

    def infer(self, types: Any) -> Any:
        return [types[0]]

    def reference(self, image: np.ndarray) -> np.ndarray:
        return image[:, list(self.order)]

    def decompose(self, builder: Any) -> Any:
        parts = [builder(top.Slice, self.input, axes=(1,), offset=(i,), ends=(i + 1,), steps=(1,)) for i in self.order]
        return builder(top.Concat, *parts, axis=1)


@torch.library.custom_op("acme::swap", mutates_args=())  # type: ignore[untyped-decorator]
def swap(image: torch.Tensor, order: list[int]) -> torch.Tensor:
    return image[:, order].clone()


@swap.register_fake  # type: ignore[untyped-decorator]
def _(image: torch.Tensor, order: list[int]) -> torch.Tensor:
    return torch.empty_like(image)


class Swapped(torch.nn.Module):  # type: ignore[misc, name-defined]
    def forward(self, x: Any) -> Any:
        return torch.ops.acme.swap(torch.relu(x), [2, 0, 1]) * 2


@pytest.mark.parametrize("suffix", [".pt2", ".pt"])
def test_custom_operators(suffix: str, tmp_path: Path) -> None:
    x, path = torch.randn(1, 3, 4, 5), tmp_path / f"swapped{suffix}"
    if suffix == ".pt2":
        torch.export.save(torch.export.export(Swapped().eval(), (x,)), path)
    else:
        torch.jit.save(torch.jit.trace(Swapped().eval(), x), path)
    with pytest.raises(UnsupportedError, match="acme::swap"):
        TorchFrontend().load(path, ImportOptions())
    options = ImportOptions(operators=OperatorSet(lambda: ([SwapChannel], ())))
    module = TorchFrontend().load(path, options)
    expected = Swapped()(x).numpy()
    name = module.function.outputs[0].name
    np.testing.assert_allclose(evaluate_module(module, {"x": x.numpy()})[name], expected, atol=1e-6)
    np.testing.assert_allclose(TorchFrontend().run(path, {"x": x.numpy()}, options)[name], expected, atol=1e-6)

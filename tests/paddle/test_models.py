"""Paddle models, imported, against Paddle itself. They are made by the Python that has it, which may be an isolated one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Command
from tpumlir_core import api
from tpumlir_core.checks import interpret
from tpumlir_core.errors import InputError, TpumlirError
from tpumlir_core.plugins.extension_points import ImportOptions
from tpumlir_core.stages import Session
from tpumlir_paddle.examples import write_example
from tpumlir_paddle.frontend import PaddleFrontend

RECIPE = Path(__file__).parent / "make_models.py"
SHAPES = ((1, 3, 12, 10), (1, 5))


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the models of make_models.py."""
    try:
        python = PaddleFrontend.framework.python()
    except TpumlirError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("models")
    for form in ("old", "new"):
        done = subprocess.run([python, RECIPE, folder, form], capture_output=True, text=True, check=False, env={**os.environ})
        assert done.returncode == 0, done.stderr[-2000:]
    return folder


def program(models: Path, form: str) -> Path:
    return models / f"{form}.{'pdmodel' if form == 'old' else 'json'}"


@pytest.mark.parametrize("form", ["old", "new"])
def test_models_compute_what_paddle_does(models: Path, form: str) -> None:
    with np.load(models / f"{form}.npz") as archive:
        arrays = dict(archive)
    session, path, options = Session(), program(models, form), ImportOptions(input_shapes=SHAPES)
    module = api.transform(path, options=options, session=session)
    inputs = {name: arrays[name] for name in ("image", "extra")}
    assert [op.name for op in module.function.operations if op.opcode == "top.Input"] == ["image", "extra"]
    ours = interpret(module, inputs, "", session)
    theirs = api.run(path, inputs, options=options, dump_all=True, session=session)
    for value, expected in zip(module.function.outputs, (arrays["y"], arrays["z"]), strict=True):
        np.testing.assert_allclose(ours[value.name], expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(theirs[value.name], expected, rtol=1e-4, atol=1e-5)
    between = [name for name in ours if name in theirs and ours[name].shape == theirs[name].shape]
    assert len(between) >= (8 if form == "old" else 2)
    for name in between:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-3, atol=1e-4, err_msg=name)
    assert not any(op.opcode == "top.Permute" for op in module.function.operations)


def test_names_are_the_programs(models: Path) -> None:
    module = api.transform(program(models, "old"), options=ImportOptions(input_shapes=SHAPES))
    names = [operation.name for operation in module.function.operations if operation.opcode != "top.Weight"]
    assert not any(name.startswith(("p2o.", "Add.", "Conv.")) for name in names)
    assert any(name.startswith("leaky_relu") for name in names)


def test_a_part_of_a_network(models: Path) -> None:
    options = ImportOptions(input_shapes=SHAPES)
    names = [op.name for op in api.transform(program(models, "old"), options=options).function.operations]
    middle = next(name for name in names if name.startswith("leaky_relu"))
    part = ImportOptions(input_shapes=SHAPES, output_names=(middle,))
    session = Session()
    module = api.transform(program(models, "old"), options=part, session=session)
    assert [value.name for value in module.function.outputs] == [middle]
    with np.load(models / "old.npz") as archive:
        inputs = {name: archive[name] for name in ("image", "extra")}
    inputs = {op.name: inputs[op.name] for op in module.function.operations if op.opcode == "top.Input"}
    theirs = api.run(program(models, "old"), inputs, options=part, session=session)
    np.testing.assert_allclose(interpret(module, inputs, "", session)[middle], theirs[middle], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", ["old", "new"])
def test_open_shapes_must_be_given(models: Path, form: str) -> None:
    with pytest.raises(InputError, match=r"input image: its shape \[\?, 3, \?, \?\] is not fixed; pass --input-shapes$"):
        api.transform(program(models, form))


def test_the_command_says_nothing_of_its_own(models: Path, tpumlir: Command, tmp_path: Path) -> None:
    write_example(tmp_path / "work" / "net.pdmodel")
    made = tpumlir("transform", "net.pdmodel", "--mlir", "net.mlir")
    assert (made.returncode, made.stderr) == (0, "")
    (tmp_path / "work" / "net.pdiparams").rename(tmp_path / "work" / "other")
    again = tpumlir("transform", "net.pdmodel", "--model-data", "other", "--mlir", "again.mlir")
    assert (again.returncode, again.stderr) == (0, "")

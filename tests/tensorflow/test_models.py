"""TensorFlow models, imported, against TensorFlow itself. They are made by the Python that has it, which may be an isolated one."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Command
from tpumlir_core import api
from tpumlir_core.checks import interpret
from tpumlir_core.errors import InputError, TpumlirError, UnsupportedError
from tpumlir_core.ir import Array, Module
from tpumlir_core.plugins.extension_points import ImportOptions
from tpumlir_core.stages import Session
from tpumlir_tensorflow.child.more_operators import handlers
from tpumlir_tensorflow.frontend import TensorFlowFrontend

EXECUTED = Path("/tmp/tpumlir_executed")
RECIPE = Path(__file__).parent / "make_models.py"


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the models of make_models.py."""
    framework = TensorFlowFrontend.framework
    try:
        python = framework.python()
    except TpumlirError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("models")
    done = subprocess.run([python, RECIPE, folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


def facts(models: Path, name: str) -> tuple[dict[str, Array], dict[str, Array]]:
    """Inputs and outputs of a model by name."""
    with np.load(models / f"{name}.npz") as archive:
        both = [{key.partition(":")[2]: archive[key] for key in archive.files if key.startswith(side)} for side in ("in:", "out:")]
    return both[0], both[1]


def check(path: Path, inputs: dict[str, Array], expected: dict[str, Array], options: ImportOptions) -> Module:
    """A model imported and run by its framework gives what is expected."""
    session = Session()
    module = api.transform(path, options=options, session=session)
    assert sorted(value.name for value in module.function.outputs) == sorted(expected)
    ours, theirs = interpret(module, inputs, "", session), api.run(path, inputs, options=options, session=session)
    for name, array in expected.items():
        assert ours[name].shape == array.shape
        np.testing.assert_allclose(theirs[name], array, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(ours[name], array, rtol=1e-4, atol=1e-5)
    return module


def movements(module: Module) -> int:
    return sum(operation.opcode == "top.Permute" for operation in module.function.operations)


@pytest.mark.parametrize("file", ["functional.keras", "functional.h5"])
def test_keras_models(models: Path, file: str) -> None:
    inputs, expected = facts(models, "functional")
    options = ImportOptions(input_shapes=tuple(array.shape for array in inputs.values()))
    module = check(models / file, inputs, expected, options)
    assert [op.name for op in module.function.operations if op.opcode == "top.Input"] == ["image", "extra"]
    assert movements(module) == 2  # of the image, and of what comes out as one


def test_a_sequential_model(models: Path) -> None:
    inputs, expected = facts(models, "sequential")
    check(models / "sequential.keras", inputs, expected, ImportOptions(input_shapes=((1, 8, 8, 2),)))


def test_an_exported_keras_model(models: Path) -> None:
    inputs, expected = facts(models, "exported")
    shapes = {"image": (1, 12, 10, 3), "extra": (1, 5)}
    check(models / "exported", inputs, expected, ImportOptions(input_shapes=tuple(shapes[name] for name in sorted(shapes))))


@pytest.mark.parametrize("path", ["module", "module/saved_model.pb"])
def test_a_saved_model_of_open_shape(models: Path, path: str) -> None:
    inputs, expected = facts(models, "module")
    check(models / path, inputs, expected, ImportOptions(input_shapes=((2, 7, 5, 2),)))


def test_a_frozen_graph_and_parts_of_it(models: Path) -> None:
    inputs, found = facts(models, "frozen")
    shapes = ((1, 6, 6, 2), (3,))
    check(models / "frozen.pb", inputs, {name: found[name] for name in ("net/pooled", "counted")}, ImportOptions(input_shapes=shapes))
    x = {"x": inputs["x"]}
    for names in (("gate", "halves:1"), ("gate:0", "halves_1")):
        options = ImportOptions(input_shapes=shapes, output_names=names)
        if names == ("gate", "halves:1"):
            check(models / "frozen.pb", x, {name: found[name] for name in ("gate", "halves_1")}, options)
        else:
            with pytest.raises(InputError, match="output name halves_1 is no tensor of this model"):
                api.transform(models / "frozen.pb", options=options)


def test_a_graph_begun_in_the_middle(models: Path) -> None:
    _, found = facts(models, "frozen")
    given = {"gate": found["gate"], "halves_1": found["halves_1"]}
    options = ImportOptions(input_shapes=((1, 6, 6, 1), (1, 6, 6, 1)), input_names=("gate", "halves:1"), output_names=("net/pooled",))
    module = check(models / "frozen.pb", given, {"net/pooled": found["net/pooled"]}, options)
    assert [op.name for op in module.function.operations if op.opcode == "top.Input"] == ["gate", "halves_1"]


@pytest.mark.parametrize(
    ("file", "options", "message"),
    [
        ("frozen.pb", ImportOptions(), r"frozen.pb: input x: its shape \[\?, 6, 6, 2\] is not fixed; pass --input-shapes$"),
        ("frozen.pb", ImportOptions(input_shapes=((1, 6, 6, 2),)), "1 input shapes are given, but the model has 2 inputs"),
        ("frozen.pb", ImportOptions(input_shapes=((1, 6, 5, 2), (3,))), r"shape \[1, 6, 5, 2\] does not fit the model's \[\?, 6, 6, 2\]"),
        ("frozen.pb", ImportOptions(output_names=("nothing",)), "output name nothing is no tensor of this model"),
        ("frozen.pb", ImportOptions(((1, 6, 6, 1),), input_names=("gate",), output_names=("net/pooled",)), "need the input x too"),
        ("strange.pb", ImportOptions(), "operators that are not supported: .*net/beta.*net/zeta"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line(models: Path, file: str, options: ImportOptions, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        api.transform(models / file, options=options)
    assert "\n" not in str(caught.value)


def test_recurrent_layers_are_refused_by_name(models: Path) -> None:
    with pytest.raises(InputError, match=r"recurrent.keras: loops and recurrent layers are not supported.*lstm.*while"):
        api.transform(models / "recurrent.keras", options=ImportOptions(input_shapes=((1, 6, 3),)))


@pytest.mark.parametrize("file", ["lambda.keras", "lambda.h5"])
def test_code_in_a_file_is_not_run(models: Path, file: str) -> None:
    EXECUTED.unlink(missing_ok=True)
    with pytest.raises(UnsupportedError, match=r"it holds Python code, which is not run.*Lambda \(layer evil\)"):
        api.transform(models / file, options=ImportOptions(input_shapes=((1, 3),)))
    assert not EXECUTED.exists()


@pytest.mark.parametrize(("file", "message"), [("external.h5", "is a link to another file"), ("virtual.h5", "lies in another file")])
def test_parts_of_a_file_that_are_elsewhere_are_not_read(models: Path, file: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        api.transform(models / file, options=ImportOptions(input_shapes=((1, 12, 10, 3), (1, 5))))


def test_the_command_says_nothing_of_its_own(models: Path, tpumlir: Command) -> None:
    made = tpumlir("transform", models / "module", "--input-shapes", "[[2,7,5,2]]", "--mlir", "net.mlir")
    assert (made.returncode, made.stderr) == (0, "")


def test_the_operators_are_those_of_tf2onnx() -> None:
    if importlib.util.find_spec("tf2onnx") is None:
        pytest.skip("tf2onnx is not in this environment")
    from tf2onnx import constants, tfonnx  # noqa: F401
    from tf2onnx.handler import tf_op

    assert set(TensorFlowFrontend().operators()) <= set(tf_op.create_mapping(17, [])) | set(handlers())

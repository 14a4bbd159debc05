"""A frontend that converts in a process: a made-up format, which is an ONNX file with a letter before it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tpumlir_core import api
from tpumlir_core.conversion import ConvertingFrontend, Framework
from tpumlir_core.errors import InputError, PluginError, UnsupportedError
from tpumlir_core.plugins import PluginManager
from tpumlir_core.plugins.extension_points import ImportOptions
from tpumlir_core.stages import Session
from tpumlir_onnx.examples import SHAPE, write_example

CHILD = '''
"""Converts a file by dropping its first byte, and counts how often it is called."""

import pathlib


class Refused(Exception):
    items = ()


def convert(folder, model, log):
    with open(log, "a") as file:
        file.write("convert ")
    data = pathlib.Path(model).read_bytes()
    if data[:1] != b"a":
        raise Refused("it begins with no a")
    pathlib.Path(folder, "converted.onnx").write_bytes(data[1:])
    return {"file": "converted.onnx"}


def run(folder, samples, wanted, model, log):
    import numpy as np
    with open(log, "a") as file:
        file.write(f"run {len(samples)} ")
    files = []
    for number, sample in enumerate(samples):
        with np.load(sample) as archive:
            files.append(f"{folder}/{number}.npz")
            np.savez(files[-1], t0=archive["i0"].astype(np.float64) * 2, t1=archive["i0"] * 3)
    return {"tensors": ["called otherwise", "r"], "outputs": 1, "files": files}
'''


class Lettered(ConvertingFrontend):
    framework = Framework("Letters", "acme-letters", ())
    through = "onnx"
    child = "acme_letters.child"

    def recognizes(self, path: Path, head: bytes) -> bool:
        return head.startswith(b"a")

    def operators(self) -> Sequence[str]:
        return ["Letter"]

    def files(self, path: Path, options: ImportOptions) -> Sequence[Path]:
        return [path]

    def examine(self, path: Path, options: ImportOptions) -> Mapping[str, Any]:
        if path.read_bytes()[:1] == b"z":
            raise InputError("looked at, and not liked")
        return {"model": str(path), "log": str(path.with_suffix(".log"))}


@pytest.fixture
def model(site: Any, tmp_path: Path) -> Iterator[Path]:
    """A model of the format; the package that converts it is installed."""
    package = site.folder / "acme_letters"
    package.mkdir()
    (package / "__init__.py").write_text('"""A plugin."""\n')
    (package / "child.py").write_text(CHILD)
    write_example(tmp_path / "example.onnx")
    path = tmp_path / "model.letters"
    path.write_bytes(b"a" + (tmp_path / "example.onnx").read_bytes())
    yield path
    sys.modules.pop("acme_letters", None)


def test_operations_are_called_what_the_converted_file_calls_its_tensors(model: Path) -> None:
    module = Lettered().load(model, ImportOptions())
    assert [operation.name for operation in module.function.operations] == ["x", "w", "c", "r", "y"]
    assert (module.name, [value.shape for value in module.function.outputs]) == ("model", [SHAPE])
    assert Lettered().load(model, ImportOptions(name="other")).name == "other"


def test_options_reach_the_frontend_that_reads(model: Path) -> None:
    module = Lettered().load(model, ImportOptions(output_names=("c",), input_types=("int32",)))
    assert [value.name for value in module.function.outputs] == ["c"]
    module = Lettered().load(model, ImportOptions(input_names=("c",), input_shapes=(SHAPE,), output_names=("r",)))
    assert [operation.name for operation in module.function.operations] == ["c", "r"]


def test_one_conversion_serves_loading_and_running(model: Path) -> None:
    frontend = Lettered()
    frontend.load(model, ImportOptions())
    given = np.ones(SHAPE, np.float32)
    tensors = frontend.run(model, {"x": given}, ImportOptions())
    assert {name: float(array.max()) for name, array in tensors.items()} == {"y": 2.0, "r": 3.0}
    assert {array.dtype for array in tensors.values()} == {np.dtype(np.float32)}
    assert model.with_suffix(".log").read_text() == "convert run 1 "
    results = list(frontend.run_each(model, [{"x": given * n} for n in range(3)], ImportOptions()))
    assert [float(result["y"].max()) for result in results] == [0.0, 2.0, 4.0]
    assert model.with_suffix(".log").read_text() == "convert run 1 run 3 "
    frontend.load(model, ImportOptions(output_names=("r",)))
    assert model.with_suffix(".log").read_text() == "convert run 1 run 3 convert "


def test_what_the_framework_cannot_tell_is_said(model: Path) -> None:
    frontend = Lettered()
    module = frontend.load(model, ImportOptions(output_names=("r", "y")))
    assert [value.name for value in module.function.outputs] == ["r", "y"]
    with pytest.raises(UnsupportedError, match="Letters cannot tell what is in y, where the network was cut"):
        frontend.run(model, {"x": np.ones(SHAPE, np.float32)}, ImportOptions(output_names=("r", "y")))


def test_a_changed_file_is_converted_again(model: Path) -> None:
    frontend = Lettered()
    frontend.load(model, ImportOptions())
    model.write_bytes(b"b" + model.read_bytes())
    with pytest.raises(InputError, match=r"^.*model.letters: it begins with no a$"):
        frontend.load(model, ImportOptions())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"z", "model.letters: looked at, and not liked$"),
        (b"b", "model.letters: it begins with no a$"),
        (b"anonsense", "model.letters: not a valid ONNX file"),
    ],
)
def test_errors_name_the_model_and_no_place_in_between(model: Path, content: bytes, message: str) -> None:
    model.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        Lettered().load(model, ImportOptions())
    assert str(caught.value).count("/") == str(model).count("/")


def test_inputs_are_checked_before_the_framework_sees_them(model: Path) -> None:
    with pytest.raises(InputError, match="inputs x are missing; the model takes x"):
        Lettered().run(model, {"z": np.zeros(SHAPE)}, ImportOptions())
    with pytest.raises(InputError, match=r"input x: shape \[2\] is given, the model takes \[1, 3, 9, 7\]"):
        Lettered().run(model, {"x": np.zeros(2)}, ImportOptions())


def test_without_the_frontend_that_reads_the_reason_is_told(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TPUMLIR_DISABLE", "onnx")
    with pytest.raises(PluginError, match=r"Letters models are read by the frontend onnx: .*disabled"):
        Lettered().load(model, ImportOptions())


def test_unsupported_operators_are_listed_as_by_the_frontend_that_reads(model: Path, tmp_path: Path) -> None:
    import onnx
    from onnx import helper

    proto = onnx.load(tmp_path / "example.onnx")
    proto.graph.node[1].CopyFrom(helper.make_node("Strange", ["c"], ["r"], "net/strange", domain="acme"))
    proto.opset_import.append(helper.make_opsetid("acme", 1))
    model.write_bytes(b"a" + proto.SerializeToString())
    with pytest.raises(UnsupportedError, match=r"model.letters: operators that are not supported: Strange \(node net/strange"):
        Lettered().load(model, ImportOptions())


def test_the_library_runs_it_as_any_frontend(model: Path, site: Any) -> None:
    plugin = 'import sys\nfrom tests.conversion.test_frontend import Lettered\n'
    site.install("acme-letters", {"tpumlir.frontends": {"letters": "acme_lettered:Lettered"}}, {"acme_lettered": plugin})
    session = Session(PluginManager.discover({"TPUMLIR_PLUGINS": "letters,onnx,numpy"}))
    given = np.ones(SHAPE, np.float32)
    assert list(api.run(model, {"x": given}, session=session)) == ["y"]
    assert set(api.run(model, {"x": given}, session=session, dump_all=True)) == {"y", "r"}
    assert [op.name for op in api.transform(model, session=session, frontend="letters").function.operations] == ["x", "w", "r", "y"]

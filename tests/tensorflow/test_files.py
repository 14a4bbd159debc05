"""TensorFlow models looked at without TensorFlow: recognised by content, refused when damaged or dangerous."""

from __future__ import annotations

import json
import marshal
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweeps.mutants import broken_bytes
from tests.conftest import Command
from tpumlir_core.conversion.wire import encoded
from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_core.plugins.extension_points import ImportOptions
from tpumlir_onnx.examples import write_example as write_onnx
from tpumlir_onnx.frontend import OnnxFrontend
from tpumlir_tensorflow.examples import write_example
from tpumlir_tensorflow.files import Kind, find_model, kind_of
from tpumlir_tensorflow.frontend import TensorFlowFrontend

OPTIONS = ImportOptions()
CONFIG: Mapping[str, Any] = {
    "module": "keras", "class_name": "Sequential",
    "config": {"name": "net", "layers": [{"module": "keras.layers", "class_name": "Dense", "config": {"name": "dense", "units": 2}}]},
}  # fmt: skip


def node(name: str, operation: str, *inputs: str) -> tuple[int, bytes]:
    return 1, encoded((1, name), (2, operation), *((3, one) for one in inputs))


def saved_model(folder: Path, *nodes: tuple[int, bytes], asset: str = "", variables: bool = False) -> Path:
    """A SavedModel of a graph with one signature."""
    folder.mkdir(parents=True)
    info = encoded((1, "y:0"), (2, 1))
    signature = encoded((1, "serving_default"), (2, encoded((2, encoded((1, "y"), (2, info))))))
    graph = encoded(*(nodes or (node("x", "Placeholder"), node("y", "Relu", "x"))))
    meta = encoded((2, graph), *([(6, encoded((2, asset)))] if asset else []), (5, signature))
    (folder / "saved_model.pb").write_bytes(encoded((1, 1), (2, meta)))
    if variables:
        (folder / "variables").mkdir()
        (folder / "variables" / "variables.index").write_bytes(b"index")
    return folder


def superblock(size: int = 96) -> bytes:
    """The begin of an HDF5 file of version 0, and zeros up to its size."""
    head = b"\x89HDF\r\n\x1a\n" + bytes([0, 0, 0, 0, 0, 8, 8, 0]) + struct.pack("<HHI4Q", 4, 16, 0, 0, 1 << 63, size, 1 << 63)
    return head + bytes(size - len(head))


def keras_file(path: Path, config: Any = CONFIG, **entries: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", config if isinstance(config, str) else json.dumps(config))
        archive.writestr("model.weights.h5", superblock())
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


def refusal(path: Path, options: ImportOptions = OPTIONS) -> str:
    with pytest.raises(InputError) as caught:
        TensorFlowFrontend().examine(path, options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- recognition ------------------------------------------------------------------------------------------------------------
def test_kinds_are_known_by_what_they_hold(tmp_path: Path) -> None:
    graph = write_example(tmp_path / "graph.bin").path
    keras, hdf5 = keras_file(tmp_path / "net.zip"), tmp_path / "net.dat"
    hdf5.write_bytes(superblock())
    folder = saved_model(tmp_path / "saved")
    kinds = {Kind.FROZEN_GRAPH: graph, Kind.KERAS: keras, Kind.HDF5: hdf5, Kind.SAVED_MODEL: folder}
    assert {kind: find_model(path).kind for kind, path in kinds.items()} == {kind: kind for kind in kinds}
    assert find_model(folder / "saved_model.pb").path == folder


def test_onnx_models_are_not_taken_whatever_they_are_called(tmp_path: Path) -> None:
    data = write_onnx(tmp_path / "net.onnx").path.read_bytes()
    for name in ("net.pb", "net.onnx", "net"):
        assert kind_of(tmp_path / name, data[:4096]) is None
    graph = write_example(tmp_path / "graph.pb").path
    assert not OnnxFrontend().recognizes(graph, graph.read_bytes()[:4096])
    saved = saved_model(tmp_path / "saved") / "saved_model.pb"
    assert not OnnxFrontend().recognizes(saved, saved.read_bytes()[:4096])


@pytest.mark.parametrize("head", [b"", b"PK\x03\x04" + bytes(26) + b"archive/data.pkl", b"{}", b"\x0a\x05hello", bytes(64)])
def test_other_files_are_not_taken(tmp_path: Path, head: bytes) -> None:
    assert kind_of(tmp_path / "file.bin", head) is None


@pytest.mark.parametrize("name", ["net.pb", "net.keras", "net.h5", "net.hdf5"])
def test_damaged_files_are_known_by_their_suffix(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"nonsense")
    assert TensorFlowFrontend().recognizes(path, b"nonsense")
    assert refusal(path)


def test_without_tensorflow_both_ways_to_get_it_are_told(tmp_path: Path, tpumlir: Command) -> None:
    import importlib.util

    if importlib.util.find_spec("tensorflow"):
        pytest.skip("TensorFlow is installed")
    write_example(tmp_path / "work" / "net.pb")
    told = tpumlir("transform", "net.pb", "--mlir", "net.mlir", TPUMLIR_ENVIRONMENTS=str(tmp_path))
    assert (told.returncode, told.stderr.count("\n")) == (2, 1)
    assert "net.pb: it takes TensorFlow, and there is no module tensorflow: pip install 'tpumlir-tensorflow[framework]'" in told.stderr
    assert "tpumlir plugins install tpumlir-tensorflow --isolated" in told.stderr


# --- graphs -------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("operation", ["PyFunc", "EagerPyFunc", "PyFuncStateless", "ReadFile", "WriteFile", "PrintV2"])
def test_operations_that_reach_further_are_refused(tmp_path: Path, operation: str) -> None:
    graph = (node("x", "Placeholder"), node("bad", operation, "x"), node("y", "Relu", "bad"))
    frozen = tmp_path / "net.pb"
    frozen.write_bytes(encoded(*graph))
    for path in (frozen, saved_model(tmp_path / "saved", *graph)):
        with pytest.raises(UnsupportedError) as caught:
            TensorFlowFrontend().examine(path, OPTIONS)
        assert caught.value.items == (f"{operation} (node bad)",)


def test_those_in_functions_are_refused_too(tmp_path: Path) -> None:
    function = encoded((1, encoded((1, "inner"))), (3, node("hidden", "PyFunc")[1]))
    path = tmp_path / "net.pb"
    path.write_bytes(encoded(node("x", "Placeholder"), (2, encoded((1, function)))))
    assert refusal(path).endswith("PyFunc (node hidden)")


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([node("x", "Placeholder"), node("x", "Relu", "x")], "node 'x': the name is none, or used twice"),
        ([node("y", "Relu", "x")], "node y: its input 'x' is made by no node"),
        ([node("y", "no operation")], "node y: its operation 'no operation' is none"),
        ([node("", "Relu")], "node '': the name is none"),
        ([(1, b"\x0a\x05x")], "broken or truncated protobuf"),
        ([(4, b"")], "it holds no node"),
    ],
)
def test_damaged_graphs_are_refused(tmp_path: Path, nodes: list[tuple[int, bytes]], message: str) -> None:
    path = tmp_path / "net.pb"
    path.write_bytes(encoded(*nodes))
    assert message in refusal(path)


def constant(shape: tuple[int, ...], content: bytes = b"", kind: int = 1) -> tuple[int, bytes]:
    tensor = encoded((1, kind), (2, encoded(*((2, encoded((1, extent))) for extent in shape))), *([(4, content)] if content else []))
    return 1, encoded((1, "c"), (2, "Const"), (5, encoded((1, "value"), (2, encoded((8, tensor))))))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (constant((2, 2), bytes(12)), "a constant of shape [2, 2] has 12 bytes in place of 16"),
        (constant((1 << 20, 1 << 20)), "is too large"),
        (constant((-1, 2)), "cannot be"),
    ],
)
def test_constants_that_cannot_be_are_refused(tmp_path: Path, bad: tuple[int, bytes], message: str) -> None:
    path = tmp_path / "net.pb"
    path.write_bytes(encoded(bad))
    assert message in refusal(path)


def test_a_saved_model_must_be_whole(tmp_path: Path) -> None:
    variable = (node("v", "VarHandleOp"), node("y", "ReadVariableOp", "v"))
    assert "variables/variables.index is missing" in refusal(saved_model(tmp_path / "a", *variable))
    TensorFlowFrontend().examine(saved_model(tmp_path / "b", *variable, variables=True), OPTIONS)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "saved_model.pb").write_bytes(b"")
    assert "no SavedModel of version 1" in refusal(tmp_path / "c")
    assert "leave --model-data away" in refusal(tmp_path / "b", ImportOptions(model_data=tmp_path / "x"))


@pytest.mark.parametrize("asset", ["/etc/passwd", "../../words.txt", "..\\words.txt"])
def test_assets_outside_of_the_folder_are_refused(tmp_path: Path, asset: str) -> None:
    assert "lies outside of the model's folder" in refusal(saved_model(tmp_path / "saved", asset=asset))


def test_links_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "secret"
    elsewhere.write_bytes(b"index")
    folder = saved_model(tmp_path / "saved", variables=True)
    (folder / "variables" / "variables.data-00000-of-00001").symlink_to(elsewhere)
    assert "outside of the model's folder" in refusal(folder)


# --- Keras --------------------------------------------------------------------------------------------------------------------
def with_layer(**layer: Any) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"layers": [layer]}}


CODE = marshal.dumps(compile("open('executed', 'w').close()", "layer", "exec"))


@pytest.mark.parametrize(
    ("config", "item"),
    [
        (with_layer(class_name="Lambda", config={"name": "evil", "function": [CODE.hex(), None, None]}), "Lambda (layer evil)"),
        (with_layer(class_name="Dense", activation={"class_name": "__lambda__", "config": {"value": CODE.hex()}}), "__lambda__"),
        (with_layer(class_name="TimeDistributed", config={"layer": {"class_name": "Lambda", "config": {}}}), "Lambda"),
        (with_layer(class_name="TFSMLayer", config={"filepath": "/elsewhere"}), "TFSMLayer"),
        (with_layer(class_name="StringLookup", config={"vocabulary": "/etc/passwd"}), "StringLookup"),
        (with_layer(class_name="MyLayer", module="mine", config={"name": "m"}), "MyLayer (layer m)"),
        (with_layer(class_name="function", module="os", config="system"), "function"),
        (with_layer(class_name="function", module="keras.utils", config="get_file"), "function"),
        (with_layer(class_name="Dense", module="os.path", config={}), "Dense"),
        (with_layer(class_name=["Dense"], config={}), "['Dense']"),
    ],
)
def test_code_and_foreign_classes_are_refused(tmp_path: Path, config: Any, item: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnsupportedError) as caught:
        TensorFlowFrontend().examine(keras_file(tmp_path / "net.keras", config), OPTIONS)
    assert any(one.startswith(item) for one in caught.value.items)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("config", ["{", "[]", "[" * 100_000, '{"class_name": "Lambda"}', "{}"])
def test_descriptions_that_are_none_are_refused(tmp_path: Path, config: str) -> None:
    refusal(keras_file(tmp_path / "net.keras", config))


def test_archives_hold_what_a_network_has(tmp_path: Path) -> None:
    TensorFlowFrontend().examine(keras_file(tmp_path / "net.keras"), OPTIONS)
    assert "is none that a network has" in refusal(keras_file(tmp_path / "net.keras", **{"../evil.py": b""}))
    assert "is none that a network has" in refusal(keras_file(tmp_path / "net.keras", **{"assets/words.txt": b""}))
    with zipfile.ZipFile(tmp_path / "net.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", json.dumps(CONFIG))
        archive.writestr("model.weights.h5", superblock(1 << 24))
    assert "unpack to more" in refusal(tmp_path / "net.keras")


@pytest.mark.parametrize("size", [0, 8, 40, 95])
def test_hdf5_files_that_are_cut_off_are_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "net.h5"
    path.write_bytes(superblock()[:size])
    assert "no whole Keras file" in refusal(path)


# --- anything -----------------------------------------------------------------------------------------------------------------
def test_mutants_are_looked_at_without_a_fault(tmp_path: Path) -> None:
    graph, keras = write_example(tmp_path / "g.pb").path.read_bytes(), keras_file(tmp_path / "k.keras").read_bytes()
    saved = (saved_model(tmp_path / "s") / "saved_model.pb").read_bytes()
    refused = 0
    for seed in range(600):
        name, data = (("g.pb", graph), ("k.keras", keras), ("s/saved_model.pb", saved))[seed % 3]
        (tmp_path / name).write_bytes(broken_bytes(data, np.random.default_rng(seed)))
        try:
            TensorFlowFrontend().examine(tmp_path / name, OPTIONS)
        except InputError:
            refused += 1
    assert refused > 200

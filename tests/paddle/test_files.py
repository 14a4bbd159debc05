"""Paddle models looked at without Paddle: recognised by content, refused when damaged, incomplete or dangerous."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweeps.mutants import broken_bytes
from tests.conftest import Command
from tpumlir_core.conversion.wire import encoded
from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_core.plugins.extension_points import ImportOptions
from tpumlir_paddle.examples import write_example
from tpumlir_paddle.files import find_model
from tpumlir_paddle.frontend import PaddleFrontend

OPTIONS = ImportOptions()


def tensor(number: int, *shape: int) -> dict[str, Any]:
    return {"%": number, "TT": {"#": "0.t_dtensor", "D": [{"#": "0.t_f32"}, list(shape), "NCHW", [], 0]}}


def pir(*operations: dict[str, Any]) -> str:
    """A program in PIR: a weight w of [3, 3, 3, 3], an input, some operations on value 2, and a fetch."""
    weight = {"#": "p", "A": [0, 1, 0, "w"], "DA": [], "O": tensor(1, 3, 3, 3, 3), "OA": [], "QA": []}
    feed = {"#": "1.feed", "A": [], "I": [], "O": [tensor(2, 1, 3, 9, 7)], "OA": []}
    fetch = {"#": "1.fetch", "A": [], "I": [{"%": 2}], "O": [tensor(99, 1, 3, 9, 7)], "OA": []}
    blocks = [{"#": "block_0", "args": [], "ops": [weight, feed, *operations, fetch]}]
    base = {"base_code": {"magic": "pir", "trainable": True, "version": 4}}
    return json.dumps({**base, "program": {"regions": [{"#": "region_0", "blocks": blocks}]}})


def refusal(path: Path, options: ImportOptions = OPTIONS) -> str:
    with pytest.raises(InputError) as caught:
        PaddleFrontend().examine(path, options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with a model, its weights beside it."""
    folder = tmp_path / "model"
    folder.mkdir()
    return write_example(folder / "net.pdmodel").path


# --- recognition ------------------------------------------------------------------------------------------------------------
def test_models_are_known_by_what_they_hold(model: Path, tmp_path: Path) -> None:
    frontend = PaddleFrontend()
    head = model.read_bytes()[:4096]
    assert frontend.recognizes(tmp_path / "anything", head)
    assert frontend.recognizes(tmp_path / "model.json", pir().encode()[:4096])
    assert frontend.recognizes(model.parent, b"")
    assert not frontend.recognizes(tmp_path, b"")
    for other in (b"", b"{}", b'{"magic": "pir"}', b"\x08\x08\x12\x02ab", b"\x0a\x05\x0a\x01x\x12\x01", b"PK\x03\x04", b"hello"):
        assert not frontend.recognizes(tmp_path / "model.json", other)


def test_a_folder_means_the_model_in_it(model: Path) -> None:
    found = find_model(model.parent, None)
    assert (found.program, found.weights) == (model, model.with_suffix(".pdiparams"))
    for suffix in (".pdmodel", ".pdiparams"):
        shutil.copy(model.with_suffix(suffix), model.with_name(f"other{suffix}"))
    assert "this one holds net.pdmodel, other.pdmodel: name the file" in refusal(model.parent)


def test_weights_are_beside_the_program_or_named(model: Path, tmp_path: Path) -> None:
    weights = tmp_path / "elsewhere"
    model.with_suffix(".pdiparams").rename(weights)
    assert "net.pdiparams, are not beside it; name them with --model-data" in refusal(model)
    arguments = PaddleFrontend().examine(model, ImportOptions(model_data=weights))
    assert arguments == {"model": str(model), "weights": str(weights), "whole": True}
    assert "there is no such file" in refusal(model, ImportOptions(model_data=tmp_path / "absent"))
    assert "name the model" in refusal(model.with_suffix(".pdiparams"))


def test_links_out_of_the_folder_are_not_followed(model: Path, tmp_path: Path) -> None:
    weights = model.with_suffix(".pdiparams")
    weights.rename(tmp_path / "elsewhere")
    weights.symlink_to(tmp_path / "elsewhere")
    assert "outside of the model's folder" in refusal(model)
    PaddleFrontend().examine(model, ImportOptions(model_data=weights))


def test_without_paddle_both_ways_to_get_it_are_told(model: Path, tmp_path: Path, tpumlir: Command) -> None:
    if importlib.util.find_spec("paddle"):
        pytest.skip("Paddle is installed")
    told = tpumlir("transform", model, "--mlir", "net.mlir", TPUMLIR_ENVIRONMENTS=str(tmp_path))
    assert (told.returncode, told.stderr.count("\n")) == (2, 1)
    assert "it takes Paddle, and there is no module paddle: pip install 'tpumlir-paddle[framework]'" in told.stderr


# --- weights ------------------------------------------------------------------------------------------------------------------
def test_weights_must_be_those_that_are_declared(model: Path) -> None:
    weights = model.with_suffix(".pdiparams")
    data = weights.read_bytes()
    for changed, message in (
        (data[:-1], "are cut off"),
        (data[:10], "are cut off"),
        (data + data, "2 tensors, the model declares 1"),
        (b"", "0 tensors, the model declares 1"),
        (b"\x01" + data[1:], "are damaged at byte 0"),
        (data.replace(b"\x10\x03" * 4, b"\x10\x09\x10\x09\x10\x01\x10\x01"), "shape [9, 9, 1, 1] in place of [3, 3, 3, 3]"),
        (data.replace(b"\x10\x03\x10\x03", b"\x10\x7f\x10\x7f", 1), "are cut off"),
    ):
        weights.write_bytes(changed)
        assert message in refusal(model)


def test_what_does_not_persist_is_in_no_file(tmp_path: Path) -> None:
    """The state of a recurrent layer's dropout, as paddle 3.3.1 writes it."""
    path = tmp_path / "net.json"
    state = {"#": "p", "A": [0, 1, 1, "state"], "DA": [], "O": tensor(5), "OA": [0, 1, 0], "QA": []}
    path.write_text(pir(state))
    write_example(tmp_path / "other.pdmodel").path.with_suffix(".pdiparams").rename(path.with_suffix(".pdiparams"))
    assert PaddleFrontend().examine(path, OPTIONS)["weights"] == str(path.with_suffix(".pdiparams"))
    path.write_text(pir({**state, "OA": [1, 0, 1]}))
    assert "1 tensors, the model declares 2" in refusal(path)


# --- programs -----------------------------------------------------------------------------------------------------------------
def old_program(kind: str, argument: str = "x") -> bytes:
    variable = encoded((1, "x"), (2, encoded((1, 7))), (3, 0))
    operations = (encoded((3, name), (1, encoded((1, "X"), (2, argument)))) for name in ("feed", kind, "fetch"))
    return encoded((1, encoded((1, 0), (2, -1), (3, variable), *((4, operation) for operation in operations))))


@pytest.mark.parametrize("kind", ["py_func", "load", "save_combine", "print", "run_program"])
def test_operations_that_reach_further_are_refused(tmp_path: Path, kind: str) -> None:
    old, new = tmp_path / "old.pdmodel", tmp_path / "new.json"
    old.write_bytes(old_program(kind))
    new.write_text(pir({"#": f"1.{kind}", "A": [], "I": [{"%": 2}], "O": [tensor(3, 1)], "OA": []}))
    for path in (old, new):
        with pytest.raises(UnsupportedError) as caught:
            PaddleFrontend().examine(path, OPTIONS)
        assert caught.value.items == (kind,)


def test_damaged_programs_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.pdmodel"
    for data, message in (
        (b"", "it holds no block"),
        (old_program("relu")[:-1], "broken or truncated protobuf"),
        (old_program("relu", "z"), "operation feed: tensor 'z' is declared nowhere"),
        (old_program(""), "it has no type"),
        (encoded((1, encoded((1, 0)))), "not an inference model"),
        (encoded((1, encoded((1, 5)))), "block 0 of the program says that it is number 5"),
    ):
        path.write_bytes(data)
        assert message in refusal(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "broken or truncated JSON"),
        ("[" * 100_000, "broken or truncated JSON"),
        ("[]", "a damaged one"),
        ('{"base_code": {"magic": "other"}}', "not a Paddle program"),
        ('{"base_code": {"magic": "pir"}, "program": {}}', "a damaged one"),
        (pir({"#": "1.relu", "A": [], "I": [{"%": 7}], "O": [tensor(8, 1)]}), "operation 1.relu: value 7 is made by none before it"),
        (pir(), "its weights, net.pdiparams, are not beside it"),
    ],
)
def test_damaged_pir_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "net.json"
    path.write_text(text)
    assert message in refusal(path)


def test_pir_with_its_weights_is_accepted(model: Path) -> None:
    model.with_suffix(".json").write_text(pir())
    assert PaddleFrontend().examine(model.with_suffix(".json"), OPTIONS)["model"].endswith("net.json")


def test_mutants_are_looked_at_without_a_fault(model: Path) -> None:
    weights, new = model.with_suffix(".pdiparams"), model.with_suffix(".json")
    originals = {model: model.read_bytes(), weights: weights.read_bytes(), new: pir().encode()}
    refused = 0
    for seed in range(600):
        path = list(originals)[seed % 3]
        for other, data in originals.items():
            other.write_bytes(broken_bytes(data, np.random.default_rng(seed)) if other == path else data)
        try:
            PaddleFrontend().examine(new if path == new else model, OPTIONS)
        except InputError:
            refused += 1
    assert refused > 200

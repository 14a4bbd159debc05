"""Samples: the same files in the same order as the reference takes, and what they hold by input."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.preprocess.test_resize import pattern
from tpumlir_core.errors import InputError
from tpumlir_core.ir import Function, Module, TensorType, WeightStore, top
from tpumlir_core.ir.text import parse_module, print_module
from tpumlir_core.preprocess import (
    InputSpec,
    Preprocess,
    input_specs,
    list_samples,
    read_sample,
    read_sample_list,
    record_preprocess,
    recorded_preprocess,
)

PICTURE = Preprocess(pixel_format="rgb", mean=(1.0, 2.0, 3.0), resize_dims=(9, 8), keep_aspect_ratio=True, pad_value=5)
INPUTS = [InputSpec("x", (1, 3, 4, 4), Preprocess()), InputSpec("n", (2,), Preprocess())]


def network() -> Module:
    fed = [top.Input.create([], [(name, TensorType((1, 3, 4, 4)))]) for name in ("a", "b")]
    total = top.Add.create([op.output for op in fed], ["y"])
    return Module("net", Function("main", [*fed, total], [total.output]), WeightStore())


def test_a_folder_in_the_order_of_the_reference(tmp_path: Path) -> None:
    names = ["b.jpg", "a.PNG", "deep/c.npz", "d.npy", "e.jfif"]
    (tmp_path / "deep").mkdir()
    for name in [*names, "notes.txt"]:
        (tmp_path / name).touch()
    expected = sorted(str(tmp_path / name) for name in names)
    random.seed(1684)
    random.shuffle(expected)
    assert [str(files[0]) for files in list_samples(tmp_path)] == expected
    assert [str(files[0]) for files in list_samples(tmp_path, 2)] == expected[:2]


def test_folders_without_samples(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no sample in it"):
        list_samples(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        list_samples(tmp_path / "none")


def test_a_list_of_files(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("a.jpg, n.npy\n\nb.jpg,m.npy\r\n")
    samples = [(Path("a.jpg"), Path("n.npy")), (Path("b.jpg"), Path("m.npy"))]
    assert read_sample_list(tmp_path / "list") == samples
    assert read_sample_list(tmp_path / "list", 1) == samples[:1]
    (tmp_path / "list").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not a readable list"):
        read_sample_list(tmp_path / "list")
    (tmp_path / "list").write_text("\n")
    with pytest.raises(InputError, match="no sample in it"):
        read_sample_list(tmp_path / "list")


def test_an_image_and_an_array(tmp_path: Path) -> None:
    Image.fromarray(pattern(4, 4, 3)).save(tmp_path / "a.png")
    np.save(tmp_path / "n.npy", np.array([1.0, 2.0]))
    found = read_sample((tmp_path / "a.png", tmp_path / "n.npy"), INPUTS)
    np.testing.assert_array_equal(found["x"][0], pattern(4, 4, 3)[:, :, ::-1].transpose(2, 0, 1))
    np.testing.assert_array_equal(found["n"], [1.0, 2.0])


def test_one_file_with_all_inputs(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", x=np.ones((1, 3, 4, 4)), n=np.zeros(2))
    assert list(read_sample((tmp_path / "s.npz",), INPUTS)) == ["x", "n"]


def test_samples_that_do_not_fit(tmp_path: Path) -> None:
    np.save(tmp_path / "n.npy", np.zeros(3))
    for sample, told in [
        (("n.npy",), "1 files for the 2 inputs x, n"),
        (("n.npy", "n.npy"), r"has the shape \[3\], the input x"),
        (("gone.png", "n.npy"), "gone.png: cannot be read"),
        (("gone.npz",), "gone.npz: cannot be read"),
    ]:
        with pytest.raises(InputError, match=told):
            read_sample(tuple(tmp_path / name for name in sample), INPUTS)


def test_what_is_recorded_survives_text() -> None:
    module = network()
    record_preprocess(module, PICTURE, {1})
    again = parse_module(print_module(module), module.weights)
    assert [spec.preprocess for spec in input_specs(again)] == [Preprocess(), PICTURE]
    assert [spec.preprocess for spec in input_specs(again, Preprocess(pad_value=1))] == [Preprocess(pad_value=1)] * 2


def test_recording_in_all_inputs_and_in_none_that_is_there() -> None:
    module = network()
    record_preprocess(module, PICTURE)
    assert [spec.preprocess for spec in input_specs(module)] == [PICTURE, PICTURE]
    with pytest.raises(InputError, match="no input 3 to preprocess, the network has 2"):
        record_preprocess(module, PICTURE, {0, 2})


def test_a_damaged_record() -> None:
    fed = top.Input.create([], [("a", TensorType((1, 3, 4, 4)))], pixel_format="cmyk")
    with pytest.raises(InputError, match="input a: pixel_format cmyk"):
        recorded_preprocess(fed)

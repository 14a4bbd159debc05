"""Raw images: their formats, and how files become them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.preprocess.images import COLOURS, pixels, raw
from tests.preprocess.test_resize import pattern
from tpumlir_core.errors import InputError
from tpumlir_core.ir import ElementType, Function, Module, TensorType, WeightStore, top
from tpumlir_core.preprocess import RAW_FORMATS, InputSpec, Preprocess, preprocess_note, raw_format, read_sample
from tpumlir_core.preprocess.notes import noted_preprocess

PLAIN = Preprocess()


def fed(path: Path, name: str, shape: tuple[int, ...], preprocess: Preprocess = PLAIN) -> Any:
    return read_sample((path,), [InputSpec("x", shape, preprocess, raw_format(name))])["x"]


@pytest.mark.parametrize("name", COLOURS)
def test_colours(tmp_path: Path, name: str) -> None:
    image = pixels(1, 5, 7, 3)
    Image.fromarray(image[0]).save(tmp_path / "a.png")
    expected = np.repeat(raw(image, name), 2, axis=0)
    found = fed(tmp_path / "a.png", name, expected.shape, Preprocess(pixel_format="gray", mean=(9, 9, 9), scale=(2, 2, 2)))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)


def test_gray(tmp_path: Path) -> None:
    image = pixels(1, 5, 7, 1)
    Image.fromarray(image[0, :, :, 0]).save(tmp_path / "a.png")
    np.testing.assert_array_equal(fed(tmp_path / "a.png", "GRAYSCALE", (1, 1, 5, 7)), image.transpose(0, 3, 1, 2))


def test_resized_as_float_inputs_are(tmp_path: Path) -> None:
    Image.fromarray(pattern(20, 30, 3)).save(tmp_path / "a.png")
    letterbox = Preprocess(keep_aspect_ratio=True, pad_value=7, pixel_format="rgb")
    (plain,) = read_sample((tmp_path / "a.png",), [InputSpec("x", (1, 3, 9, 9), letterbox)]).values()
    np.testing.assert_array_equal(fed(tmp_path / "a.png", "RGB_PACKED", (1, 9, 9, 3), letterbox), plain.transpose(0, 2, 3, 1))


@pytest.mark.parametrize("shape", [(1, 3, 5, 7), (5, 7, 3), (1, 5, 7, 1)])
def test_inputs_that_take_no_such_image(tmp_path: Path, shape: tuple[int, ...]) -> None:
    Image.fromarray(pattern(5, 7, 3)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: "):
        fed(tmp_path / "a.png", "RGB_PACKED", shape)


def test_what_a_file_notes_of_its_inputs() -> None:
    said = Preprocess(resize_dims=(8, 9), keep_aspect_ratio=True, pixel_format="rgb", channel_format="nhwc", mean=(1.0, 2.0, 3.0))
    types = [TensorType((1, 8, 9, 3), ElementType.UI8), TensorType((1, 3, 4, 4)), TensorType((2,))]
    operations = [top.Input.create([], [(name, type_)]) for name, type_ in zip("abc", types, strict=True)]
    for operation, more in zip(operations[:2], ({"customization_format": "RGB_PACKED"}, {}), strict=True):
        for name, value in {**said.attributes(), **more}.items():
            setattr(operation, name, value)
    note = preprocess_note(Module("net", Function("main", operations, []), WeightStore()))
    assert noted_preprocess(note, "a") == (said, raw_format("RGB_PACKED"))
    assert noted_preprocess(note, "b") == (said, None)
    assert noted_preprocess(note, "c") == (None, None)
    assert preprocess_note(Module("net", Function("main", operations[2:], []), WeightStore())) == {}


@pytest.mark.parametrize(
    "note",
    [
        {"mean": "abc"}, {"mean": 1}, {"mean": [1]}, {"resize_dims": [1.5, 2]}, {"pad_value": "1"}, {"pixel_format": []}, {"no": 1}, [1],
        {"raw": "YUV"}, {"raw": 3}, {"scale": [None, 1, 1]}, "text",
    ],
)
def test_damaged_notes(note: Any) -> None:
    with pytest.raises(InputError, match="input x: what the file says about its images makes no sense"):
        noted_preprocess({"preprocess": {"x": note}}, "x")


def test_notes_of_another_kind_say_nothing() -> None:
    assert noted_preprocess({"preprocess": [1]}, "x") == (None, None)


def test_names_are_found_in_any_case() -> None:
    assert [raw_format(known.name.lower()) for known in RAW_FORMATS] == list(RAW_FORMATS)

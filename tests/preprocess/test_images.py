"""Images as inputs, against what the reference's preprocessing makes of the same file (tpu-mlir 1.30.2, written down)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.preprocess.test_resize import pattern
from tpumlir_core.errors import InputError, PluginError
from tpumlir_core.preprocess import Preprocess
from tpumlir_core.preprocess.images import decode, image_input

COLOR = {"mean": (10.0, 20.0, 30.0), "scale": (0.5, 0.25, 2.0)}
# Of the file that `picture` writes: options, shape of the input, its values.
REFERENCE: list[tuple[dict[str, Any], tuple[int, ...], list[float]]] = [
    ({"pixel_format": "gray"}, (1, 1, 4, 4), [105, 106, 95, 94, 119, 112, 88, 87, 111, 109, 80, 79, 104, 102, 73, 107]),
    (
        {"pixel_format": "gray", "keep_aspect_ratio": True, "pad_value": 7},
        (1, 1, 4, 4),
        [7, 7, 7, 7, 123, 103, 92, 91, 108, 106, 77, 76, 7, 7, 7, 7],
    ),
    (
        {"pixel_format": "gray", "keep_aspect_ratio": True, "pad_value": 7, "pad_type": "normal"},
        (1, 1, 4, 4),
        [123, 103, 92, 91, 108, 106, 77, 76, 7, 7, 7, 7, 7, 7, 7, 7],
    ),
    (
        {"pixel_format": "gray", "keep_aspect_ratio": True, "keep_ratio_mode": "short_side_scale"},
        (1, 1, 4, 4),
        [91, 131, 109, 158, 166, 124, 102, 150, 186, 118, 96, 143, 179, 116, 94, 149],
    ),
    (
        {"pixel_format": "gray", "resize_dims": (5, 8)},
        (1, 1, 4, 4),
        [87, 147, 131, 159, 111, 141, 125, 153, 176, 135, 119, 147, 170, 138, 122, 141],
    ),
    ({"pixel_format": "bgr", **COLOR}, (1, 3, 2, 2), [32.5, 94, 25, 86.5, 4.5, 35.25, 47.75, 31.5, 318, 188, 288, 158]),
    ({"pixel_format": "rgb", **COLOR}, (1, 3, 2, 2), [89.5, 57, 82, 49.5, 4.5, 35.25, 47.75, 31.5, 90, 336, 60, 306]),
    (
        {"pixel_format": "rgb", "channel_format": "nhwc", **COLOR},
        (2, 2, 2, 3),
        [89.5, 4.5, 90, 57, 35.25, 336, 82, 47.75, 60, 49.5, 31.5, 306] * 2,
    ),
    (
        {"pixel_format": "rgba", "mean": (0.0,) * 4, "scale": (1.0,) * 4},
        (1, 4, 2, 2),
        [189, 124, 174, 109, 38, 161, 211, 146, 75, 198, 60, 183, 255, 255, 255, 255],
    ),
]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "x.png"
    Image.fromarray(pattern(6, 9, 3)).save(path)
    return path


@pytest.mark.parametrize(("options", "shape", "expected"), REFERENCE)
def test_as_the_reference(options: dict[str, Any], shape: tuple[int, ...], expected: list[float], picture: Path) -> None:
    found = image_input(picture, shape, Preprocess(**options))
    assert found.shape == shape
    assert found.dtype == np.float32
    gray = options["pixel_format"] == "gray"  # grey of a colour rounds another way in OpenCV
    assert np.abs(found.reshape(-1) - expected).max() <= (1 if gray else 0)


def test_pictures_that_lie_on_their_side_are_set_upright(tmp_path: Path) -> None:
    image = Image.fromarray(pattern(2, 3, 3))
    exif = image.getexif()
    exif[0x0112] = 6  # taken with the camera turned: to be shown rotated by 90 degrees clockwise
    image.save(tmp_path / "x.png", exif=exif)
    np.testing.assert_array_equal(decode(tmp_path / "x.png", "rgb"), np.rot90(pattern(2, 3, 3), -1))


def test_sixteen_bits_by_their_high_bytes(tmp_path: Path) -> None:
    values = np.array([[0, 255, 256, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "x.png")
    assert decode(tmp_path / "x.png", "gray").reshape(-1).tolist() == [0, 0, 1, 255]


@pytest.mark.parametrize(
    ("options", "shape", "told"),
    [
        ({}, (1, 1, 4, 4), r"bgr images make \[1, 3, 4, 4\], the input is \[1, 1, 4, 4\]"),
        ({"channel_format": "none"}, (1, 3, 4, 4), "takes no image"),
        ({}, (10,), "takes no image"),
        ({"resize_dims": (2, 9)}, (1, 3, 4, 4), "smaller than the input, 4x4"),
    ],
)
def test_inputs_that_images_do_not_fit(options: dict[str, Any], shape: tuple[int, ...], told: str, picture: Path) -> None:
    with pytest.raises(InputError, match=told):
        image_input(picture, shape, Preprocess(**options))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"pixel_format": "yuv"}, "pixel_format yuv: there is bgr, rgb, gray, rgba"),
        ({"channel_format": "hwc"}, "channel_format hwc"),
        ({"keep_ratio_mode": "fit"}, "keep_ratio_mode fit"),
        ({"pad_type": "left"}, "pad_type left"),
        ({"resize_dims": (4,)}, "a height and a width"),
        ({"resize_dims": (4, 0)}, "a height and a width"),
        ({"pad_value": 256}, "a pixel is 0 to 255"),
        ({"mean": (1.0,)}, "need 3 numbers for bgr"),
        ({"pixel_format": "rgba"}, "need 4 numbers for rgba"),
    ],
)
def test_options_that_are_none(options: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        Preprocess(**options)


@pytest.mark.parametrize("data", [b"", b"no image at all", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff"])
def test_damaged_images(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(data)
    with pytest.raises(InputError, match=r"x\.png: not a readable image"):
        decode(tmp_path / "x.png", "rgb")


def test_without_pillow(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(PluginError, match=r"pip install 'tpumlir-core\[images\]'"):
        decode(picture, "rgb")

"""Preprocessing fused into networks: raw images in, and what the float network computes of them comes out."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.preprocess.images import COLOURS, MEAN, SCALE, pixels, raw, real
from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_core.interpreter import NumpyInterpreter
from tpumlir_core.ir import Array, ElementType, Function, Module, Operation, TensorType, WeightStore, top
from tpumlir_core.ir.text import parse_module, print_module
from tpumlir_core.ir.verify import verify
from tpumlir_core.passes import Canonicalize, FusePreprocess, run_passes
from tpumlir_core.preprocess import Preprocess, input_specs, record_preprocess, recorded_preprocess

RGB = Preprocess(pixel_format="rgb", mean=MEAN, scale=SCALE)


def network(shape: tuple[int, ...], preprocess: Preprocess | None, convolution: bool = True) -> Module:
    """A convolution of an image, or Abs of it."""
    fed = top.Input.create([], [("x", TensorType(shape))])
    operations: list[Operation] = [fed]
    weights = WeightStore()
    planar = fed.output
    if preprocess is not None and preprocess.channel_format == "nhwc":
        operations.append(top.Permute.create([planar], ["p"], order=(0, 3, 1, 2)))
        planar = operations[-1].output
    if convolution:
        weights["w"] = np.random.default_rng(1).standard_normal((5, planar.shape[1], 3, 3)).astype(np.float32)
        filters = top.Weight.create([], [("w", TensorType(weights["w"].shape))])
        conv = top.Conv.create([planar, filters.output, None], ["y"], kernel_shape=(3, 3), strides=(1, 1), pads=(1, 1, 1, 1))
        operations += [filters, conv]
    else:
        operations.append(top.Abs.create([planar], ["y"]))
    module = Module("net", Function("main", operations, [operations[-1].output]), weights)
    if preprocess is not None:
        record_preprocess(module, preprocess)
    return module


def outputs(module: Module, inputs: dict[str, Array]) -> Array:
    return NumpyInterpreter().run(module, inputs)["y"]


@given(
    st.sampled_from(COLOURS), st.sampled_from(["rgb", "bgr"]), st.sampled_from(["nchw", "nhwc"]), st.booleans(),
    st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
)
def test_the_same_as_float_preprocessing(name: str, order: str, layout: str, convolution: bool, sizes: tuple[int, int, int]) -> None:
    preprocess = Preprocess(pixel_format=order, channel_format=layout, mean=MEAN, scale=SCALE)
    images = pixels(*sizes, 3)
    plain = real(images, preprocess).astype(np.float32)
    expected = outputs(network(plain.shape, preprocess, convolution), {"x": plain})
    module = network(plain.shape, preprocess, convolution)
    assert run_passes((FusePreprocess(name), Canonicalize()), module)
    verify(module)
    fed = module.function.operations[0]
    assert (fed.output.name, fed.output.type) == ("x_raw", TensorType(raw(images, name).shape, ElementType.UI8))
    np.testing.assert_allclose(outputs(module, {"x_raw": raw(images, name)}), expected, rtol=0, atol=2e-5 * np.abs(expected).max(initial=1))


def test_gray_images() -> None:
    preprocess = Preprocess(pixel_format="gray", mean=(7.0, 0, 0), scale=(0.5, 1, 1))
    images = pixels(2, 5, 3, 1)
    module = network((2, 1, 5, 3), preprocess)
    plain = real(images, preprocess).astype(np.float32)
    expected = outputs(module, {"x": plain})
    FusePreprocess().run(module)
    np.testing.assert_allclose(outputs(module, {"x_raw": raw(images, "GRAYSCALE")}), expected, rtol=1e-4, atol=1e-4)
    assert input_specs(module)[0].raw is not None


@pytest.mark.parametrize(
    ("order", "layout", "name"), [("rgb", "nchw", "RGB_PLANAR"), ("bgr", "nchw", "BGR_PLANAR"), ("bgr", "nhwc", "BGR_PACKED")]
)
def test_the_format_that_the_network_records(order: str, layout: str, name: str) -> None:
    preprocess = Preprocess(pixel_format=order, channel_format=layout)
    module = network((1, 3, 4, 4) if layout == "nchw" else (1, 4, 4, 3), preprocess)
    FusePreprocess().run(module)
    fed = module.function.operations[0]
    assert isinstance(fed, top.Input)
    assert fed.customization_format == name


@pytest.mark.parametrize("name", ["RGB_PLANAR", "BGR_PACKED"])
def test_what_is_resized_larger_is_cropped_in_the_middle(name: str) -> None:
    preprocess = Preprocess(pixel_format="rgb", mean=MEAN, scale=SCALE, resize_dims=(9, 12))
    images = pixels(1, 9, 12, 3)
    module = network((1, 3, 4, 7), preprocess, convolution=False)
    FusePreprocess(name).run(module)
    expected = np.abs(real(images[:, 2:6, 3:10], preprocess))
    np.testing.assert_allclose(outputs(module, {"x_raw": raw(images, name)}), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_filters_take_the_order_of_the_image(layout: str) -> None:
    preprocess = dataclasses.replace(RGB, channel_format=layout)
    module = network((1, 3, 4, 4) if layout == "nchw" else (1, 4, 4, 3), preprocess)
    FusePreprocess("BGR_PLANAR").run(module)
    assert not any(isinstance(op, top.SwapChannel) for op in module.function.operations)


def test_where_others_take_the_image_its_channels_change_places() -> None:
    module = network((1, 3, 4, 4), RGB)
    x = module.function.operations[0].output
    module.function.operations.append(top.Abs.create([x], ["z"]))
    FusePreprocess("BGR_PLANAR").run(module)
    assert [op.output.name for op in module.function.operations if isinstance(op, top.SwapChannel)] == ["x_swapped"]


def test_an_axis_that_is_no_channel_stays() -> None:
    """A convolution over the rows of packed images, of which there are as many as channels."""
    fed = top.Input.create([], [("x", TensorType((1, 3, 4, 3)))])
    weights = WeightStore()
    weights["w"] = np.arange(6, dtype=np.float32).reshape(2, 3, 1, 1)
    filters = top.Weight.create([], [("w", TensorType((2, 3, 1, 1)))])
    conv = top.Conv.create([fed.output, filters.output, None], ["y"], kernel_shape=(1, 1), strides=(1, 1), pads=(0, 0, 0, 0))
    module = Module("net", Function("main", [fed, filters, conv], [conv.output]), weights)
    preprocess = dataclasses.replace(RGB, channel_format="nhwc")
    record_preprocess(module, preprocess)
    images = pixels(1, 3, 4, 3)
    expected = conv.evaluate([real(images, preprocess).astype(np.float32), weights["w"], None])[0]
    FusePreprocess("BGR_PACKED").run(module)
    np.testing.assert_allclose(outputs(module, {"x_raw": raw(images, "BGR_PACKED")}), expected, rtol=1e-4, atol=1e-4)


def test_an_output_keeps_its_name() -> None:
    preprocess = Preprocess(channel_format="nhwc", mean=MEAN, scale=SCALE)
    fed = top.Input.create([], [("x", TensorType((1, 4, 4, 3)))])
    module = Module("net", Function("main", [fed], [fed.output]), WeightStore())
    record_preprocess(module, preprocess)
    FusePreprocess().run(module)
    assert [value.name for value in module.function.outputs] == ["x"]
    assert module.function.outputs[0].shape == (1, 4, 4, 3)


def test_inputs_without_preprocessing_stay() -> None:
    fed = [top.Input.create([], [(name, TensorType((1, 3, 4, 4)))]) for name in ("a", "b")]
    total = top.Add.create([op.output for op in fed], ["y"])
    module = Module("net", Function("main", [*fed, total], [total.output]), WeightStore())
    record_preprocess(module, RGB, {1})
    FusePreprocess().run(module)
    assert [(spec.name, spec.raw and spec.raw.name) for spec in input_specs(module)] == [("a", None), ("b_raw", "RGB_PLANAR")]


def test_text_keeps_it() -> None:
    module = network((1, 3, 4, 4), Preprocess(keep_aspect_ratio=True, pad_value=3, mean=MEAN, scale=SCALE))
    FusePreprocess("RGB_PACKED").run(module)
    text = print_module(module)
    assert "tensor<1x4x4x3xui8>" in text
    again = parse_module(text, module.weights).function.operations[0]
    assert isinstance(again, top.Input)
    left = Preprocess(keep_aspect_ratio=True, pad_value=3, pixel_format="rgb", channel_format="nhwc")
    assert recorded_preprocess(again) == left, "mean and scale are the network's now"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("YUV_NV12", "let the decoder give RGB or BGR"), ("YUV420_PLANAR", "chroma is subsampled"), ("RGBA_PLANAR", "no alpha channel"),
        ("GBRG_RAW", "a sensor's mosaic"), ("GRAYSCALE", "the network takes rgb images"), ("PLANAR", "there is RGB_PLANAR"),
    ],
)
def test_formats_that_are_refused(name: str, reason: str) -> None:
    with pytest.raises(UnsupportedError, match=reason) as failed:
        FusePreprocess(name).run(network((1, 3, 4, 4), RGB))
    assert "\n" not in str(failed.value)


def test_networks_that_are_refused() -> None:
    with pytest.raises(InputError, match="no input records preprocessing"):
        FusePreprocess().run(network((1, 3, 4, 4), None))
    with pytest.raises(InputError, match="takes no rgb images in nchw"):
        FusePreprocess().run(network((1, 4, 4, 4), RGB))
    with pytest.raises(UnsupportedError, match="no alpha channel"):
        FusePreprocess().run(network((1, 4, 4, 4), Preprocess(pixel_format="rgba", mean=(0,) * 4, scale=(1,) * 4)))
    with pytest.raises(InputError, match="smaller than the input"):
        FusePreprocess().run(network((1, 3, 4, 4), Preprocess(resize_dims=(3, 9))))
    module = network((1, 3, 4, 4), RGB)
    FusePreprocess().run(module)
    with pytest.raises(InputError, match="fused already"):
        FusePreprocess().run(module)
